"""Programs against tests: every form, language and comparison."""

import os
import shutil
from collections.abc import Iterator

import pytest

from ponder.records import CodeGold
from ponder.verify import code
from ponder.verify.code import verify_code
from ponder.verify.output import same_output
from ponder.verify.program import find_program


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


def judge(program: str, *tests: str, **gold: object) -> tuple[str, float]:
    verdict = verify_code(program, CodeGold(tests=tests, **gold))  # type: ignore[arg-type]
    return verdict.outcome, round(verdict.score, 2)


ASSERTS = [
    ("def f(x): return x + 1", ("assert f(1) == 2",), "right"),
    ("def f(x): return x + 1", ("assert f(1) == 3",), "wrong"),
    ("f = lambda x: x", ("assert f(1)",), "right"),
    ("def f(x): return (x, [x])", ("assert f(1) == (1, [1])", "assert f('a')[1] == ['a']"), "right"),
    ("def f(x): return [x, [x]]", ("assert f(1) == (1, [1])",), "wrong"),
    ("def f(): return {1: {2, 3}, 'a': frozenset([4])}", ("assert f() == {1: {2, 3}, 'a': frozenset([4])}",), "right"),
    ("def f(): return b'x', bytearray(b'y'), 1 + 2j, range(3)", (
        "assert f() == (b'x', bytearray(b'y'), 1 + 2j, range(3))",), "right"),
    ("def f(): return 3 ** 5000", ("assert f() == 3 ** 5000",), "right"),
    ("def f(): return float('nan')", ("assert f() != f()",), "right"),
    ("def f(): return float('inf')", ("assert f() == float('inf')",), "right"),
    ("def f(): return None", ("assert f() is None",), "right"),
    ("def f(): return True", ("assert f() is True",), "right"),
    ("def f(): return 1", ("assert f() is True",), "wrong"),
    ("def f(): return '\\ud800 \\x00 \\u4e2d'", ("assert f() == '\\ud800 \\x00 \\u4e2d'",), "right"),
    ("def f(x):\n    x.sort()", ("a = [3, 1]\nf(a)\nassert a == [1, 3]",), "right"),
    ("def f(x):\n    x[0]['k'] = [9]", ("a = [{}]\nf(a)\nassert a == [{'k': [9]}]",), "right"),
    ("def f(g, x): return g(g(x))", ("assert f(lambda v: v * 2, 3) == 12",), "right"),
    ("def f(x): return sum(x)", ("assert f(i for i in range(4)) == 6", "assert f(map(int, '12')) == 3"), "right"),
    ("def f(n):\n    for i in range(n): yield i", (
        "assert list(f(3)) == [0, 1, 2]", "assert next(f(1)) == 0"), "right"),
    ("def f(a):\n    def g(b): return a + b\n    return g", ("assert f(1)(2) == 3",), "right"),
    ("def f(x): return sorted(x, key=abs)", ("assert f(x=[-3, 1]) == [1, -3]",), "right"),
    ("from collections import *\ndef f(): return Counter('aab'), deque([1]), OrderedDict(a=1)", (
        "from collections import deque\nassert f() == ({'a': 2, 'b': 1}, deque([1]), {'a': 1})",), "right"),
    ("from decimal import *\nfrom fractions import *\ndef f(): return Decimal('1.10'), Fraction(1, 3)", (
        "from decimal import *\nfrom fractions import *\nassert f() == (Decimal('1.1'), Fraction(2, 6))",), "right"),
    ("def f(x):\n    if x < 0: raise ValueError('negative')\n    return x", (
        "try:\n    f(-1)\n    assert False\nexcept ValueError as e:\n    assert 'negative' in str(e)",), "right"),
    ("class MyError(KeyError): pass\ndef f(): raise MyError('k')", (
        "try:\n    f()\n    assert False\nexcept MyError:\n    pass",
        "try:\n    f()\n    assert False\nexcept KeyError:\n    pass"), "right"),
    ("class P:\n    def __init__(s, x): s.x = x\n    def __eq__(s, o): return s.x == o.x\n"
     "    def __add__(s, o): return P(s.x + o.x)\n    def twice(s): return s.x * 2", (
        "assert P(1) + P(2) == P(3)", "assert P(4).twice() == 8", "assert P(5).x == 5", "assert P(1) != P(2)",
        "p = P(1)\np.x = 7\nassert p.x == 7", "assert isinstance(P(1), P)"), "right"),
    ("class N:\n    def __init__(s, v, n=None): s.v, s.n = v, n\ndef f(n):\n    c = 0\n    while n: c, n = c + 1, n.n\n"
     "    return c", ("assert f(N(1, N(2))) == 2",), "right"),
    ("def sum(a, b): return a * b", ("assert sum(2, 3) == 6",), "right"),
    ("def sum(x): return 6\ndef f(x): return x", ("assert sum(f([1, 2])) == 6",), "wrong"),
    ("def g(): return 1", ("assert f() == 1",), "wrong"),
    ("import sys\ndef f(): return sys.argv", ("assert f()",), "right"),
    ("x = 1 / 0", ("assert f(1)",), "wrong"),
    ("if __name__ == '__main__': raise SystemExit\ndef f(): return 1", ("assert f() == 1",), "right"),
    ("def f(): return input()", ("assert f() == ''",), "wrong"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "tests", "outcome"), ASSERTS)
