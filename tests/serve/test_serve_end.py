"""How `ponder serve` ends: what is under way is answered first, whoever else of its group was told to end."""

import signal
from typing import Any

import httpx2
import psutil

BODY = {
    "messages": [{"role": "user", "content": "What is 17 + 25?"}],
    "stream": True,
    "ignore_eos": True,
    "max_tokens": 100,
}


def test_what_is_under_way_ends_before_the_server(start: Any) -> None:
    with start("threads=1", "drain_seconds=60") as server:
        parent = psutil.Process(server.process.pid)
        group = [*parent.children(recursive=True), parent]
        with httpx2.stream("POST", server.url + "/v1/chat/completions", json=BODY, timeout=120) as reply:
            lines = reply.iter_lines()
            next(lines)
            for one in group:
                one.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]" and '"finish_reason":"length"' in rest[-2]
        server.process.wait(60)
    assert not any(one.is_running() for one in group)
