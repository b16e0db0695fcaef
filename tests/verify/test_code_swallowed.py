"""A check that failed is a failure, whoever kept it from the runner; the program chooses no part of what is checked."""

from collections.abc import Iterator

import pytest

from ponder.records import CodeGold
from ponder.verify import code
from ponder.verify.code import verify_code
from ponder.verify.output import same_output


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


def judged(program: str, tests: str) -> str:
    form = "unittest" if "import solution" in tests or "from solution" in tests else "asserts"
    return verify_code(program, CodeGold(tests=(tests,), form=form, entry_point="f")).outcome  # type: ignore[arg-type]


CONTEXT = "class Timer:\n    def __enter__(self): return self\n    def __exit__(self, *a): return {}\n"
SWALLOWING = CONTEXT.format(True)
HONEST = CONTEXT.format(False)
GENERATED = (
    "from contextlib import contextmanager, suppress\n@contextmanager\ndef Timer():\n"
    "    with suppress(BaseException): yield\n"
)
BLOCKS = {
    "assert": "with Timer():\n    assert f(2) == 4\nassert f(0) == 0",
    "in a test": "from solution import f, Timer\ndef test_f():\n    with Timer():\n        assert f(2) == 4\n"
    "    assert f(0) == 0",
    "unittest": "import unittest\nfrom solution import f, Timer\nclass T(unittest.TestCase):\n    def test_f(self):\n"
    "        with Timer():\n            self.assertEqual(f(2), 4)\n        self.assertEqual(f(0), 0)",
    "through a helper": "def same(a, b):\n    assert a == b\nwith Timer():\n    same(f(2), 4)\nassert f(0) == 0",
    "on a stack": "import contextlib\nwith contextlib.ExitStack() as stack:\n    stack.enter_context(Timer())\n"
    "    assert f(2) == 4\nassert f(0) == 0",
    "in a loop": "for n in (1, 2):\n    with Timer():\n        assert f(n) == 2 * n\nassert f(0) == 0",
    "not an assertion": "with Timer():\n    assert len(f(2) * 'a') == 4\nassert f(0) == 0",
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_context_manager_of_the_program_swallows_no_check(name: str) -> None:
    assert judged(HONEST + "def f(x): return 2 * x", BLOCKS[name]) == "right"
    assert judged(SWALLOWING + "def f(x): return 2 * x", BLOCKS[name]) == "right"
    for manager in (SWALLOWING, GENERATED):
        verdict = judged(manager + "def f(x): return 0", BLOCKS[name])
        assert verdict == "wrong", verdict
        raises = "def f(x):\n    if x: raise ValueError(x)\n    return 0"
        assert judged(manager + raises, BLOCKS[name]) != "right"


def test_what_a_context_manager_is_for_stays_allowed() -> None:
    program = (
        "class Quiet:\n    def __init__(self, kind): self.kind = kind\n    def __enter__(self): return self\n"
        "    def __exit__(self, kind, *a): return kind is not None and issubclass(kind, self.kind)\n"
    )
    tests = "with Quiet(ZeroDivisionError):\n    1 / 0\nassert Quiet(KeyError).kind is KeyError"
    assert judged(program, tests) == "right"


CALLBACKS = {
    "no argument": "def body():\n    assert f(2) == 4\nrun(body)\nassert f(0) == 0",
    "an argument": "def body(x=2):\n    assert f(x) == 2 * x\nrun(body)\nassert f(0) == 0",
    "unittest": "import unittest\nfrom solution import f, run\nclass T(unittest.TestCase):\n    def test_f(self):\n"
    "        def body():\n            self.assertEqual(f(2), 4)\n        run(body)\n        self.assertEqual(f(0), 0)",
}
RUN = "def run(g):\n    return g()\n"
QUIET = "def run(g):\n    try: return g()\n    except BaseException: return None\n"


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_function_of_the_tests_that_failed_is_no_success(name: str) -> None:
    assert judged(RUN + "def f(x): return 2 * x", CALLBACKS[name]) == "right"
    assert judged(QUIET + "def f(x): return 2 * x", CALLBACKS[name]) == "right"
    assert judged(QUIET + "def f(x): return 0", CALLBACKS[name]) != "right"
    assert judged(QUIET + "def f(x):\n    if x: raise ValueError\n    return 0", CALLBACKS[name]) != "right"
    assert judged(RUN + "def f(x): return 0", CALLBACKS[name]) == "wrong"


def test_checks_on_what_the_program_chose_are_none() -> None:
    tests = "from solution import each, f\ndef test_f():\n    def look(x):\n        assert f(x) == 2 * x\n"
    tests += "    each([1, 2], look)"
    assert judged("def each(xs, g): g(0)\ndef f(x): return 0", tests) == "cannot_tell"


def test_failures_that_a_program_repeats_are_its_business() -> None:
    tests = (
        "calls = []\ndef flaky():\n    calls.append(1)\n    if len(calls) < 3: raise RuntimeError('no')\n"
        "    return 'ok'\nassert retry(flaky) == 'ok'\nassert len(calls) == 3"
    )
    program = "def retry(g):\n    for n in range(5):\n        try: return g()\n        except RuntimeError: pass\n"
    assert judged(program, tests) == "right"
    assert judged("def retry(g): return 'ok'", tests) == "wrong"


CAUGHT = {
    "except": "import solution\ndef test_f():\n    try:\n        assert solution.f(3) == 9\n"
    "    except solution.Err:\n        pass\n    assert solution.f(0) == 0",
    "suppress": "import solution, contextlib\ndef test_f():\n    with contextlib.suppress(solution.Err):\n"
    "        assert solution.f(3) == 9\n    assert solution.f(0) == 0",
    "assertRaises": "import unittest, solution\nclass T(unittest.TestCase):\n    def test_f(self):\n"
    "        with self.assertRaises(solution.Err):\n            self.assertEqual(solution.f(3), 9)\n"
    "            solution.f(-1)",
    "raises": "import pytest, solution\ndef test_f():\n    with pytest.raises(solution.Err):\n"
    "        solution.f(-1)\n    assert solution.f(0) == 0",
}


@pytest.mark.parametrize("name", CAUGHT)
def test_the_program_does_not_choose_what_is_caught(name: str) -> None:
    right = "class Err(Exception): pass\ndef f(x):\n    if x < 0: raise Err('low')\n    return x * x"
    assert judged(right, CAUGHT[name]) == "right"
    for kind in ("AssertionError", "Exception", "BaseException"):
        assert judged(f"Err = {kind}\ndef f(x):\n    if x < 0: 1 / 0\n    return 0", CAUGHT[name]) != "right"


def test_an_exception_has_the_attributes_of_its_class() -> None:
    tests = (
        "import pytest, solution\ndef test_f():\n    with pytest.raises(solution.Err) as caught:\n"
        "        solution.f(1)\n    assert caught.value.code == 42"
    )
    assert judged("class Err(ValueError):\n    code = 42\ndef f(x): raise Err('m', x)", tests) == "right"
    assert judged("class Err(ValueError):\n    code = 41\ndef f(x): raise Err('m', x)", tests) == "wrong"
    assert judged("class Err(ValueError): pass\ndef f(x): raise Err('m', x)", tests) == "wrong"


NEAR = {
    "an if": "if abs(f(2) - 4.0) > 1e-6: raise AssertionError('far')",
    "the other way round": "if 1e-6 < abs(f(2) - 4.0): raise AssertionError('far')",
    "a name": "far = abs(f(2) - 4.0) > 1e-6\nassert not far",
    "a helper": "def near(out, exp):\n    if abs(out - exp) > 1e-6:\n        raise AssertionError('far')\n    return\n"
    "near(f(2), 4.0)",
    "a plain assert": "assert not abs(f(2) - 4.0) > 1e-6",
    "neither": "assert not (f(2) < 3.9 or f(2) > 4.1)",
    "is false": "assert (abs(f(2) - 4.0) > 1e-6) == False",
    "in a check": "def check(candidate):\n    assert f(2) and not abs(candidate(2) - 4.0) > 1e-6",
}


@pytest.mark.parametrize("name", NEAR)
def test_what_is_not_a_number_is_near_nothing(name: str) -> None:
    assert judged("def f(x): return 2.0 * x", NEAR[name]) == "right"
    assert judged("def f(x): return float('nan')", NEAR[name]) != "right"
    assert judged("def f(x): return 3.0", NEAR[name]) == "wrong"


METHODS = {
    "append": "seen = []\neach([1, 2], seen.append)\nassert seen == [1, 2]",
    "a set's add": "seen = set()\neach([1, 2], seen.add)\nassert seen == {1, 2}",
    "a stream's write": "import io\nseen = io.StringIO()\neach(['a', 'b'], seen.write)\nassert seen.getvalue() == 'ab'",
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_built_in_objects_are_called_where_they_belong(name: str) -> None:
    assert judged("def each(xs, g):\n    for x in xs: g(x)", METHODS[name]) == "right"
    assert judged("def each(xs, g): pass", METHODS[name]) == "wrong"


def test_a_list_of_the_program_that_the_tests_change_cannot_tell() -> None:
    tests = "import solution\ndef test_f():\n    solution.L.append(1)\n    assert solution.f() == 1"
    assert judged("L = []\ndef f(): return len(L)", tests) == "cannot_tell"
    assert judged("L = []\ndef f(): return 7", tests) == "wrong"


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("1e17", "100000000000000005", False),
        ("1e17", "100000000000000000", True),
        ("100000000000000005.0", "100000000000000005", True),
        ("12345678.9", "12345679", False),
        ("4.9999999999", "5", True),
        ("1e-400", "0", True),
        ("5", "5.0000001", True),
        ("1e400", "5", False),
        ("1e999999999999999999", "5", False),
        ("-1e999999999999999999", "0", False),
        ("1e9999999999999999999999", "5", False),
        ("1e-999999999999999999", "0", True),
    ],
)
def test_whole_numbers_are_expected_exactly(printed: str, expected: str, same: bool) -> None:
    assert same_output(printed.encode(), expected, "numeric") is same


