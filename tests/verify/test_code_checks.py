"""Test files as their own runners run them: nothing that checks nothing, or raises anywhere, passes anything."""

from collections.abc import Iterator

import pytest

from ponder.records import CodeGold
from ponder.verify import code
from ponder.verify.code import check_code, verify_code

RIGHT = "def f(x): return x + 1"
WRONG = "def f(x): return None"


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


FILES = {
    "a helper checks": "def equal(a, b):\n    assert a == b\nequal(f(1), 2)\nequal(f(2), 3)",
    "a helper of a helper": "def one(a, b):\n    assert a == b\n"
        "def both():\n    one(f(1), 2)\n    one(f(2), 3)\nboth()",
    "main": "def run():\n    assert f(1) == 2\nif __name__ == '__main__':\n    run()",
    "main without a function": "if __name__ == '__main__':\n    assert f(1) == 2\n    print('ok')",
    "main that exits": "import sys\ndef main():\n    assert f(1) == 2\n    return 0\n"
                       "if __name__ == '__main__':\n    sys.exit(main())",
    "a check function": "def check(candidate):\n    assert candidate(1) == 2",
    "a check through a helper": "def same(out, exp, atol):\n    ok = out == exp\n    assert ok\n"
        "def check(candidate):\n    for i, o in zip([[1], [2]], [2, 3]):\n        same(candidate(*i), o, 0)",
    "a check that is a coroutine": "async def check(candidate):\n    assert candidate(1) == 2",
    "a check that raises": "def check(candidate):\n    if candidate(1) != 2:\n        raise ValueError('no')",
    "a raise at the top": "r = f(1)\nif r != 2: raise RuntimeError(r)",
    "test functions": "def test_one():\n    assert f(1) == 2\ndef test_two():\n    assert f(2) == 3",
    "test functions that are called": "def test_one():\n    assert f(1) == 2\ntest_one()",
    "a coroutine": "async def test_one():\n    assert f(1) == 2",
    "asyncio.run": "import asyncio\nasync def main():\n    assert f(1) == 2\nasyncio.run(main())",
    "a test class": "class TestF:\n    def setup_method(self):\n        self.x = 1\n"
                    "    def test_one(self):\n        assert f(self.x) == 2",
    "a check called by a function": "def check(candidate):\n    assert candidate(1) == 2\n"
        "def run():\n    check(f)\nrun()",
    "a check that is a lambda": "check = lambda function: function(1) == 2\nassert check(f)",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n    def test_one(self):\n"
                "        self.assertEqual(f(1), 2)\nif __name__ == '__main__':\n    unittest.main()",
    "unittest with coroutines": "import unittest\nclass T(unittest.IsolatedAsyncioTestCase):\n"
                                "    async def test_one(self):\n        self.assertEqual(f(1), 2)",
    "parameters": "import pytest\n@pytest.mark.parametrize('x, y', [(1, 2), pytest.param(2, 3, id='two')])\n"
                  "def test_f(x, y):\n    assert f(x) == y",
    "fixtures": "import pytest\n@pytest.fixture\ndef x():\n    yield 1\n@pytest.fixture\ndef y(x):\n    return x + 1\n"
                "def test_f(x, y):\n    assert f(x) == y",
    "fixtures of a class": "import pytest\nclass TestF:\n    @pytest.fixture(autouse=True)\n    def begin(self):\n"
        "        self.x = 1\n    def test_f(self):\n        assert f(self.x) == 2",
    "fixtures with parameters": "import pytest\n@pytest.fixture(params=[1, 2])\ndef x(request):\n"
        "    return request.param\ndef test_f(x):\n    assert f(x) == x + 1",
    "numpy.testing": "from numpy.testing import assert_allclose\nassert_allclose(f(1.0), 2.0)\n"
        "import numpy as np\nnp.testing.assert_allclose([f(1.0)], [2.0])",
    "raises at the top": "import pytest\nwith pytest.raises(TypeError):\n    f('x')\nassert f(1) == 2",
    "approximately": "import pytest\ndef test_f():\n    assert f(0.2) == pytest.approx(1.2)",
    "numpy": "import numpy as np\ndef assertion(out, exp, atol):\n    exact = out == exp\n"
             "    if not exact and atol != 0:\n        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n"
             "    else:\n        assert exact\nfor i, e in zip([[1], [0.1]], [2, 1.1]):\n    assertion(f(*i), e, 1e-6)",
}  # fmt: skip


