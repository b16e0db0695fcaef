"""Attacks, right programs and wrong ones in one stream through the worker pool; one line of figures.

    python benchmarks/sandbox_load.py [--programs 600] [--workers 2] [--deadline 5]

A third each: the attacks of tests/sandbox/attacks (again and again, each time as another text), right solutions of
small problems, and the same solutions with one fault. The line says how many verdicts are wrong (a right program not
found right, or another found right), how many could not be told, and what was left behind: processes, files, and
memory of this process. The exit status is 1 where a verdict is wrong or something is left.
"""

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from ponder.records import CodeGold
from ponder.sandbox.isolation import find_isolation
from ponder.verify.pool import VerifierPool

_SUITE = Path(__file__).resolve().parents[1] / "tests/sandbox"
_SETTLE_SECONDS = 10.0

_PROBLEMS = (
    # right, what to put in the place of what, tests
    ("def f(x):\n    return sorted(x)", "sorted(x)", "list(x)", ("assert f([3, 1, 2]) == [1, 2, 3]",)),
    ("def f(x):\n    return sum(n * n for n in x)", "n * n", "n + n", ("assert f([1, 2, 3]) == 14",)),
    ("def f(x):\n    return x[::-1]", "::-1", "::1", ("assert f('abc') == 'cba'", "assert f('') == ''")),
    (
        "def f(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a",
        "range(n)", "range(n + 1)", ("assert f(10) == 55", "assert f(1) == 1"),
    ),
    ("import math\ndef f(a, b):\n    return math.gcd(a, b)", "math.gcd(a, b)", "a", ("assert f(12, 18) == 6",)),
    (
        "from collections import Counter\ndef f(t):\n    return dict(Counter(t.split()))",
        "t.split()", "t", ("assert f('a b a') == {'a': 2, 'b': 1}",),
    ),
    ("def f(x):\n    return max(x) - min(x)", "- min(x)", "", ("assert f([4, 9, 1]) == 8",)),
    ("def f(x):\n    return [a for a in x if a % 2]", "% 2", "% 3", ("assert f([1, 2, 3]) == [1, 3]",)),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One program and what it is."""

    name: str
    text: str
    gold: CodeGold
    kind: Literal["attack", "right", "wrong"]


def mixed(programs: int) -> list[Run]:
    """The stream, a third of each kind, shuffled; no two programs are the same text."""
    sys.path.insert(0, str(_SUITE))
    from at_level import TESTS, head, program

    attacks = []
    for path in sorted((_SUITE / "attacks").glob("*.py")):
        text = path.read_text()
        said = head(text)
        if "right" not in f"{said}":
            attacks.append((path.stem, program(text), CodeGold(tests=TESTS[said.get("tests", "succeeded")])))
    runs: list[Run] = []
    for number in range(programs // 3):
        name, attack, gold = attacks[number % len(attacks)]
        right, old, new, tests = _PROBLEMS[number % len(_PROBLEMS)]
        for kind, text in (("attack", attack), ("right", right), ("wrong", right.replace(old, new))):
            used = gold if kind == "attack" else CodeGold(tests=tests)
            runs.append(Run(name=name if kind == "attack" else kind, text=f"{text}\n# {number}", gold=used, kind=kind))
    random.Random(0).shuffle(runs)
    return runs


def load(programs: int, workers: int, deadline_seconds: float) -> tuple[str, list[str]]:
    """The line of figures, and what is wrong with it."""
    runs = mixed(programs)
    before, files, memory = _children(), _files(), psutil.Process().memory_info().rss
    began = time.perf_counter()
    with VerifierPool(workers=workers, deadline_seconds=deadline_seconds) as pool:
        verdicts = [future.result() for future in [pool.submit(run.text, run.gold) for run in runs]]
        counters = pool.counters()
    seconds = time.perf_counter() - began
    grown = (psutil.Process().memory_info().rss - memory) / 2**20
    faults = [
        f"{run.name} is {verdict.outcome}: {verdict.reason}"
        for run, verdict in zip(runs, verdicts, strict=True)
        if (verdict.outcome == "right") != (run.kind == "right") or (run.kind == "wrong" and verdict.outcome != "wrong")
    ]
    faults += [f"a reason of {len(v.reason)} characters" for v in verdicts if len(v.reason) > 1000]
    left, settled = _children() - before, time.monotonic() + _SETTLE_SECONDS
    while left and time.monotonic() < settled:
        time.sleep(0.1)
        left = _children() - before
    faults += [f"left behind: process {pid}" for pid in left] + [f"left behind: {path}" for path in _files() - files]
    kinds = Counter((run.kind, verdict.outcome) for run, verdict in zip(runs, verdicts, strict=True))
    line = (
        f"{find_isolation().strength}: {len(runs)} programs in {seconds:.1f} s on {workers} workers; right programs "
        f"{kinds['right', 'right']} right; wrong ones {kinds['wrong', 'wrong']} wrong; attacks "
        f"{kinds['attack', 'wrong']} wrong, {kinds['attack', 'cannot_tell']} cannot tell, {kinds['attack', 'right']} "
        f"right; {len(faults)} faults; {counters.get('replaced', 0)} workers replaced, {len(left)} processes left, "
        f"{grown:+.0f} MiB here"
    )
    return line, faults


def _children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def _files() -> set[str]:
    """What the attacks would leave, by the name that they give it."""
    return {
        str(path) for folder in ("/", "/usr", "/etc", "/tmp", "/var/tmp") for path in Path(folder).glob("*was-here*")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=600)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--deadline", type=float, default=5.0)
    chosen = parser.parse_args()
    line, faults = load(chosen.programs, chosen.workers, chosen.deadline)
    for fault in faults:
        print(fault)
    print(line)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
