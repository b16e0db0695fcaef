"""What a crowd does to `ponder serve micro`: `python benchmarks/serve_load.py [--smoke] [--only PART ...]`

Five things, one after the other, the last four against a server that stands:

    start       seconds from the command to the end of a reply of one token
    streams     1,000 chats at once: how many complete, and by how much the process that speaks HTTP grows
    leavers     300 streams that are broken off in their middle: seconds until no row is left of them
    slow        50 chats alone, then beside 200 that read 256 bytes every half second: tokens a second of the 50
    guided      32 replies held to a JSON schema beside 32 free ones: tokens a second of each, turn about
    http        processor time of the process that speaks HTTP for each chunk that it sends, of a crowd of 256

The last line is JSON.
"""

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

_USAGE = re.compile(rb'"completion_tokens":(\d+)')
_MIB = 2**20
_NOTHING: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Address:
    """A server that listens on this machine, and its process."""

    port: int
    pid: int

    def health(self) -> Mapping[str, Any]:
        """What it says of itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=60) as reply:
            found: dict[str, Any] = json.load(reply)
            return found

    def megabytes(self) -> float:
        """Resident memory of the process that speaks HTTP, in MiB."""
        resident: int = psutil.Process(self.pid).memory_info().rss
        return resident / _MIB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", nargs="+", metavar="PART", help="these parts, beside the start")
    arguments = parser.parse_args()
    part = 10 if arguments.smoke else 1
    parts: dict[str, Callable[[Address], Coroutine[Any, Any, dict[str, float]]]] = {
        "streams": lambda server: crowd(server, 1000 // part, 64),
        "leavers": lambda server: leavers(server, 300 // part),
        "slow": lambda server: slow(server, 200 // part, 50 // part, 128),
        "guided": lambda server: guided(server, 32, 96, 1 if part > 1 else 5),
        "http": lambda server: http(server, 256 // part, 128),
    }
    if unknown := set(arguments.only or ()) - parts.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    began = time.perf_counter()
    with serving() as server:
        asyncio.run(crowd(server, 1, 1))
        found = {"start": {"seconds_to_first_token": time.perf_counter() - began}}
        asyncio.run(crowd(server, 20, 20))
        found |= {name: asyncio.run(parts[name](server)) for name in arguments.only or parts}
    for name, one in found.items():
        print(f"{name:10}{', '.join(f'{key} {value:.6g}' for key, value in one.items())}")
    print(json.dumps(found))


@contextmanager
def serving() -> Iterator[Address]:
    """A server of the embedded model, ended at the end."""
    command = [sys.executable, "-m", "ponder.cli", "serve", "micro", "port=0", "drain_seconds=1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r" is at http://127.0.0.1:(\d+)/", line):
                yield Address(int(found[1]), process.pid)
                return
        sys.exit("the server does not start")
    finally:
        process.terminate()
        process.wait(60)


async def crowd(server: Address, streams: int, tokens: int, **more: object) -> dict[str, float]:
    """So many chats at once, all read to the end; `more` goes into every body."""
    before, most = server.megabytes(), 0.0
    ended = asyncio.Event()

    async def watch() -> None:
        nonlocal most
        while not ended.is_set():
            most = max(most, server.megabytes())
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    replies = await asyncio.gather(*(_read(server, i, tokens, more) for i in range(streams)))
    seconds = time.perf_counter() - began
    ended.set()
    await watching
    complete = [reply for reply in replies if reply.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")]
    written = sum(int(_USAGE.findall(reply)[-1]) for reply in complete)
    return {
        "asked": streams,
        "complete": len(complete),
        "tokens": written,
        "chunks": sum(reply.count(b"data: {") for reply in complete),
        "tokens_per_second": written / seconds,
        "mib_above_idle": most - before,
    }


async def leavers(server: Address, streams: int) -> dict[str, float]:
    """So many streams, all broken off once each has begun."""
    connections = await asyncio.gather(*(_open(server, i, 1500) for i in range(streams)))
    await asyncio.sleep(1)  # some write, some wait for a row
    rows = server.health()["rows"]
    began = time.perf_counter()
    for _, writer in connections:
        writer.transport.abort()
    while (health := server.health())["rows"] or health["jobs"] or health["waiting_tokens"]:
        await asyncio.sleep(0.01)
    return {"broken_off": streams, "rows_before": rows, "seconds_until_free": time.perf_counter() - began}


async def slow(server: Address, slow_ones: int, others: int, tokens: int) -> dict[str, float]:
    """Tokens a second of others, alone and beside slow readers whose replies are written already or soon."""
    alone = await crowd(server, others, tokens)
    before = server.megabytes()
    connections = await asyncio.gather(*(_open(server, i, 400, limit=256) for i in range(slow_ones)))
    reading = [asyncio.create_task(_sip(reader)) for reader, _ in connections]
    await asyncio.sleep(1)  # until they are known
    while (health := server.health())["rows"] or health["waiting_tokens"]:  # computed, however slowly they read it
        await asyncio.sleep(0.1)
    beside = await crowd(server, others, tokens)
    still = sum(not one.done() for one in reading)
    grown = server.megabytes() - before
    for one in reading:
        one.cancel()
    for _, writer in connections:
        writer.transport.abort()
    return {
        "slow_readers": slow_ones,
        "still_reading": still,
        "tokens_per_second_alone": alone["tokens_per_second"],
        "tokens_per_second_beside": beside["tokens_per_second"],
        "mib_of_slow_readers": grown,
    }


async def guided(server: Address, streams: int, tokens: int, rounds: int) -> dict[str, float]:
    """Tokens a second of replies without thinking, free and held to a schema, turn about; medians."""
    numbers = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 999}, "minItems": 200}
    held = {
        "thinking": {"type": "disabled"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "numbers", "schema": numbers}},
    }
    rates: dict[str, list[float]] = {"free": [], "guided": []}
    for _ in range(rounds):
        for name, more in (("free", {"thinking": {"type": "disabled"}}), ("guided", held)):
            rates[name].append((await crowd(server, streams, tokens, **more))["tokens_per_second"])
    free, kept = statistics.median(rates["free"]), statistics.median(rates["guided"])
    return {"streams": streams, "free_tokens_per_second": free, "guided_tokens_per_second": kept, "share": kept / free}


async def http(server: Address, streams: int, tokens: int) -> dict[str, float]:
    """What one chunk costs the process that speaks HTTP: its share of a core at 3,000 chunks a second."""
    before = sum(psutil.Process(server.pid).cpu_times()[:2])
    said = await crowd(server, streams, tokens)
    took = sum(psutil.Process(server.pid).cpu_times()[:2]) - before
    return {"chunks": said["chunks"], "seconds": took, "share_of_core_at_3000": 3000 * took / said["chunks"]}


async def _sip(reader: asyncio.StreamReader) -> None:
    while await reader.read(256):
        await asyncio.sleep(0.5)


async def _open(
    server: Address, number: int, tokens: int, limit: int = 2**16, more: Mapping[str, object] = _NOTHING
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=limit)
    asked = {
        "messages": [{"role": "user", "content": f"What is {number} + 25?"}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    body = json.dumps(asked | dict(more)).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: "
    writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    return reader, writer


async def _read(server: Address, number: int, tokens: int, more: Mapping[str, object]) -> bytes:
    reader, writer = await _open(server, number, tokens, more=more)
    whole = await reader.read(-1)
    writer.close()
    return whole


if __name__ == "__main__":
    main()