CHOSEN = {
    "skipif": "import pytest, solution\n@pytest.mark.skipif(not solution.FAST, reason='x')\ndef test_f():\n"
    "    assert solution.f(3) == 9\ndef test_zero():\n    assert solution.f(0) == 0",
    "skipUnless": "import unittest, solution\nclass T(unittest.TestCase):\n"
    "    @unittest.skipUnless(solution.FAST, 'x')\n    def test_f(self):\n"
    "        self.assertEqual(solution.f(3), 9)\n    def test_zero(self):\n        self.assertEqual(solution.f(0), 0)",
    "a mark of the file": "import pytest\nfrom solution import f, FAST\n"
    "pytestmark = pytest.mark.skipif(not FAST, reason='x')\n@pytestmark\ndef test_f():\n    assert f(3) == 9\n"
    "def test_zero():\n    assert f(0) == 0",
    "parameters": "import pytest, solution\n@pytest.mark.parametrize('x', solution.CASES)\ndef test_f(x):\n"
    "    assert solution.f(x) == x * x\ndef test_zero():\n    assert solution.f(0) == 0",
    "computed parameters": "import pytest\nfrom solution import f, cases\n"
    "@pytest.mark.parametrize('x', list(cases(2)))\ndef test_f(x):\n    assert f(x) == x * x",
    "a loop": "import solution\ndef test_f():\n    for x in sorted(solution.CASES):\n"
    "        assert solution.f(x) == x * x\n    assert solution.f(0) == 0",
    "a loop over a result": "from solution import f, cases\ndef test_f():\n    found = cases(2)\n"
    "    for x in found:\n        assert f(x) == x * x",
    "a loop at the top": "for i in range(len(CASES)):\n    assert f(CASES[i]) == CASES[i] ** 2\nassert f(0) == 0",
    "zip": "for x, y in zip(cases(2), [0, 2]):\n    assert x == y\nassert f(0) == 0",
    "zip in all": "found = cases(2)\nassert all(abs(a - b) < 1e-6 for a, b in zip(found, [0.0, 2.0]))",
}
CHOOSING = "FAST = False\nCASES = [0]\ndef cases(n): return [0]\ndef f(x): return 0"