def test_asserts(program: str, tests: tuple[str, ...], outcome: str) -> None:
    verdict = verify_code(program, CodeGold(tests=tests))
    assert verdict.outcome == outcome, verdict


@pytest.mark.parametrize(("program", "tests", "outcome"), [
    ("def f(x): return math.sqrt(x)", ("import math", "assert f(4) == math.sqrt(4)"), "right"),
    ("def f(x): return math.sqrt(x)", ("import math\ndef check(candidate):\n    assert candidate(4) == 2",), "right"),
    ("def f(x): return sqrt(x)", ("from math import *\nassert f(4) == 2",), "right"),
    ("def f(x): return sqrt(x) + 1", ("from math import *\nassert f(4) == 2",), "wrong"),
    ("from __future__ import annotations\ndef f(x: List) -> Y: return Counter(x)",
     ("from collections import Counter\nassert f('a') == {'a': 1}",), "right"),
    ("math = 3\ndef f(x): return math", ("import math\nassert f(4) == 3",), "right"),
    ("def f(x): return math.sqrt(x)", ("assert f(4) == 2",), "wrong"),
])  # fmt: skip
def test_a_program_before_its_tests_has_what_they_import(program: str, tests: tuple[str, ...], outcome: str) -> None:
    assert verify_code(program, CodeGold(tests=tests, entry_point="f")).outcome == outcome


def test_a_module_has_only_what_it_imports() -> None:
    gold = CodeGold(form="unittest", tests=("import math\nfrom solution import f\ndef test_f(): assert f(4) == 2",))
    assert verify_code("def f(x): return math.sqrt(x)", gold).outcome == "wrong"


def test_a_name_of_the_gold_answer_wins_over_a_builtin() -> None:
    gold = CodeGold(tests=("assert sum(f(2), 3) == 6",), answer="def f(x): return x\ndef sum(a, b): return a * b")
    assert verify_code("def f(x): return x\ndef sum(a, b): return a * b", gold).outcome == "right"


def test_score_is_the_fraction_of_cases() -> None:
    assert judge("def f(x): return x", "assert f(1) == 1", "assert f(2) == 3\nassert f(4) == 4") == ("wrong", 0.67)


CHECK = """
def check(candidate):
    import random
    assert candidate(1) == 2
    for i in range(20):
        assert candidate(i) == helper(i), 'loop'
    assert abs(candidate(0.5) - 1.5) < 1e-9
"""
PREFIX = 'def helper(x):\n    return x + 1\n\ndef inc(x):\n    """Add one."""\n'


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("    return x + 1\n", ("right", 1.0)),
        ("def inc(x):\n    return x + 1\n", ("right", 1.0)),
        ("    return 2\n", ("wrong", 0.33)),
        ("    return None\n", ("wrong", 0.0)),
        ("    return 7\ndef helper(x):\n    return 7\n", ("wrong", 0.0)),
    ],
)
def test_check_function_uses_the_prefix_it_came_with(program: str, expected: tuple[str, float]) -> None:
    assert judge(program, CHECK, prefix=PREFIX, entry_point="inc") == expected
    assert judge(program, CHECK, prefix=PREFIX) == expected
    assert judge(program, CHECK + "\ncheck(inc)", prefix=PREFIX) == expected


