"""Verdicts of ponder beside plain execution, over references and their mutants.

Every reference of HumanEval and MBPP, and mutants of each (`mutants.py`), is run plainly and judged by ponder, with the
tests as they are and in the extended form that evaluation sets use: inputs and results in lists, compared by a helper.
A mutant that passes plainly is no mutant. Rows are done one after the other and written to a tally, so that a run that
was stopped goes on.
"""

import ast
import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutants import mutants, run_plainly

from ponder.records import CodeGold
from ponder.verify.pool import VerifierPool

__all__ = ["agreement"]

_SECONDS = 2.0
"""Processor time that plain execution may take, as ponder gives a program in training."""
_ROWS_AT_A_TIME = 5

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


def read_variants(rows: list[dict[str, Any]], count: int) -> Iterator[Variant]:
    """Every reference with its mutants, in the row's own form and in the extended one."""
    for row in rows:
        prefix = row["prompt"] if "entry_point" in row else ""
        right = row.get("canonical_solution") or row["code"].replace("\r", "")
        whole = prefix + right if prefix else right
        name = str(row["task_id"])
        for form, tests, entry in _forms(row):
            gold = CodeGold(tests=tests, prefix=prefix, entry_point=entry, answer=whole)
            code = "\n".join(tests)
            yield Variant(name=f"{name} {form}", program=whole, gold=gold, plain=f"{whole}\n{code}", reference=True)
            for number, program in enumerate(mutants(whole, count, name)):
                named = f"{name} {form} mutant {number}"
                yield Variant(name=named, program=program, gold=gold, plain=f"{program}\n{code}", reference=False)


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


def agreement(paths: list[Path], limit: int, count: int, workers: int, tally: Path, minutes: float) -> bool:
    """Print how verdicts and plain execution agree, in both directions; False where the time is over first. `tally` has
    what is done already, and gets what is done now."""
    end = time.monotonic() + 60 * minutes
    known = [json.loads(line) for line in tally.read_text().splitlines()] if tally.exists() else []
    done = {entry["rows"] for entry in known}
    complete = True
    with VerifierPool(workers=workers) as pool, tally.open("a") as stream:
        for path in paths:
            rows = _read(path)[:limit]
            for first in range(0, len(rows), _ROWS_AT_A_TIME):
                name = f"{path.name} {first} x{count}"
                if name in done:
                    continue
                if time.monotonic() > end:
                    complete = False
                    break
                entry = {"rows": name, **_compared(pool, rows[first : first + _ROWS_AT_A_TIME], count)}
                known.append(entry)
                print(json.dumps(entry), file=stream, flush=True)
    counts: Counter[str] = Counter()
    for entry in known:
        counts.update(entry["counts"])
        for line in entry["different"]:
            print(f"  {line}")
    for line, number in sorted(counts.items()):
        print(f"{number:7} {line}")
    accepted = counts["mutant fails plainly: right"] + counts["reference fails plainly: right"]
    refused = sum(number for line, number in counts.items() if "passes plainly" in line and not line.endswith("right"))
    total = sum(counts.values())
    print(f"{total} programs: {accepted} right that fail plainly, {refused} not right that pass plainly")
    return complete


def _read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        return [json.loads(line) for line in stream]


def _compared(pool: VerifierPool, rows: list[dict[str, Any]], count: int) -> dict[str, Any]:
    """How often what came out, and each verdict that differs from plain execution."""
    variants = list(read_variants(rows, count))
    plain = run_plainly([variant.plain for variant in variants], _SECONDS)
    futures = [pool.submit(variant.program, variant.gold) for variant in variants]
    counts: Counter[str] = Counter()
    different = []
    for variant, passes, future in zip(variants, plain, futures, strict=True):
        verdict = future.result()
        kind = f"{'reference' if variant.reference else 'mutant'} {'passes' if passes else 'fails'} plainly"
        counts[f"{kind}: {verdict.outcome}"] += 1
        if passes != (verdict.outcome == "right"):
            reason = verdict.reason[:150].replace("\n", " ")
            different.append(f"{variant.name}: {kind}; {verdict.outcome}: {reason}")
    return {"counts": counts, "different": different}