@pytest.mark.parametrize("form", ["asserts", "unittest"])
@pytest.mark.parametrize("name", FILES)
def test_checks_are_made_wherever_they_stand(name: str, form: str) -> None:
    tests = FILES[name]
    if form == "unittest":
        tests = f"from solution import f\n{tests}" + ("\ncheck(f)" if "def check" in tests else "")
    gold = CodeGold(tests=(tests,), form=form, entry_point="f")  # type: ignore[arg-type]
    assert check_code(gold) is None
    assert verify_code(RIGHT, gold).outcome == "right", verify_code(RIGHT, gold)
    for wrong in (WRONG, "def f(x): raise ValueError(x)", "def f(x): return x + 1 if x > 2 else x"):
        assert verify_code(wrong, gold).outcome == "wrong", verify_code(wrong, gold)


NEAR = {
    "allclose": "import numpy as np\nassert np.allclose(f(1), 2.0)",
    "the other way round": "import numpy as np\nassert np.allclose(2.0, f(1))",
    "assert_allclose": "import numpy as np\nnp.testing.assert_allclose(f(1), 2.0)",
    "not far": "import numpy as np\nassert not not np.allclose(f(1), 2.0)",
    "in a list": "import numpy as np\nassert np.allclose([f(1), 5], [2.0, 5])",
}


@pytest.mark.parametrize("name", NEAR)
def test_a_number_is_near_to_numbers_alone(name: str) -> None:
    gold = CodeGold(tests=(NEAR[name],), entry_point="f")
    assert verify_code("def f(x): return x + 1.0000000001", gold).outcome == "right"
    for wrong in ("[]", "()", "[[]]", "[2.0]", "[2.0, 2.0]", "None", "'2'"):
        assert verify_code(f"def f(x): return {wrong}", gold).outcome == "wrong", wrong


def test_numbers_of_a_list_are_near_to_as_many() -> None:
    gold = CodeGold(tests=("import numpy as np\nassert np.allclose(f(3), [3.0, 3.0])",), entry_point="f")
    assert verify_code("def f(x): return (x, 3.0000000001)", gold).outcome == "right"
    for wrong in ("[]", "[3]", "3", "[[], []]", "[[3, 3]]"):
        assert verify_code(f"def f(x): return {wrong}", gold).outcome == "wrong", wrong


METHOD = "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n        "
NOTHING = {
    "no check": "f(1)",
    "a constant": "f(1)\nassert True",
    "a number": "assert 1 + 1 == 2",
    "a function that nothing calls": "def look():\n    assert f(1) == 2",
    "a coroutine that nothing runs": "async def look():\n    assert f(1) == 2",
    "only prints": "print('PASS' if f(1) == 2 else 'FAIL')",
    "a test without a check": "def test_f():\n    f(1)",
    "a tuple": "assert (f(1) == 2, 'f of 1')",
    "a lambda": "assert lambda: f(1) == 2",
    "a generator": "assert (f(x) == x + 1 for x in range(3))",
    "a list": "assert [f(1) == 2]",
    "or a message": "assert f(1) == 2 or 'f of 1'",
    "a value and itself": "r = f(1)\nassert r == r",
    "a value and itself, in a test": "def test_f():\n    r = f(1)\n    assert r == r and r is r",
    "a message alone": METHOD + "self.assertTrue(2, f(1))",
    "a message that compares": METHOD + "self.assertTrue('f', f(1) == 2)",
    "a value equal to itself": METHOD + "r = f(1)\n        self.assertEqual(r, r)",
    "constants": METHOD + "f(1)\n        self.assertEqual(2, 2, msg='f')",
}


@pytest.mark.parametrize("form", ["asserts", "unittest"])
@pytest.mark.parametrize("name", NOTHING)
def test_what_checks_nothing_cannot_tell(name: str, form: str) -> None:
    tests = NOTHING[name] if form == "asserts" else f"from solution import f\n{NOTHING[name]}"
    gold = CodeGold(tests=(tests,), form=form, entry_point="f")  # type: ignore[arg-type]
    assert "check nothing" in (check_code(gold) or "")
    for program in (RIGHT, WRONG):
        assert verify_code(program, gold).outcome == "cannot_tell"