UNIT = """
import unittest
from solution import Stack, EmptyError
import solution

class TestStack(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
    def test_push(self):
        self.stack.push(3)
        self.assertEqual(self.stack.pop(), 3)
    def test_empty(self):
        with self.assertRaises(EmptyError):
            self.stack.pop()
    def test_size(self):
        for n in range(3):
            with self.subTest(n=n):
                self.stack.push(n)
                self.assertEqual(len(self.stack), n + 1)
    def test_constant(self):
        self.assertEqual(solution.LIMIT, 10)

def test_bare():
    assert Stack().items == []

if __name__ == "__main__":
    unittest.main()
"""
STACK = """
LIMIT = 10
class EmptyError(Exception): pass
class Stack:
    def __init__(self): self.items = []
    def push(self, x): self.items.append(x)
    def pop(self):
        if not self.items: raise EmptyError
        return self.items.pop()
    def __len__(self): return len(self.items)
"""


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (STACK, ("right", 1.0)),
        (STACK.replace("LIMIT = 10", "LIMIT = 11"), ("wrong", 0.8)),
        (STACK.replace("raise EmptyError", "raise KeyError"), ("wrong", 0.8)),
        (STACK.replace("return len(self.items)", "return 1"), ("wrong", 0.8)),
        ("class Stack: pass", ("wrong", 0.0)),
    ],
)
def test_unit_test_files(program: str, expected: tuple[str, float]) -> None:
    assert judge(program, UNIT, form="unittest") == expected


@pytest.mark.parametrize(
    ("program", "outputs", "expected"),
    [
        ("print(int(input()) * 2)", ("2", "4"), ("right", 1.0)),
        ("print(int(input()) * 2)", ("2", "5"), ("wrong", 0.5)),
        ("import sys\nsys.stdout.write(str(int(sys.stdin.read()) * 2))", ("2\n", "4\n"), ("right", 1.0)),
        ("if __name__ == '__main__':\n    print(int(input()) * 2)", ("2", "4"), ("right", 1.0)),
        ("print(int(input()) * 2)\nraise SystemExit(0)", ("2", "4"), ("right", 1.0)),
        ("print(int(input()) * 2)\nraise SystemExit(3)", ("2", "4"), ("wrong", 0.0)),
        ("print(int(input()) * 2)\n1 / 0", ("2", "4"), ("wrong", 0.0)),
        ("print(2, 4)", ("2", "4"), ("wrong", 0.0)),
    ],
)
def test_printed_output(program: str, outputs: tuple[str, str], expected: tuple[str, float]) -> None:
    assert judge(program, "1\n", "2\n", form="stdio", outputs=outputs) == expected


@pytest.mark.parametrize(
    ("printed", "expected", "comparison", "same"),
    [
        (b"a b\n", "a b", "exact", True),
        (b"a  b\n", "a b", "exact", False),
        (b"a b\n\n", "a b", "exact", False),
        (b" a\tb\n\n", "a b", "tokens", True),
        (b"ab", "a b", "tokens", False),
        (b"0.5", "0.50", "tokens", False),
        (b"0.5", "0.50", "numeric", True),
        (b"0.3333333", "0.33333333", "numeric", True),
        (b"0.333", "0.3333", "numeric", False),
        (b"nan", "1", "numeric", False),
        (b"inf", "1e999", "numeric", False),
        (b"nan", "nan", "numeric", True),
        (b"yes 1", "yes 1.0", "numeric", True),
        (b"9999999", "10000000", "numeric", False),
        (b"100000000000000000001", "100000000000000000000", "numeric", False),
        (b"9999999.5", "9999999.6", "numeric", True),
        (b"007 +5 -0", "7 5 0", "numeric", True),
        (b"1_000", "1000", "numeric", False),
        (b"1_0.0", "10.0", "numeric", False),
        (b"1e3", "1000", "numeric", True),
        (b"0x10", "16", "numeric", False),
        (b"-5", "5", "numeric", False),
        (b"infinity", "inf", "numeric", False),
        (b"0.0000001", "0.0", "numeric", True),
        (b"-1e-7", "0", "numeric", True),
        (b"0.00001", "0.0", "numeric", False),
        (b"0.0000001", "0.0000002", "numeric", False),
        (b"1 2", "1", "numeric", False),
        (b"\xff", "\ufffd", "tokens", False),
        (b"", "", "tokens", True),
    ],
)
def test_comparisons(printed: bytes, expected: str, comparison: str, same: bool) -> None:
    assert same_output(printed, expected, comparison) is same  # type: ignore[arg-type]


