"""C++ and JavaScript: scripts, and tests that follow the program (MultiPL-E)."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ponder.records import CodeGold
from ponder.sandbox.isolation import find_isolation
from ponder.sandbox.javascript import NODE
from ponder.verify import code
from ponder.verify.code import check_code, verify_code

pytestmark = pytest.mark.skipif(not find_isolation().full, reason="other languages need namespaces")
node = pytest.mark.skipif(not os.path.exists(NODE), reason="no node")
cpp = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


JS = CodeGold(
    form="appended",
    program_language="javascript",
    entry_point="pairs",
    prefix="//Neighbours that are equal, as pairs.\nfunction pairs(list){\n",
    tests=(
        "const assert = require('node:assert');\n\nfunction test() {\n  let candidate = pairs;\n"
        "  assert.deepEqual(candidate([1, 1, 2, 2]),[[1, 1], [2, 2]]);\n  assert.deepEqual(candidate([]),[]);\n"
        "  assert.deepEqual(candidate([3]),[]);\n}\n\ntest();",
    ),
)
BODY = (
    "  const out = [];\n  for (let i = 1; i < list.length; i++)\n"
    "    if (list[i] === list[i - 1]) out.push([list[i], list[i - 1]]);\n  return out;\n}\n"
)
ENDS = [
    ("function pairs(list){\n" + BODY, "right"),
    ("```javascript\nfunction pairs(list){\n" + BODY + "```", "right"),
    ("```js\nconst pairs = (list) => {\n" + BODY + "```", "right"),
    (BODY, "right"),
    ("function pairs(list){\n" + BODY.replace("i = 1", "i = 2"), "wrong"),
    ("function pairs(list){ return; }", "wrong"),
    ("function pairs(list){ process.exit(0); }", "wrong"),
    ("process.exit(0);\nfunction pairs(list){}", "wrong"),
    ("function pairs(list){ throw new Error('no'); }", "wrong"),
    ("require('node:assert').deepEqual = () => {};\nfunction pairs(list){ return 7; }", "wrong"),
    ("Array.prototype.push = () => 1;\nObject.is = () => true;\nfunction pairs(list){ return 7; }", "wrong"),
    ("function pairs(list", "wrong"),
    ("function pairs(list){ while (true) {} }", "wrong"),
    ("function pairs(list){ return new (class Box { valueOf() { return []; } })(); }", "cannot_tell"),
]  # fmt: skip


@node
@pytest.mark.parametrize(("program", "outcome"), ENDS)
def test_javascript(program: str, outcome: str) -> None:
    verdict = verify_code(program, JS, wall_seconds=4.0)
    if "while" in program and verdict.outcome == "cannot_tell":
        pytest.skip("the machine is too busy for a loop to use its processor time")
    assert verdict.outcome == outcome, verdict


@node
def test_javascript_that_prints() -> None:
    gold = CodeGold(form="stdio", program_language="javascript", tests=("2 3", "4 5"), outputs=("6", "20"))
    program = "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number);\nconsole.log(a * b);"
    assert verify_code(program, gold).outcome == "right", verify_code(program, gold)
    assert verify_code(program.replace("a * b", "a + b"), gold).outcome == "wrong"


CPP = CodeGold(
    form="appended",
    program_language="cpp",
    entry_point="doubled",
    prefix="#include<assert.h>\n#include<vector>\n#include<cstdlib>\n// Twice each number.\n"
    "std::vector<long> doubled(std::vector<long> v) {\n",
    tests=(
        "}\nint main() {\n    auto candidate = doubled;\n"
        "    assert(candidate((std::vector<long>({1, 2}))) == (std::vector<long>({2, 4})));\n"
        "    assert(candidate((std::vector<long>())) == (std::vector<long>()));\n}\n",
    ),
)
LOOP = "    for (auto& x : v) x *= 2;\n    return v;\n"
DOUBLED = "std::vector<long> doubled(std::vector<long> v) {\n" + LOOP + "}\n"


@cpp
@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        (DOUBLED, "right"),
        ("```cpp\n#include <vector>\nusing namespace std;\n" + DOUBLED.replace("std::", "") + "```", "right"),
        (LOOP, "right"),
        (DOUBLED.replace("*= 2", "*= 3"), "wrong"),
        (DOUBLED.replace("return v;", "exit(0);"), "wrong"),
        ("#define assert(x)\n" + DOUBLED.replace("*= 2", "*= 3"), "wrong"),
        ("#define NDEBUG\n" + DOUBLED.replace("*= 2", "*= 3"), "wrong"),
        (DOUBLED.replace("x *= 2", "y"), "wrong"),
    ],
)
def test_cpp(program: str, outcome: str) -> None:
    verdict = verify_code(program, CPP)
    assert verdict.outcome == outcome, verdict


@pytest.mark.parametrize(
    ("gold", "why"),
    [
        (CodeGold(tests=("x",), program_language="cpp"), "'stdio' or 'appended'"),
        (CodeGold(tests=("x",), form="appended", entry_point="f"), "'asserts' or 'unittest'"),
        (CodeGold(tests=("int main() { f(); }",), form="appended", program_language="cpp", entry_point="f"), "nothing"),
        (CodeGold(tests=("assert(f(1));",), form="appended", program_language="cpp"), "entry_point"),
        (replace(CPP, tests=("}\nint main() { auto g = doubled; g({}); assert(1 == 1); }",)), "nothing"),
        (replace(CPP, tests=("}\n#define NDEBUG\n#include <cassert>\nint main() { assert(doubled({})); }",)), "NDEBUG"),
        (replace(CPP, tests=("}\nint main() { assert(doubled({}) == doubled({}); }",)), "do not compile"),
        (replace(JS, tests=("const assert = require('node:assert');\npairs([]); assert.equal(1, 1);",)), "nothing"),
        (CodeGold(tests=("x",), outputs=("y",), form="stdio", seconds=0.0), "time limit"),
    ],
)  # fmt: skip
def test_golds_that_cannot_judge(gold: CodeGold, why: str) -> None:
    assert why in (check_code(gold) or "")


def test_a_language_without_its_compiler_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "NODE", "/nonexistent/node")
    assert "install it" in (check_code(JS) or "")


def test_a_time_limit_is_that_of_one_input() -> None:
    busy = (
        "import time\nend = time.process_time() + float(input())\nwhile time.process_time() < end: pass\nprint('done')"
    )
    gold = CodeGold(form="stdio", tests=("0.3",) * 3, outputs=("done",) * 3, seconds=0.6)
    assert verify_code(busy, gold, wall_seconds=0.5).outcome == "right", verify_code(busy, gold)
    gold = CodeGold(form="stdio", tests=("0.01", "2.0"), outputs=("done", "done"), seconds=0.6)
    verdict = verify_code(busy, gold)
    assert verdict.outcome != "right" and verdict.score == 0.5, verdict


def test_output_has_as_much_room_as_the_expected_one() -> None:
    large = "x" * (5 << 20)
    gold = CodeGold(form="stdio", tests=("",), outputs=(large,), seconds=5.0)
    assert verify_code(f"print('x' * {5 << 20})", gold).outcome == "right"
    short = CodeGold(form="stdio", tests=("",), outputs=("x" * (4 << 20),))
    assert verify_code(f"print('x' * {4 << 20} + '\\n' * {4 << 20} + 'y')", short).outcome == "wrong"
    gold = CodeGold(form="stdio", tests=("",), outputs=("x",))
    verdict = verify_code(f"print('x' + ' ' * {5 << 20})", gold)
    assert verdict.outcome == "wrong" and "more than" in verdict.reason, verdict
