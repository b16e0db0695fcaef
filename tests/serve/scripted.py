"""A chat service that says what a test tells it to: the page, the models, and streams played from a script."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ponder.serve.page import page

__all__ = ["Scripted", "chunk", "last", "scripted"]

UNTIL_CONTROL = "until control"
"""In a script: go on when the thinking is ended by hand."""
FOREVER = "forever"
"""In a script: send heartbeats until the client is gone."""


def chunk(**delta: str) -> str:
    """An event with a piece of thinking or of answer."""
    return _event({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def last(reason: str = "stop", thinking: int = 0, written: int = 0, **own: Any) -> str:
    """The events that end a stream."""
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": written,
        "total_tokens": 20 + written,
        "prompt_cache_hit_tokens": 0,
        "prompt_cache_miss_tokens": 20,
        "completion_tokens_details": {"reasoning_tokens": thinking},
    }
    own = {"timing": {"tokens_per_second": 50.0}, "cost": {"amount": 0.0004, "currency": "USD"}} | own
    ended = {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "ponder": own}
    return _event(ended) + _event({"id": "chatcmpl-1", "choices": [], "usage": usage}) + "data: [DONE]\n\n"


def _event(value: Any) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


class Scripted:
    """`scripts` are played one per request, the last one again and again: texts, seconds to wait, or one of the words
    above; an integer is the status of a refusal."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.scripts: list[Sequence[str | float | int]] = []
        self.requests: list[dict[str, Any]] = []
        self.controls: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.control = threading.Event()
        self.left = threading.Event()
        self.headers: dict[str, str] = {}

    def script(self) -> Sequence[str | float | int]:
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]


@contextmanager
def scripted() -> Iterator[Scripted]:
    """The server, until the end of the context."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _send(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"content-type": kind, "content-length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.path == "/":
                text, policy = page("tested")
                self._send(200, "text/html; charset=utf-8", text.encode(), {"content-security-policy": policy})
            elif self.path == "/v1/models":
                models = {"data": [{"id": "r1-micro/r1"}, {"id": "micro"}]}
                self._send(200, "application/json", json.dumps(models).encode())
            else:
                self._send(404, "application/json", b"{}")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            service.keys.append(self.headers.get("authorization"))
            if self.path.endswith("/control"):
                service.controls.append(body)
                service.control.set()
                self._send(200, "application/json", b"{}")
                return
            service.requests.append(body)
            script = service.script()
            if isinstance(script[0], int):
                error = {"error": {"message": script[1], "type": "x", "param": None, "code": None}}
                self._send(script[0], "application/json", json.dumps(error).encode())
                return
            self.send_response(200)
            for name, value in {"content-type": "text/event-stream", **service.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for step in script:
                    self._play(step)
            except OSError:
                service.left.set()

        def _play(self, step: str | float) -> None:
            if step == UNTIL_CONTROL:
                while not service.control.wait(0.02):
                    self.wfile.write(b": keep-alive\n\n")
            elif step == FOREVER:
                while True:
                    self.wfile.write(b": keep-alive\n\n")
                    time.sleep(0.02)
            elif isinstance(step, float):
                time.sleep(step)
            else:
                self.wfile.write(str(step).encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service = Scripted(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