@pytest.mark.parametrize("name", CHOSEN)
def test_the_program_does_not_choose_what_is_checked(name: str) -> None:
    assert judged(CHOOSING, CHOSEN[name]) != "right"


ALLOWED = {
    "a skip that is none": CHOSEN["skipif"],
    "a loop of the tests": "for x in [1, 2, f(2)]:\n    assert f(x) == x * x",
    "a loop after its length": "from solution import f, cases\ndef test_f():\n    found = cases(2)\n"
    "    assert len(found) == 2\n    for x in found:\n        assert f(x) == x * x",
    "a list beside its rest": "found = cases(3)\nassert all(a <= b for a, b in zip(found, found[1:]))",
    "zip": CHOSEN["zip"],
    "functions as parameters": "import pytest\nfrom solution import f\n@pytest.mark.parametrize('g', [f])\n"
    "def test_f(g):\n    assert g(3) == 9",
}


@pytest.mark.parametrize("name", ALLOWED)
def test_and_may_be_looped_over_otherwise(name: str) -> None:
    program = "FAST = True\ndef cases(n): return [0, 2, 4][:n]\ndef f(x): return x * x"
    assert judged(program, ALLOWED[name]) == "right"


ITEM = "def parse(s): return [Item(p[0], int(p[2])) for p in s.split(',')]\n"
DATACLASS = "from dataclasses import dataclass\n@dataclass\nclass Item:\n    n: str\n    v: int\n" + ITEM
NAMED = "from collections import namedtuple\nItem = namedtuple('Item', 'n v')\n" + ITEM
EMPTY = {
    "nothing": "def Item(*a): return None\ndef parse(s): return [None, None]",
    "one number": "def Item(*a): return 0\ndef parse(s): return [0, 0]",
    "one object": "X = object()\ndef Item(*a): return X\ndef parse(s): return [X, X]",
    "one state": "class Item:\n    def __init__(self, n, v): self.n = 'k'\n    def __eq__(self, o): return True\n"
    "def parse(s): return [Item(1, 2), Item(1, 2)]",
    "a number by class": "class Item(int):\n    def __new__(c, *a): return int.__new__(c, 7)\n"
    "def parse(s): return [Item(), Item()]",
    "the class itself": "class M(type):\n    def __call__(c, *a): return c\nclass Item(metaclass=M): pass\n"
    "def parse(s): return [Item, Item]",
}
EXPECTING = {
    "assert": "assert parse('a:1,b:2') == [Item('a', 1), Item('b', 2)]",
    "unittest": "import unittest\nfrom solution import parse, Item\nclass T(unittest.TestCase):\n"
    "    def test_f(self):\n        self.assertEqual(parse('a:1,b:2'), [Item('a', 1), Item('b', 2)])",
    "by name": "import solution\ndef test_f():\n    found = solution.parse('a:1,b:2')\n"
    "    assert found == [solution.Item('a', 1), solution.Item(n='b', v=2)]",
}


