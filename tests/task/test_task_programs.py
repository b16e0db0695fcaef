"""Code problems in the forms that sets of them come in, from a table to a verdict."""

import base64
import json
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.recipe.problems import FileProblems
from ponder.records import CodeGold
from ponder.task import Loaded, load_problems
from ponder.verify import code, verify


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


def load(folder: Path, *rows: dict[str, Any], **settings: Any) -> Loaded:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_problems([FileProblems.model_validate({"path": str(path), "gold": "code", **settings})])


def packed(tests: object) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


LIVE = {
    "columns": {
        "prompt": "question_content", "tests": ["public_test_cases", "private_test_cases"],
        "entry_point": "metadata.func_name", "starter": "starter_code", "id": "question_id",
    },
    "time_limit": 3,
}  # fmt: skip
STDIN = {
    "question_content": "Add two numbers.", "question_id": "a1", "starter_code": "", "metadata": "{}",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": packed([{"input": "5 6\n", "output": "11\n", "testtype": "stdin"}]),
}  # fmt: skip
FUNCTIONAL = {
    "question_content": "Running sums.", "question_id": "b2", "metadata": json.dumps({"func_name": "sums"}),
    "starter_code": "class Solution:\n    def sums(self, numbers: List[int], start: int) -> List[int]:\n        ",
    "public_test_cases": json.dumps([{"input": "[1, 2]\n0", "output": "[1, 3]", "testtype": "functional"}]),
    "private_test_cases": packed([
        {"input": "[]\n4", "output": "[]", "testtype": "functional"},
        {"input": "[1, 1, 1]\n2", "output": "[3, 4, 5]", "testtype": "functional"},
    ]),
}  # fmt: skip
METHOD = (
    "class Solution:\n    def sums(self, numbers: List[int], start: int) -> List[int]:\n"
    "        return list(accumulate(numbers, initial=start))[1:]"
)


def test_live_code_bench(tmp_path: Path) -> None:
    loaded = load(tmp_path, STDIN, FUNCTIONAL, **LIVE)
    assert not loaded.left_out, loaded.summary()
    by_input, by_function = loaded.problems
    assert isinstance(by_input.gold, CodeGold) and isinstance(by_function.gold, CodeGold)
    assert (by_input.gold.form, by_input.gold.tests, by_input.gold.seconds) == ("stdio", ("1 2\n", "5 6\n"), 3.0)
    assert by_function.prompt.endswith("def sums(self, numbers: List[int], start: int) -> List[int]:")
    assert verify("print(sum(map(int, input().split())))", by_input.gold).outcome == "right"
    assert verify("print(3)", by_input.gold).outcome == "wrong"
    assert verify(METHOD, by_function.gold).outcome == "right", verify(METHOD, by_function.gold)
    assert verify(METHOD.replace("list(", "tuple("), by_function.gold).outcome == "right"
    for wrong in (METHOD.replace("[1:]", ""), METHOD.replace("return", "return [3, 4, 5] #"), "class Solution: pass"):
        assert verify(wrong, by_function.gold).outcome == "wrong"


def test_functions_of_apps(tmp_path: Path) -> None:
    tests = {"fn_name": "twice", "inputs": [[2], [5]], "outputs": [[4], [10]]}
    loaded = load(tmp_path, {"prompt": "Twice.", "tests": json.dumps(tests)})
    (problem,) = loaded.problems
    assert problem.gold is not None
    assert verify("def twice(x): return 2 * x", problem.gold).outcome == "right"
    assert verify("def twice(x): return x * x", problem.gold).outcome == "wrong"


@pytest.mark.parametrize("body", ["return [max(xs)]", "return max(xs)", "return (max(xs),)"])
def test_a_list_of_one_result_is_the_result_or_the_list(tmp_path: Path, body: str) -> None:
    """APPS wraps some results and not others; its own tester takes both."""
    tests = {"fn_name": "most", "inputs": [[[3, 1]], [[2]]], "outputs": [[3], [2]]}
    (problem,) = load(tmp_path, {"prompt": "Most.", "tests": json.dumps(tests)}).problems
    assert problem.gold is not None
    assert verify(f"def most(xs): {body}", problem.gold).outcome == "right"
    assert verify(f"def most(xs): {body.replace('max', 'min')}", problem.gold).outcome == "wrong"