CPP = "#include <iostream>\nint main() { int x; std::cin >> x; std::cout << 2 * x << std::endl; }\n"


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (CPP, ("right", 1.0)),
        (f"Here it is:\n```cpp\n{CPP}```", ("right", 1.0)),
        (CPP.replace("2 * x", "x + 1"), ("wrong", 0.5)),
        (CPP.replace("int x;", ""), ("wrong", 0.0)),
        ("#include <cstdlib>\nint main() { abort(); }", ("wrong", 0.0)),
        ("#include <cstdio>\nint main() { while (fopen(\"/etc/passwd\", \"r\") == nullptr) {} }", ("wrong", 0.0)),
        ("#include \"/etc/passwd\"\nint main() {}", ("wrong", 0.0)),
    ],
)  # fmt: skip
def test_cpp(program: str, expected: tuple[str, float]) -> None:
    gold = CodeGold(tests=("1", "2"), outputs=("2", "4"), form="stdio", program_language="cpp")
    verdict = verify_code(program, gold, wall_seconds=2.0)
    if verdict.outcome == "cannot_tell" and "while" in program:
        pytest.skip("the machine is too busy for a loop to use its processor time")
    assert (verdict.outcome, verdict.score) == expected, verdict


def test_no_compiler_is_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    gold = CodeGold(tests=("1",), outputs=("2",), form="stdio", program_language="cpp")
    verdict = verify_code(CPP, gold)
    assert (verdict.outcome, "install g++" in verdict.reason) == ("cannot_tell", True)


@pytest.mark.parametrize(
    "gold",
    [
        CodeGold(tests=()),
        CodeGold(tests=("1",), form="stdio"),
        CodeGold(tests=("def f(:",)),
        CodeGold(tests=("1",), program_language="cpp"),
        CodeGold(tests=("import unittest",), form="unittest"),
        CodeGold(tests=("import numpy\nassert f(numpy.int64(1)) == 1",)),
        CodeGold(tests=("import scipy\nfrom solution import f\ndef test_f(): assert f(1) == 1",), form="unittest"),
        CodeGold(tests=("class A: pass\nassert f(A()) == 1",)),
    ],
)
def test_unusable_tests_cannot_tell(gold: CodeGold) -> None:
    verdict = verify_code("def f(x): return 1", gold)
    assert verdict.outcome == "cannot_tell", verdict


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("x = 1", "x = 1"),
        ("```python\nx = 1\n```", "x = 1\n"),
        ("a\n```py\nx = 1\n```\nb\n```py\ny = 2\n```\n", "y = 2\n"),
        ("a\n```\nx = 1\n```\nb\n```\ny = 2\n```\n", "y = 2\n"),
        ("a\n```py\nx = 1\n```\nIt prints\n```\n2\n```\n", "x = 1\n"),
        ("```\ndef f(): pass\n```\nUse it:\n```python\nprint(f())\n```", "def f(): pass\n"),
        ("```python\ndef f(): pass\n```\nUse it:\n```python\nprint(f())\n```", "def f(): pass\n"),
        ("```python\nx = 1\n```\n```text\n1\n```", "x = 1\n"),
        ("~~~python\nx = '''\n```\n'''\n~~~", "x = '''\n```\n'''\n"),
        ("```python\nx = 1", "x = 1"),
        ("```Python3.10\nx = 1\n```", "x = 1\n"),
        ("```python 3\nx = 1\n```", "x = 1\n"),
        ("```c++17\nint x;\n```", None),
        ("```python\nx = 1\n```\nRun it:\n```python\n# it prints\n\n# nothing\n```", "x = 1\n"),
        ("```python\nx = 1\n```\nAgain:\n```python\n# it prints\nx = 2\n```", "# it prints\nx = 2\n"),
        ("```python\n# nothing\n```", "# nothing\n"),
        ("<answer>\n```python\nx = 1\n```\n</answer>", "x = 1\n"),
        ("<answer>x = 1</answer> and <answer>x = 2</answer>", "x = 2"),
        ("<think>```python\nx = 1\n```</think>\nx = 3", "\nx = 3"),
        ("```cpp\nint x;\n```", None),
        ("   ", None),
        ("```python\n```", None),
    ],
)
def test_finding_the_program(text: str, source: str | None) -> None:
    assert find_program(text, CodeGold(tests=("assert f()",), entry_point="f")).source == source