@pytest.mark.parametrize("tests", EXPECTING)
def test_what_is_expected_is_made_of_what_the_tests_say(tests: str) -> None:
    for right in (DATACLASS, NAMED):
        assert judged(right, EXPECTING[tests]) == "right"
    for program in EMPTY.values():
        assert judged(program, EXPECTING[tests]) != "right", program


def test_functions_with_names_of_classes_are_functions() -> None:
    assert (
        judged("def GCD(a, b): return 4", "assert GCD(12, 8) == 4\nwant = [4]\nassert [GCD(8, 12)] == want") == "right"
    )


@pytest.mark.parametrize(
    ("tests", "shown"),
    [
        ("for i in range(3):\n    assert f(i) == i", "for i in range(3): ->"),
        ("with Timer():\n    assert f(1) == 1", "with Timer(): ->"),
        ("assert f(1) == 1", "f(1) == 1"),
        ("if f(1) != 1: raise ValueError('no')", "if (f(1) != 1): ->"),
    ],
)
def test_reasons_show_the_tests_as_they_were_written(tests: str, shown: str) -> None:
    verdict = verify_code(HONEST + "def f(x): return -5", CodeGold(tests=(tests,), entry_point="f"))
    assert shown in verdict.reason and "__" not in verdict.reason, verdict


@pytest.mark.parametrize("check", [
    "xs = [3, 1, 2]\nassert f(xs) == sorted(xs)",
    "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n        xs = [3, 1, 2]\n"
        "        self.assertEqual(f(xs), sorted(xs))",
    "def test_f():\n    for xs in ([2, 1], [1]):\n        result = f(xs)\n        assert result == sorted(xs)",
])  # fmt: skip
def test_what_the_program_emptied_is_nothing_to_compare_with(check: str) -> None:
    gold = CodeGold(tests=(check,), entry_point="f")
    assert verify_code("def f(x): return sorted(x)", gold).outcome == "right"
    assert verify_code("def f(x):\n    x.sort()\n    return x", gold).outcome == "right"
    assert verify_code("def f(x):\n    x.clear()\n    return []", gold).outcome == "cannot_tell"
    assert verify_code("def f(x):\n    x.clear()\n    return [1]", gold).outcome != "right"
    assert verify_code("def f(x):\n    x.reverse()\n    return sorted(x)", gold).outcome == "right"
    for lie in ("x[:] = [0]; return [0]", "x[:] = [0] * len(x); return x", "x.append(9); x.sort(); return x"):
        assert verify_code(f"def f(x): {lie}", gold).outcome == "cannot_tell", lie


def test_what_the_program_was_to_change_is_compared_as_it_is() -> None:
    check = "xs, wanted = [1, 1, 2], [1, 2]\nk = f(xs)\nassert xs[:k] == wanted and xs == wanted"
    gold = CodeGold(tests=(check,), entry_point="f")
    assert verify_code("def f(x):\n    x[:] = sorted(set(x))\n    return len(x)", gold).outcome == "right"
    assert verify_code("def f(x):\n    x[:] = [1, 1]\n    return 2", gold).outcome == "wrong"


def test_emptying_may_be_what_is_asked_for() -> None:
    check = "xs = [3, 1, 2]\nf(xs)\nassert xs == [] and len(xs) == 0\nassert not xs"
    assert verify_code("def f(x): x.clear()", CodeGold(tests=(check,), entry_point="f")).outcome == "right"
