"""Hours of mixed traffic on one `ponder serve micro`: does anything grow?

    python benchmarks/serve_soak.py --minutes 120 --rate 20

Requests arrive at random moments, `--rate` a second on average: chats streamed and whole, several turns, completions,
votes, replies held to a JSON schema, streams broken off in their middle, bodies that are wrong. At most 200 are in
flight; one that would be more waits and is counted. Twice a minute the server is looked at: resident memory of the
process that speaks HTTP and of the lanes, open files, threads, rows and jobs. Growth is the median of the last eighth
of the time over that of the second eighth (of two hours: minutes 15 to 30). At the end nothing is asked and nothing may
be left. The last line is JSON.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil
from serve_load import Address, serving

_MOST = 200
_LOOK_SECONDS = 30.0
_SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "ok": {"type": "boolean"}},
    "required": ["x", "ok"],
    "additionalProperties": False,
}


@dataclass(slots=True)
class Tally:
    """What was asked and what came back."""

    asked: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    held: int = 0

    def came(self, kind: str, expected: str, got: str, text: bytes) -> None:
        """Count a reply; one of another status than expected is kept."""
        self.statuses[got] += 1
        if got != expected:
            self.wrong.append(f"{kind}: {got}: {text[:200]!r}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--rate", type=float, default=20, help="requests a second (default: 20)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with serving() as server:
        found = asyncio.run(_soak(server, 60 * arguments.minutes, arguments.rate, random.Random(arguments.seed)))
    print(json.dumps(found))


async def _soak(server: Address, seconds: float, rate: float, chance: random.Random) -> dict[str, Any]:
    tally, looks = Tally(), []
    flying: set[asyncio.Task[None]] = set()
    began = last = time.monotonic()
    due = began
    while (now := time.monotonic()) - began < seconds:
        if now - last >= _LOOK_SECONDS:
            last = now
            looks.append(await asyncio.to_thread(_look, server))
            _say(looks[-1], tally, now - began, seconds)
        due += chance.expovariate(rate)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if len(flying) >= _MOST:
            tally.held += 1
            await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
            due = time.monotonic()
        task = asyncio.create_task(_one(server, tally, random.Random(chance.random())))
        flying.add(task)
        task.add_done_callback(flying.discard)
    await asyncio.gather(*flying)
    await asyncio.sleep(3)
    end = await asyncio.to_thread(_look, server)
    part = max(1, len(looks) // 8)
    growth = {
        key: {"early": _middle(looks[part : 2 * part], key), "late": _middle(looks[-part:], key)}
        for key in ("http_mib", "lanes_mib", "files", "threads")
        if len(looks) >= 2 * part
    }
    return {
        "minutes": seconds / 60,
        "asked": dict(tally.asked),
        "statuses": dict(tally.statuses),
        "unexpected": len(tally.wrong),
        "first_unexpected": tally.wrong[:5],
        "held": tally.held,
        "growth": growth,
        "left": {key: end[key] for key in ("rows", "jobs", "waiting_tokens")},
    }


def _middle(looks: list[dict[str, float]], key: str) -> float:
    return statistics.median(look[key] for look in looks)


def _look(server: Address) -> dict[str, float]:
    process, health = psutil.Process(server.pid), server.health()
    children = process.children(recursive=True)
    return {
        "http_mib": process.memory_info().rss / 2**20,
        "lanes_mib": sum(child.memory_info().rss for child in children) / 2**20,
        "files": process.num_fds(),
        "threads": process.num_threads(),
        **{key: health[key] for key in ("rows", "jobs", "waiting_tokens")},
    }


def _say(look: Mapping[str, float], tally: Tally, gone: float, seconds: float) -> None:
    print(
        f"{gone / 60:6.1f} min of {seconds / 60:.0f}, {sum(tally.asked.values())} asked "
        f"({sum(tally.asked.values()) / gone:.1f}/s), {len(tally.wrong)} unexpected, "
        + ", ".join(f"{key} {value:.0f}" for key, value in look.items()),
        file=sys.stderr,
        flush=True,
    )


async def _one(server: Address, tally: Tally, chance: random.Random) -> None:
    kind = chance.choices(
        ["chat", "whole", "turns", "completion", "vote", "schema", "leaver", "wrong"], [48, 10, 10, 8, 6, 6, 8, 4]
    )[0]
    tally.asked[kind] += 1
    a, b = chance.randrange(1000), chance.randrange(1000)
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": f"What is {a} + {b}?"}]}
    asked["max_tokens"] = chance.randrange(8, 96)
    path, expected = "/v1/chat/completions", "200"
    match kind:
        case "chat" | "leaver":
            asked["stream"] = True
        case "turns":
            asked["messages"] += [
                {"role": "assistant", "content": str(a + b)},
                {"role": "user", "content": f"And {b} + {a * 7 % 1000}? " * chance.randrange(1, 20)},
            ]
        case "completion":
            path, asked = "/v1/completions", {"prompt": f"What is {a} + {b}?", "max_tokens": asked["max_tokens"]}
        case "vote":
            asked["vote"] = chance.choice([3, 4, 8])
        case "schema":
            asked["response_format"] = {"type": "json_schema", "json_schema": {"name": "sum", "schema": _SCHEMA}}
        case "wrong":
            asked, expected = {"messages": chance.choice([[], "hello", [{"role": "nobody"}], None])}, "400"
        case _:
            pass
    try:
        text = await _ask(server, path, asked, leaves=kind == "leaver")
    except OSError as error:
        tally.came(kind, expected, type(error).__name__, str(error).encode())
        return
    tally.came(kind, expected, text[9:12].decode(), text)


async def _ask(server: Address, path: str, asked: Mapping[str, Any], *, leaves: bool) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = json.dumps(asked).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    try:
        return await reader.read(400) if leaves else await reader.read(-1)
    finally:
        writer.transport.abort()


if __name__ == "__main__":
    main()