@pytest.mark.parametrize("check", [
    "assert f(1) == f(1) == 2", "r = f(1)\nassert not r != r and r == 2", "assert (f(1) == 2) and (1, 2)",
    METHOD + "self.assertTrue(f(1) == 2, 'f')",
    METHOD + "self.assertEqual(first=2, second=f(1))",
])  # fmt: skip
def test_what_can_fail_is_a_check(check: str) -> None:
    gold = CodeGold(tests=(check,), entry_point="f")
    assert (verify_code(RIGHT, gold).outcome, verify_code(WRONG, gold).outcome) == ("right", "wrong")


MISSPELT = "import pytest\nfrom solution import f\n"


@pytest.mark.parametrize("tests", [
    MISSPELT + "def test_f():\n    with pytest.raises(Exception):\n        f_of(f(1))",
    MISSPELT + "def test_f():\n    assert f(1) == EXPECTED",
    MISSPELT + "assert f(1) == EXPECTED",
    MISSPELT + "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n"
        "        with self.assertRaises(NameError):\n            f_of(f(1))",
])  # fmt: skip
def test_a_name_that_nothing_defines_judges_nobody(tests: str) -> None:
    gold = CodeGold(form="unittest", tests=(tests,))
    assert {verify_code(program, gold).outcome for program in (RIGHT, WRONG)} == {"cannot_tell"}


def test_a_name_that_a_right_program_defines_is_its_own() -> None:
    gold = CodeGold(tests=("assert f(1) == two()",), answer=RIGHT + "\ndef two(): return 2")
    assert verify_code(RIGHT, gold).outcome == "wrong"
    gold = CodeGold(tests=("assert f(1) == EXPECTED",), answer=RIGHT)
    assert verify_code(RIGHT, gold).outcome == verify_code(WRONG, gold).outcome == "cannot_tell"
    gold = CodeGold(tests=("for x in f(1): last = x\nassert last == 2",), answer="def f(x): return [2]")
    assert verify_code("def f(x): return []", gold).outcome == "wrong"
    assert verify_code("def f(x):\n    raise NameError('last')", gold).outcome == "wrong"
    gold = CodeGold(tests=("import pytest\nwith pytest.raises(NameError): f(1)",), entry_point="f")
    assert verify_code("def f(x): return unknown", gold).outcome == "right"


EVASIONS = {
    "skips on what came": "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n        r = f(1)\n"
        "        if r is None: self.skipTest('not done')\n        self.assertEqual(r, 2)",
    "a bare except": "try:\n    assert f(1) == 2\nexcept:\n    pass",
    "except Exception": "def test_f():\n    try:\n        r = f(1)\n        assert r == 2\n    except Exception as e:\n"
        "        print(e)",
    "suppressed": "import contextlib\nwith contextlib.suppress(Exception):\n    assert f(1) == 2",
    "returns before": "def test_f():\n    try:\n        r = f(1) + 0\n    except TypeError:\n        return\n"
        "    assert r == 2",
    "a loop over what came": "def test_f():\n    for x in f(1) or []:\n        assert x == 2",
    "setup raises": "y = f(1) + 1\nassert y == 3",
    "after the checks": "assert callable(f)\nf(1).bit_length()",
}  # fmt: skip


@pytest.mark.parametrize("name", EVASIONS)
def test_a_failure_that_the_tests_pass_over_is_none_the_less_one(name: str) -> None:
    verdict = verify_code(WRONG, CodeGold(tests=(EVASIONS[name],), entry_point="f"))
    assert verdict.outcome != "right", verdict
    assert name in ("returns before", "skips on what came", "a loop over what came") or verdict.outcome == "wrong"


@pytest.mark.parametrize("name", sorted(EVASIONS.keys() - {"a loop over what came"}))
def test_and_a_right_program_passes_them(name: str) -> None:
    gold = CodeGold(tests=(EVASIONS[name],), entry_point="f")
    assert verify_code(RIGHT, gold).outcome == "right", verify_code(RIGHT, gold)