def test_the_version_of_a_language_is_no_other_language() -> None:
    gold = CodeGold(form="stdio", tests=("",), outputs=("5",), program_language="cpp")
    for label in ("cpp", "c++17", "C++20", "cpp14"):
        text = f"```{label}\nint x;\n```\n```cpp\n// that is all\n```"
        assert find_program(text, gold).source == "int x;\n"
    assert find_program("```python3.10\nx = 1\n```", gold).source is None


@pytest.mark.parametrize(
    ("gold", "program"),
    [
        (CodeGold(tests=("assert f(2) == 4",)), "def f(x): return 2 * x"),
        (CodeGold(tests=("assert sorted(f(x) for x in range(2)) == [0, 2]",)), "def f(x): return 2 * x"),
        (CodeGold(tests=("from solution import f\ndef test(): assert f(2) == 4",), form="unittest"), "f = (2).__mul__"),
    ],
)
def test_an_example_of_use_is_not_the_program(gold: CodeGold, program: str) -> None:
    text = f"```python\n{program}\n```\nFor example:\n```python\nprint(f(1))\n```"
    assert verify_code(text, gold).outcome == "right"


@pytest.mark.parametrize(
    "program",
    [
        "import functools\n@functools.lru_cache(maxsize=None)\ndef f(x): return 2 * x",
        "class Twice:\n    def __call__(self, x): return 2 * x\nf = Twice()",
        "import operator, functools\nf = functools.partial(operator.mul, 2)",
    ],
)
def test_whatever_can_be_called_is_called(program: str) -> None:
    assert verify_code(program, CodeGold(tests=("assert f(2) == 4", "assert f(3) == 6"))).outcome == "right"


@pytest.mark.parametrize(
    "text",
    [
        "1. So:\n\n   ```python\n   def f(x):\n       return x + 1\n   ```\n\nDone.",
        "\ufeff```python\ndef f(x):\n    return x + 1\n```",
        "- So:\n\t```\n\tdef f(x):\n\t\treturn x + 1\n\n\t```",
        "   ```python\ndef f(x):\n    return x + 1\n   ```",
    ],
)
def test_a_block_may_stand_in_a_list(text: str) -> None:
    assert verify_code(text, CodeGold(tests=("assert f(1) == 2",))).outcome == "right"


def test_a_script_may_end_itself_by_the_names_of_the_interactive_shell() -> None:
    for end in ("exit()", "quit()", "exit(0)"):
        assert verify_code(f"print(4)\n{end}", CodeGold(tests=("",), outputs=("4",), form="stdio")).outcome == "right"
    assert verify_code("print(4)\nexit(1)", CodeGold(tests=("",), outputs=("4",), form="stdio")).outcome == "wrong"


def test_a_program_runs_on_one_core_and_its_verifier_is_free_again() -> None:
    before = os.sched_getaffinity(0)
    assert judge("import os\ndef f(): return len(os.sched_getaffinity(0))", "assert f() == 1") == ("right", 1.0)
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(
    "said",
    ['[["f"], {"d": [[[1], 2]]}]', '[[["f"]], {"d": []}]', "[1, 2]", '{"d": 3}', '[["f"], {"d": [["f", 1]]}]', "no"],
)
def test_a_forged_list_of_its_names_earns_nothing(said: str) -> None:
    forged = f"import os, struct\nc = {said.encode()!r}\nos.write(4, struct.pack('<Ic', len(c), b'R') + c)\n"
    assert judge(forged + "def f(): return 2", "assert f() == 1") == ("wrong", 0.0)
