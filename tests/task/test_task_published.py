"""Rows in the form in which sets of code problems are published, read by the tables of the benchmarks: they load, a
right program is right, a wrong one is wrong, and the question says what the tests call."""

import base64
import json
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ponder import evaluation
from ponder.recipe.problems import FileProblems
from ponder.records import CodeGold, Problem
from ponder.sandbox.isolation import find_isolation
from ponder.task import load_problems
from ponder.verify import code, verify

BENCHMARKS = Path(evaluation.__file__).parent / "benchmarks"
isolated = pytest.mark.skipif(not find_isolation().full, reason="other languages need namespaces")


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


def only(folder: Path, row: dict[str, Any], table: dict[str, Any]) -> Problem:
    """The problem of one row, read as the table says, which is a benchmark's or like one."""
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    kept = {key: value for key, value in table.items() if key not in ("source", "id", "subset", "split", "name")}
    loaded = load_problems([FileProblems.model_validate({"path": str(path), **kept})])
    assert not loaded.left_out, loaded.summary()
    (problem,) = loaded.problems
    return problem


def table_of(benchmark: str) -> dict[str, Any]:
    (table,) = yaml.safe_load((BENCHMARKS / f"{benchmark}.yaml").read_text())["problems"]
    return dict(table)


def packed(tests: object) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