EXPECTED = {
    "raises": "import pytest\ndef test_f():\n    with pytest.raises(ValueError, match='low'):\n        f(-1)",
    "assertRaises": "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n"
                    "        with self.assertRaises(ValueError) as caught:\n            f(-1)\n"
                    "        self.assertEqual(caught.exception.args, ('too low', -1))",
    "try and assert False": "try:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass",
    "try, else": "try:\n    f(-1)\nexcept ValueError:\n    pass\nelse:\n    raise AssertionError('no')",
    "any exception": "try:\n    f(-1)\nexcept Exception as e:\n    assert 'low' in str(e)\nelse:\n    assert False",
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_an_exception_may_be_what_is_checked(name: str) -> None:
    gold = CodeGold(tests=(EXPECTED[name],), entry_point="f")
    raises = "def f(x):\n    if x < 0: raise ValueError('too low', x)\n    return x"
    assert verify_code(raises, gold).outcome == "right", verify_code(raises, gold)
    for wrong in (WRONG, "def f(x): raise KeyError(x)"):
        assert verify_code(wrong, gold).outcome == "wrong", verify_code(wrong, gold)


ENDS = {
    "ends well": "import sys\ndef f(x):\n    if x > 1: sys.exit(0)\n    return x + 1",
    "ends": "def f(x):\n    if x > 1: raise SystemExit\n    return x + 1",
    "skips": "import unittest\ndef f(x):\n    if x > 1: raise unittest.SkipTest('x')\n    return x + 1",
    "should stop": "import unittest.case\ndef f(x):\n    if x > 1: raise unittest.case._ShouldStop\n    return x + 1",
    "interrupts": "def f(x):\n    if x > 1: raise KeyboardInterrupt\n    return x + 1",
    "fails an assert": "def f(x):\n    assert x < 2\n    return x + 1",
    "ends a generator": "def f(x):\n    if x > 1: raise StopIteration\n    return x + 1",
    "leaves": "import os\ndef f(x):\n    if x > 1: os._exit(0)\n    return x + 1",
}
LOOPS = {
    "a loop": "for i in range(4):\n    assert f(i) == i + 1",
    "a test": "def test_f():\n    for i in range(4):\n        assert f(i) == i + 1",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n        for i in range(4):\n"
                "            self.assertEqual(f(i), i + 1)",
    "main": "def main():\n    for i in range(4):\n        assert f(i) == i + 1\nif __name__ == '__main__':\n    main()",
    "check": "def check(candidate):\n    for i in range(4):\n        assert candidate(i) == i + 1",
    "all": "assert all(f(i) == i + 1 for i in range(4))",
    "zip": "for x, y in zip(map(f, range(4)), [1, 2, 3, 4]):\n    assert x == y",
}  # fmt: skip


@pytest.mark.parametrize("ending", ENDS)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_program_that_ends_the_tests_early_passes_none(loop: str, ending: str) -> None:
    gold = CodeGold(tests=(LOOPS[loop],), entry_point="f")
    private = ("ends a generator", "should stop")  # a loop's own ending, and one of unittest's, which changed in 3.13
    allowed = ("wrong", "cannot_tell") if ending in private else ("wrong",)
    assert verify_code(ENDS[ending], gold).outcome in allowed, verify_code(ENDS[ending], gold)


STOLEN = {
    "abs": ("assert abs(f(3) - 4) < 1e-6", "def abs(x): return 0\n"),
    "sorted": ("assert sorted(f(3)) == [1, 2]", "def sorted(x): return [1, 2]\n"),
    "len": ("assert len([f(3)]) == 2", "def len(x): return 2\n"),
    "isclose": ("assert isclose(f(3), 4)", "def isclose(*a, **k): return True\n"),
    "a helper": ("assert same(f(3), 4)", "def same(*a): return True\n"),
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", STOLEN)
def test_names_of_the_tests_are_not_taken_from_the_program(name: str, first: bool) -> None:
    check, stolen = STOLEN[name]
    star, own = "from solution import *\n", "from math import isclose\ndef same(a, b):\n    return a == b\n"
    tests = (own + star if first else star + own) + f"def test_f():\n    {check}\n"
    gold = CodeGold(tests=(tests,), form="unittest")
    assert verify_code(stolen + "def f(x): return 9", gold).outcome == "wrong"
    assert verify_code(stolen + "def f(x): return 9", CodeGold(tests=(own + check,))).outcome == "wrong"


LYING_MODULES = {
    "math": "assert math.isclose(f(2), 4)",
    "in a condition": "if not math.isclose(f(2), 4): raise AssertionError",
    "json": "assert json.dumps(f(2)) == json.dumps(4)",
    "operator": "assert operator.eq(f(2), 4)",
}


@pytest.mark.parametrize("answer", [None, "def f(x): return 2 * x"])
@pytest.mark.parametrize("name", LYING_MODULES)
def test_modules_of_the_tests_are_not_taken_from_the_program(name: str, answer: str | None) -> None:
    gold = CodeGold(tests=(LYING_MODULES[name],), entry_point="f", answer=answer)
    right = "import math, json, operator\ndef f(x): return 2 * x"
    assert verify_code(right, gold).outcome == "right", verify_code(right, gold)
    lies = "\n    ".join(
        f"{name} = staticmethod(lambda *a, **k: {value})"
        for name, value in (("isclose", True), ("dumps", 4), ("eq", True))
    )
    program = "class Lie: pass\ndef f(x): return Lie()\n"
    for module in ("math", "json", "operator"):
        program += f"class {module}:\n    {lies}\n"
    assert verify_code(program, gold).outcome != "right", verify_code(program, gold)


def test_a_name_of_the_program_may_be_that_of_a_module() -> None:
    tests = ("assert copy(3) == 3", "string = f(2)\nassert string.upper() == 'AA'", "assert bisect.half(4) == 2")
    program = (
        "def copy(x): return x\ndef f(x): return 'a' * x\nclass bisect:\n    half = staticmethod(lambda x: x // 2)"
    )
    assert verify_code(program, CodeGold(tests=tests)).outcome == "right", verify_code(program, CodeGold(tests=tests))


LIAR = """
class Box:
    def __init__(self, v=0): self.v = v
    def get(self): return Box()
    def __bool__(self): return True
    def __hash__(self): return 0
    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = lambda *a: True
    __ne__ = lambda *a: False
    __sub__ = __rsub__ = __add__ = __radd__ = lambda self, other: 0
    __abs__ = lambda self: 0
    __round__ = lambda self, n=0: 4
"""
COMPARISONS = [
    "self.assertEqual(Box(4).get(), 4)", "self.assertAlmostEqual(Box(4).get(), 4)", "self.assertIn(4, Box(4).get())",
    "self.assertIn(Box(4).get(), [4])", "self.assertTrue(abs(Box(4).get() - 4) < 1e-6)",
    "self.assertTrue(4 - Box(4).get() == 0)", "self.assertEqual(round(Box(4).get(), 2), 4)",
    "self.assertGreater(Box(4).get(), 3)", "self.assertLess(3, Box(4).get())", "assert Box(4).get() >= 4",
    "self.assertTrue(4 in Box(4).get())", "self.assertEqual([Box(4).get()], [4])", "assert {Box(4).get()} == {4}",
    "self.assertCountEqual([Box(4).get()], [4])", "self.assertEqual(sum([Box(4).get()]), 4)",
]  # fmt: skip
HONEST = "class Box:\n    def __init__(self, v): self.v = v\n    def get(self): return self.v\n"


@pytest.mark.parametrize("answer", [None, HONEST], ids=["no gold program", "gold program"])
@pytest.mark.parametrize("check", COMPARISONS)
def test_an_object_of_a_class_under_test_decides_no_comparison(check: str, answer: str | None) -> None:
    head = "import unittest\nfrom solution import Box\nclass T(unittest.TestCase):\n    def test_it(self):\n"
    tests = f"{head}        {check}"
    gold = CodeGold(tests=(tests,), form="unittest", answer=answer)
    assert verify_code(LIAR, gold).outcome != "right", verify_code(LIAR, gold)


POINT = """
from dataclasses import dataclass
@dataclass(order=True)
class P:
    x: int
    y: int
    def __add__(self, o): return P(self.x + o.x, self.y + o.y)
    def __mul__(self, n): return P(self.x * n, self.y * n)
"""


def test_objects_are_equal_where_they_hold_the_same() -> None:
    tests = ("assert P(1, 2) + P(3, 4) == P(4, 6)", "assert P(1, 2) * 2 == P(2, 4)", "assert P(1, 2) != P(2, 1)",
             "assert P(1, 2) < P(1, 3)", "assert (P(1, 2) + P(0, 1)).y == 3")  # fmt: skip
    gold = CodeGold(tests=tests, answer=POINT)
    assert verify_code(POINT, gold).outcome == "right", verify_code(POINT, gold)
    always = POINT.replace("order=True", "eq=False") + "    __eq__ = lambda *a: True\n    __lt__ = lambda *a: True\n"
    for wrong in (always, always.replace("self.x + o.x", "self.x"), POINT.replace("self.y * n", "self.y")):
        assert verify_code(wrong, gold).outcome != "right", verify_code(wrong, gold)
    assert verify_code(always.replace("self.x + o.x", "0"), CodeGold(tests=tests[:1], answer=POINT)).outcome != "right"
