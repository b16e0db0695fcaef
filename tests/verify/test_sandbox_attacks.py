"""Attacks through `verify_code`: what needs more around it than the programs of tests/sandbox/attacks."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ponder.records import CodeGold
from ponder.sandbox.isolation import find_isolation
from ponder.sandbox.sandbox import Sandbox, zygote_command
from ponder.verify import code

SECRET = "needle-8273"
SUCCESS = CodeGold(tests=("assert attack() == 'succeeded'",))
"""Only a program that says that its attack succeeded passes."""


@pytest.fixture(scope="module", params=["full", "limits"])
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    code.close_sandbox()
    if request.param == "full":
        if not find_isolation().full:
            pytest.skip(find_isolation().describe())
        code._Home.sandbox = Sandbox(find_isolation().command)
    else:
        code._Home.sandbox = Sandbox(zygote_command("bare"))
    yield request.param
    code.close_sandbox()


def attempt(*tries: str, before: str = "") -> str:
    """A program that makes each try and says "succeeded" if one of them raised nothing."""
    lines = ["import os, sys", before, "good = []"]
    for one in tries:
        lines += ["try:", *(f"    {line}" for line in one.splitlines()), f"    good.append({one!r})"]
        lines += ["except BaseException as error:", "    print(error)"]
    return "\n".join([*lines, "def attack():", "    return 'succeeded' if good else 'failed'"])


def test_a_clean_program_is_right(level: str) -> None:
    assert code.verify_code(attempt("1 + 1"), SUCCESS).outcome == "right"


def test_files_and_servers_of_the_host_are_out_of_reach(level: str, tmp_path: Path) -> None:
    secret = tmp_path / "gold.jsonl"
    secret.write_text(SECRET)
    tmp_path.chmod(0o755)
    secret.chmod(0o666)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = attempt(
            f"open({str(secret)!r}).read()",
            f"open({str(secret)!r}, 'w').write('mine')",
            f"os.remove({str(secret)!r})",
            f"import socket; socket.create_connection(('127.0.0.1', {port}))",
        )
        assert code.verify_code(program, SUCCESS).outcome == "wrong"
    assert secret.read_text() == SECRET


ODD = {
    "nul bytes": "x = '\0'",
    "deep nesting": "(" * 100_000,
    "broken unicode": "x = '\ud800'",
    "not a program": "The answer is forty-two.",
}
LASTING = {
    "fork bomb": "import os\nwhile True: os.fork()",
    "sleep": "import time\ntime.sleep(100)",
    "infinite output": "while True: print('passed' * 1000)",
    "thread bomb": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_program_earns_nothing(level: str, name: str) -> None:
    verdict = code.verify_code(ODD[name], SUCCESS, wall_seconds=2)
    assert verdict.outcome == "wrong" and verdict.score == 0, verdict


LARGE = {
    "exception": "class Long(Exception): pass\nLong.__name__ = 'L' * 10**5\ndef attack(): raise Long('x' * 900_000)",
    "text": "def attack(): return 'x' * 900_000",
    "lists": "def attack(): return [[] for _ in range(20_000)]",
    "members that collide": "def attack(): return [(2**61 - 1) * n for n in range(10_000)]",
    "printed": "print('x' * 10**6)\ndef attack(): return 1",
    "escapes": "def attack(): raise ValueError('\\ud800\\x1b[2J' * 10**5)",
}
MEMBERS = CodeGold(tests=("assert set(attack()) == {1}", "assert attack() == [1]"))


@pytest.mark.parametrize("name", LARGE)
def test_large_values_leave_neither_long_reasons_nor_memory(level: str, name: str) -> None:
    verdicts = [code.verify_code(LARGE[name], MEMBERS, wall_seconds=5) for _ in range(3)]
    before = psutil.Process().memory_info().rss
    verdicts += [code.verify_code(LARGE[name], MEMBERS, wall_seconds=5) for _ in range(8)]
    assert psutil.Process().memory_info().rss - before < 8 << 20
    for verdict in verdicts:
        assert verdict.outcome == "wrong" and verdict.score == 0, verdict
        assert len(verdict.reason) <= 300
        assert verdict.reason.encode() and "\x1b" not in verdict.reason


@pytest.mark.parametrize("number", [40, 63])
def test_a_signal_without_a_name_is_a_verdict(level: str, number: int) -> None:
    program = f"import os\ndef attack(): os.kill(os.getpid(), {number})"
    verdict = code.verify_code(program, SUCCESS, wall_seconds=5)
    assert verdict.outcome == "wrong", verdict
    if level == "limits":  # in namespaces the program is process 1, which ignores it
        assert f"signal {number}" in verdict.reason


def test_nothing_survives(level: str) -> None:
    sandbox = code._Home.sandbox
    assert sandbox is not None
    zygote = psutil.Process(sandbox._process.pid)
    own = 2 if level == "full" and find_isolation().level == "bubblewrap" else 0  # bubblewrap's child, and the zygote

    def nothing_survived() -> bool:
        return len(zygote.children(recursive=True)) == own + len(sandbox._spares)

    assert code.verify_code(attempt("1 + 1"), SUCCESS).outcome == "right"
    settle(nothing_survived)
    before = len(os.listdir(f"/proc/{zygote.pid}/fd"))
    for program in LASTING.values():
        assert code.verify_code(program, SUCCESS, wall_seconds=0.5).outcome != "right"
    assert code._Home.sandbox is sandbox, "the zygote survived"
    settle(nothing_survived)
    assert len(os.listdir(f"/proc/{zygote.pid}/fd")) == before


def settle(condition: Callable[[], bool]) -> None:
    """Wait until something that happens by itself has happened."""
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never happened")
