"""HumanEval and MBPP: reference solutions pass, and refuse to once they are broken.

A sample of the files by default; with PONDER_ALL_PROGRAMS=1 every row (minutes). MBPP 123 needs more processor time
than a program gets, and MBPP 367 has tests that name an object they do not make.
"""

import ast
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.records import CodeGold
from ponder.verify import code

DATA = Path(__file__).parents[3] / "shared" / "data"
ALL = os.environ.get("PONDER_ALL_PROGRAMS") == "1"
NOT_SOLVED = {123, 367}


def rows(name: str, sample: int) -> list[dict[str, Any]]:
    path = DATA / name
    if not path.exists():
        return []
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        return [json.loads(line) for line in stream][:: 1 if ALL else sample]


HUMANEVAL = rows("humaneval/HumanEval.jsonl.gz", 10)
MBPP = [row for row in rows("mbpp/mbpp_test.jsonl", 30) if row["task_id"] not in NOT_SOLVED]
OFF = """
def _off(value):
    if isinstance(value, bool): return not value
    if isinstance(value, (int, float, complex)): return value + 1
    if isinstance(value, str): return value + "x"
    if isinstance(value, (list, tuple)): return value + (value[-1:] or type(value)([0]))
    if isinstance(value, set): return value | {"off"}
    if isinstance(value, dict): return {**value, "off": 1}
    return 0 if value is None else [*value, 0]
"""


def problems() -> Iterator[Any]:
    for row in HUMANEVAL:
        solution = row["prompt"] + row["canonical_solution"]
        gold = CodeGold(tests=(row["test"],), prefix=row["prompt"], entry_point=row["entry_point"], answer=solution)
        yield pytest.param(solution, gold, [row["entry_point"]], id=row["task_id"])
    for row in MBPP:
        called = {n.func.id for t in row["test"] for n in ast.walk(ast.parse(t)) if is_named_call(n)}
        solution = row["code"].replace("\r", "")
        defined = [s.name for s in ast.parse(solution).body if isinstance(s, ast.FunctionDef)]
        gold = CodeGold(tests=tuple(row["test"]), answer=row["code"])
        yield pytest.param(row["code"], gold, [name for name in defined if name in called], id=f"MBPP/{row['task_id']}")


def is_named_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


@pytest.mark.skipif(not HUMANEVAL or not MBPP, reason="HumanEval and MBPP are not here")
@pytest.mark.parametrize(("solution", "gold", "names"), list(problems()))
def test_solutions_pass_and_broken_ones_do_not(solution: str, gold: CodeGold, names: list[str]) -> None:
    assert code.verify_code(f"```python\n{solution}\n```", gold).outcome == "right"
    solution = solution.replace("\r", "")
    nothing = solution + "".join(f"\ndef {name}(*args, **named): return None\n" for name in names)
    assert code.verify_code(nothing, gold).outcome == "wrong"
    off = "".join(f"\n_{name} = {name}\ndef {name}(*a, **k): return _off(_{name}(*a, **k))\n" for name in names)
    assert code.verify_code(solution + OFF + off, gold).outcome == "wrong"