def test_other_languages_comparisons_and_limits(tmp_path: Path) -> None:
    row = {"prompt": "Half of a number.", "tests": [{"input": "3", "output": "1.5"}], "limit": "2 seconds"}
    settings = {"program_language": "cpp", "comparison": "numeric", "columns": {"time_limit": "limit"}}
    gold = load(tmp_path, row, **settings).problems[0].gold
    assert isinstance(gold, CodeGold)
    assert (gold.program_language, gold.comparison, gold.seconds) == ("cpp", "numeric", 2.0)
    appended = {"prompt": "function f(x){\n", "tests": "const assert = require('assert');\n"
                "function test() { let candidate = f; assert.equal(candidate(1), 2); }\ntest();"}  # fmt: skip
    gold = load(tmp_path, appended, program_language="javascript").problems[0].gold
    assert isinstance(gold, CodeGold) and (gold.form, gold.entry_point) == ("appended", "f")


EXTENDED = """
import numpy as np

def is_floats(x):
    return isinstance(x, float) or isinstance(x, np.ndarray)

def assertion(out, exp, atol):
    exact_match = out == exp
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if not exact_match and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert exact_match
"""


def test_extended_human_eval_and_mbpp(tmp_path: Path) -> None:
    check = EXTENDED + (
        "def check(candidate):\n    inputs = [[1], [2.5]]\n    results = [2, 5.0000000001]\n"
        "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n        assertion(candidate(*inp), exp, 0)\n"
    )
    row = {"prompt": 'def f(x):\n    """Twice."""\n', "test": check, "entry_point": "f"}
    columns = {"tests": "test", "entry_point": "entry_point"}
    flat = EXTENDED + "for inp, exp in zip([[1], [2.5]], [2, 5.0]):\n    assertion(f(*inp), exp, 0)\n"
    for loaded in (load(tmp_path, row, columns=columns), load(tmp_path, {"prompt": "Twice.", "tests": flat})):
        (problem,) = loaded.problems
        assert problem.gold is not None
        assert verify("def f(x):\n    return 2 * x", problem.gold).outcome == "right"
        for wrong in ("return 2 * x + 1e-3", "return None", "return 2", "raise ValueError(x)"):
            assert verify(f"def f(x):\n    {wrong}", problem.gold).outcome == "wrong"


def test_a_question_in_words_is_not_put_before_the_program(tmp_path: Path) -> None:
    check = "def check(candidate):\n    assert candidate(1) == 2\n"
    for question in ("Add one.", "hello", "def f(x): adds one, please", "```python\ndef f(x):\n```"):
        row = {"prompt": question, "tests": check, "name": "f"}
        gold = load(tmp_path, row, columns={"entry_point": "name"}).problems[0].gold
        assert isinstance(gold, CodeGold) and gold.prefix == ""
        assert verify("def f(x): return x + 1", gold).outcome == "right"
        assert verify("def f(x): return x", gold).outcome == "wrong"


BAD = [
    ({"tests": "def f(:"}, {}, "does not compile"),
    ({"tests": "x = f(1)"}, {}, "check nothing"),
    ({"tests": ["def look():\n    assert f(1) == 2"]}, {}, "check nothing"),
    ({"tests": [{"input": "1", "output": "2", "testtype": "interactive"}]}, {}, "'tests' has cases of the type"),
    ({"tests": [{"input": "1", "wanted": "2"}]}, {}, "a case with input, wanted"),
    ({"tests": {"stdin": ["1"]}}, {}, "expected inputs and outputs"),
    ({"tests": {"inputs": ["1", "2"], "outputs": ["1"]}}, {}, "2 inputs and 1 outputs"),
    ({"tests": 7}, {}, "expected a list of texts"),
    ({"tests": "assert f(1) == 2"}, {"program_language": "cpp"}, "name no function"),
    ({"tests": "assert f(1) == 2", "s": "soon"}, {"columns": {"time_limit": "s"}}, "expected a time limit"),
    ({"tests": base64.b64encode(zlib.compress(pickle.dumps(print))).decode()}, {}, "cannot be unpacked"),
    ({"tests": {"fn_name": "f", "inputs": ["nonsense"], "outputs": ["1"]}}, {}, "expected JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "settings", "reason"), BAD)
def test_tests_that_cannot_be_used_are_left_out_and_listed(
    tmp_path: Path, row: dict[str, Any], settings: dict[str, Any], reason: str
) -> None:
    usable: Any = [{"input": "1", "output": "2"}] if "program_language" in settings else "assert f(1) == 2"
    good = {"prompt": "Good.", "tests": usable, "s": 1}
    loaded = load(tmp_path, good, {"prompt": "Bad."} | row, **settings)
    assert [left.row for left in loaded.left_out][-1:] == [2]
    assert reason in loaded.left_out[-1].reason, loaded.left_out