PLUS = """import numpy as np
from math import inf

def is_floats(x) -> bool:
    # check if it is float; List[float]; Tuple[float]
    if isinstance(x, float):
        return True
    if isinstance(x, (list, tuple)):
        return all(isinstance(i, float) for i in x)
    if isinstance(x, np.ndarray):
        return x.dtype == np.float64 or x.dtype == np.float32
    return False


def assertion(out, exp, atol):
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if out != exp and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert out == exp, f"out: {out}, exp: {exp}"


"""
LIVE = {
    "question_title": "Steps", "platform": "atcoder", "contest_id": "x1", "contest_date": "2025-01-04T00:00:00",
    "difficulty": "easy", "question_id": "x1_a",
}  # fmt: skip
ROWS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "humaneval": (
        {"task_id": "Own/0", "prompt": "from typing import List\n\n\ndef evens(xs: List[int]) -> List[int]:\n"
            '    """ Keep what is even.\n    >>> evens([1, 2])\n    [2]\n    """\n',
         "canonical_solution": "    return [x for x in xs if x % 2 == 0]\n", "entry_point": "evens",
         "test": "\n\nMETADATA = {\n    'author': 'own',\n    'dataset': 'test'\n}\n\n\ndef check(candidate):\n"
            "    assert candidate([1, 2, 4]) == [2, 4]\n    assert candidate([]) == []\n"},
        "from __future__ import annotations\n\ndef evens(xs: List[int]) -> List[int]:\n"
        "    return [x for x in xs if x % 2 == 0]", "% 2 == 1", "evens"),
    "humaneval-plus": (
        {"task_id": "Own/1", "prompt": 'def middle(a: float, b: float) -> float:\n    """ Half way. """\n',
         "canonical_solution": "    return (a + b) / 2\n", "entry_point": "middle",
         "test": PLUS + "def check(candidate):\n    inputs = [[1.0, 2.0], [0.1, 0.2], [-1.0, 1.0]]\n"
            "    results = [1.5, 0.15, 0.0]\n    for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
            "        assertion(candidate(*inp), exp, 0)\n"},
        "    return a + (b - a) / 2\n", "/ 3", "middle"),
    "mbpp": (
        {"task_id": 11, "text": "Write a function to add up the values of a tree.", "code": "class Node: ...",
         "test_list": ["assert total(root) == 6", "assert total(None) == 0"], "challenge_test_list": [],
         "test_setup_code": "root = Node(1)\r\nroot.left = Node(2)\r\nroot.right = Node(3)"},
        "class Node:\n    def __init__(self, value):\n        self.value, self.left, self.right = value, None, None\n"
        "def total(node):\n    if node is None: return 0\n"
        "    return node.value + total(node.left) + total(node.right)", "return 1", "total"),
    "mbpp-plus": (
        {"task_id": 12, "code": "def pairs(xs):\n  return set(zip(xs, xs[1:]))", "source_file": "own.ipynb",
         "prompt": "Write a function to find the neighbours in a list.", "test_imports": "[]",
         "test_list": ["assert set(pairs([1, 2, 3])) == set([(1, 2), (2, 3)])"],
         "test": PLUS + "inputs = [[[1, 2, 3]], [[]]]\nresults = [{(1, 2), (2, 3)}, set()]\n"
            "for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
            "    assertion(set(pairs(*inp)), set(exp), 0)\n"},
        "def pairs(xs):\n    return {(a, b) for a, b in zip(xs, xs[1:])}", "(b, a)", "pairs"),
    "livecodebench": (
        LIVE | {"question_content": "Read numbers, print the mean.", "starter_code": "", "metadata": "{}",
         "public_test_cases": json.dumps([{"input": "2\n1 2\n", "output": "1.5\n", "testtype": "stdin"}]),
         "private_test_cases": packed([{"input": "1\n7\n", "output": "7.000", "testtype": "stdin"}])},
        "from __future__ import division\nn = int(input())\nprint(sum(map(int, input().split())) / n)", "// n", "mean"),
    "livecodebench, a method": (
        LIVE | {"question_content": "Powers.", "metadata": json.dumps({"func_name": "powers"}),
         "starter_code": "class Solution:\n    def powers(self, xs: List[int], e: int, mod: int) -> List[int]:\n    ",
         "public_test_cases": json.dumps([{"input": "[2, 3]\n5\n7", "output": "[4, 5]", "testtype": "functional"}]),
         "private_test_cases": packed([{"input": "[]\n5\n7", "output": "[]", "testtype": "functional"}])},
        "class Solution:\n    def powers(self, xs: List[int], e: int, mod: int) -> List[int]:\n"
        "        return [pow(x, e, mod) for x in xs]", "[pow(x, e) for x in xs]", "powers"),
    "multipl-e-cpp": (
        {"name": "HumanEval_0_own", "language": "cpp", "doctests": "transform", "original": "own.py",
         "prompt_terminology": "reworded", "stop_tokens": ["\n}"],
         "prompt": "#include<assert.h>\n#include<bits/stdc++.h>\n// The longest.\n"
            "long longest(std::vector<std::string> w) {\n",
         "tests": "}\nint main() {\n    auto candidate = longest;\n"
            "    assert(candidate((std::vector<std::string>({(std::string)\"ab\", (std::string)\"c\"}))) == (2));\n"
            "    assert(candidate((std::vector<std::string>())) == (0));\n}\n"},
        "    size_t most = 0;\n    for (auto& one : w) most = std::max(most, one.size());\n    return most;\n",
        "one.size() + 1", "longest"),
    "multipl-e-js": (
        {"name": "HumanEval_0_own", "language": "js", "doctests": "transform", "original": "own.py",
         "prompt_terminology": "reworded", "stop_tokens": ["\nfunction ", "\n/*", "\n//", "\nconsole.log"],
         "prompt": "//The longest.\n// >>> longest([\"ab\", \"c\"])\n// 2\nfunction longest(words){\n",
         "tests": "const assert = require('node:assert');\n\n\nfunction test() {\n  let candidate = longest;\n"
            "  assert.deepEqual(candidate([\"ab\", \"c\"]),2);\n  assert.deepEqual(candidate([]),0);\n}\n\ntest();"},
        "    return Math.max(0, ...words.map(w => w.length));\n}\n", "w.length + 1", "longest"),
}  # fmt: skip


