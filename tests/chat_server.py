"""A chat-completions server in a thread, which does to each request what a test tells it to."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ponder.recipe.endpoint import Endpoint


@dataclass
class Action:
    """What the server does: a status, headers and body; a wait before it; or a connection cut in the body."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    cut: bool = False
    encoding: str = "utf-8"


def said(content: str | None, finish: str = "stop", **message: str) -> Action:
    """A well-formed reply; 7 tokens in, 5 out."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return Action(body=json.dumps({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}))


Play = Callable[[Mapping[str, Any], int], Action]
"""Body of a request and how often this prompt was asked before -> what to do."""


class ChatServer:
    def __init__(self) -> None:
        self.play: Play = lambda body, tries: said("<think>2+3=5</think>5")
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.busiest = self._busy = 0
        self._lock = threading.Lock()
        self._tries: dict[str, int] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet: small ones wait for each other

            def do_POST(self) -> None:
                outer._serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # more connections at once are reset

        self._http = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def endpoint(self, **fields: Any) -> Endpoint:
        fast = {"max_wait_seconds": 0.02, "timeout_seconds": 30.0, "retries": 2, "max_failures": 1.0}
        return Endpoint(base_url=self.url, model="teacher", **(fast | fields))

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        prompt = body["messages"][-1]["content"]
        with self._lock:
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
            self.requests.append(body)
            self.headers.append(dict(handler.headers.items()))
            tries = self._tries.get(prompt, 0)
            self._tries[prompt] = tries + 1
            assert handler.path == "/v1/chat/completions", handler.path
        action = self.play(body, tries)
        try:
            time.sleep(action.wait)
            content = action.body.encode(action.encoding)
            handler.send_response(action.status)
            for name, value in action.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content[: len(content) // 2] if action.cut else content)
            handler.close_connection = action.cut
        except OSError:
            handler.close_connection = True  # the client went away: it timed out
        finally:
            with self._lock:
                self._busy -= 1