@isolated
@pytest.mark.parametrize("name", ROWS)
def test_the_rows_of_a_benchmark(tmp_path: Path, name: str) -> None:
    row, right, broken, spoken = ROWS[name]
    problem = only(tmp_path, row, table_of(name.partition(",")[0]))
    assert problem.gold is not None and spoken in problem.prompt
    assert verify(right, problem.gold).outcome == "right", verify(right, problem.gold)
    target = {"% 2 == 1": "% 2 == 0", "/ 3": "/ 2", "return 1": "return 0", "(b, a)": "(a, b)", "// n": "/ n",
              "[pow(x, e) for x in xs]": "[pow(x, e, mod) for x in xs]", "one.size() + 1": "one.size()",
              "w.length + 1": "w.length"}[broken]  # fmt: skip
    wrong = right.replace(target, broken)
    assert wrong != right and verify(wrong, problem.gold).outcome == "wrong", verify(wrong, problem.gold)


APPS = {"gold": "code", "columns": {"prompt": "question", "tests": "input_output", "starter": "starter_code"}}
TACO = {"gold": "code", "columns": APPS["columns"] | {"time_limit": "time_limit"}}  # type: ignore[operator]
CONTESTS = {"gold": "code", "columns": {
    "prompt": "description", "tests": ["public_tests", "private_tests", "generated_tests"], "time_limit": "time_limit",
}}  # fmt: skip
SUM = "print(sum(map(int, input().split())))"
TABLES: dict[str, tuple[dict[str, Any], dict[str, Any], str, float | None]] = {
    "APPS, input": (APPS, {
        "problem_id": 1, "question": "Add.", "solutions": json.dumps([SUM]), "difficulty": "interview", "url": "",
        "starter_code": "", "input_output": json.dumps({"inputs": ["1 2\n"], "outputs": ["3\n"]})}, SUM, None),
    "APPS, lines": (APPS, {
        "problem_id": 2, "question": "Add.", "solutions": json.dumps([SUM]), "difficulty": "interview", "url": "",
        "starter_code": "", "input_output": json.dumps({"inputs": [["1 2", "x"]], "outputs": [["3"]]})}, SUM, None),
    "APPS, a method": (APPS, {
        "problem_id": 3, "question": "Add.", "solutions": "", "difficulty": "introductory", "url": "",
        "starter_code": "class Solution:\n    def add(self, xs: List[int]) -> int:\n        ",
        "input_output": json.dumps({"fn_name": "add", "inputs": [[[1, 2]], [[]]], "outputs": [[3], [0]]})},
        "class Solution:\n    def add(self, xs: List[int]) -> int:\n        return sum(xs)", None),
    "TACO": (TACO, {
        "question": "Add.", "solutions": json.dumps([SUM]), "starter_code": "", "difficulty": "EASY", "name": None,
        "source": "own", "raw_tags": "[]", "time_limit": "2.0 seconds", "memory_limit": "256.0 megabytes",
        "input_output": json.dumps({"inputs": ["1 2\n"], "outputs": ["3\n"]})}, SUM, 2.0),
    "TACO, no limit": (TACO, {
        "question": "Add.", "solutions": json.dumps([SUM]), "starter_code": "", "difficulty": "EASY",
        "time_limit": None, "input_output": json.dumps({"inputs": ["1 2\n"], "outputs": ["3\n"]})}, SUM, None),
    "CodeContests": (CONTESTS, {
        "name": "1_A. Sum", "description": "Add.", "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
        "private_tests": {"input": [], "output": []}, "generated_tests": {"input": ["2 2\n"], "output": ["4\n"]},
        "source": 2, "difficulty": 7, "time_limit": {"seconds": 1, "nanos": 500000000}}, SUM, 1.5),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_the_rows_of_sets_to_train_on(tmp_path: Path, name: str) -> None:
    table, row, right, seconds = TABLES[name]
    gold = only(tmp_path, row, table).gold
    assert isinstance(gold, CodeGold) and gold.seconds == seconds
    assert verify(right, gold).outcome == "right", verify(right, gold)
    assert verify(right.replace("sum(", "max(0, *"), gold).outcome == "wrong"
