"""What pytest collects and sets up is collected and set up: each file passes `f(x) = x + 1` and fails `f(x) = None`."""

from collections.abc import Iterator

import pytest

from ponder.records import CodeGold
from ponder.verify import code
from ponder.verify.code import check_code, verify_code


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


HEAD = "import pytest, sys\nfrom solution import f\n"
CHECKS = "@pytest.fixture\ndef checked():\n    assert f(1) == 2\n"
FILES = {
    "used by a function": CHECKS + "@pytest.mark.usefixtures('checked')\ndef test_f():\n    assert True",
    "used by a class": CHECKS + "@pytest.mark.usefixtures('checked')\nclass TestF:\n"
        "    def test_f(self):\n        pass",
    "used by a file": CHECKS + "pytestmark = pytest.mark.usefixtures('checked')\ndef test_f():\n    pass",
    "used for its effect": "known = {}\n@pytest.fixture\ndef known_first():\n    known['x'] = f(1)\n"
        "@pytest.mark.usefixtures('known_first')\ndef test_f():\n    assert known['x'] == 2",
    "parameters of a file": "pytestmark = pytest.mark.parametrize('x', [1, 2])\n"
        "def test_f(x):\n    assert f(x) == x + 1",
    "parameters of a class": "class TestF:\n    pytestmark = [pytest.mark.slow, pytest.mark.parametrize('x', [1, 2])]\n"
        "    def test_f(self, x):\n        assert f(x) == x + 1",
    "skipped parameters": "@pytest.mark.parametrize('x', [1, pytest.param(2, marks=pytest.mark.skip)])\n"
        "def test_f(x):\n    assert f(x) == 2",
    "before the file": "def setup_module():\n    global value\n    value = f(1)\ndef test_f():\n    assert value == 2",
    "before the file, with it": "def setup_module(module):\n    module.value = f(1)\n"
        "def test_f():\n    assert value == 2",
    "after the file": "def teardown_module():\n    assert f(2) == 3\ndef test_f():\n    assert f != 1",
    "a class in a class": "class TestF:\n    class TestMore:\n        def test_f(self):\n            assert f(1) == 2\n"
        "    def test_callable(self):\n        assert callable(f)",
    "methods of a class": "class TestF:\n    @staticmethod\n    def test_a():\n        assert callable(f)\n"
        "    @classmethod\n    def test_b(cls):\n        assert cls.__name__ == 'TestF' and f(1) == 2",
    "no test, by its word": "class TestTools:\n    __test__ = False\n    def test_f(self):\n        assert f(1) == 9\n"
        "def test_g():\n    assert f(1) == 9\ntest_g.__test__ = False\ndef test_f():\n    assert f(1) == 2",
    "a fixture of a class over the file's": "@pytest.fixture\ndef x():\n    return 5\nclass TestF:\n"
        "    @pytest.fixture\n    def x(self, x):\n        return x - 4\n"
        "    def test_f(self, x):\n        assert f(x) == 2",
    "a finalizer": "@pytest.fixture\ndef x(request):\n    request.addfinalizer(lambda: same(f(2), 3))\n    return 1\n"
        "def same(a, b):\n    assert a == b\ndef test_f(x):\n    assert x == 1 and f is not None",
    "a fixture by name": "@pytest.fixture\ndef one():\n    return 1\n"
        "def test_f(request):\n    assert f(request.getfixturevalue('one')) == 2",
    "warnings": "import warnings\ndef test_f(recwarn):\n    warnings.warn('x')\n"
        "    assert len(recwarn) == 1 and f(1) == 2",
    "a warning that matches": "import warnings\ndef test_f():\n    with pytest.warns(UserWarning, match='2'):\n"
        "        warnings.warn(str(f(1)))",
    "a match": "def test_f():\n    match f(1):\n        case 2:\n            pass\n        case other:\n"
        "            raise AssertionError(other)",
    "an exit": "def main():\n    bad = [x for x in (1, 5) if f(x) != x + 1]\n    if bad:\n        print(bad)\n"
        "        sys.exit(1)\nif __name__ == '__main__':\n    main()",
    "an exit with nothing": "if f(1) == 2:\n    sys.exit(0)\nelse:\n    sys.exit('no')",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_what_pytest_would_run(name: str) -> None:
    gold = CodeGold(tests=(HEAD + FILES[name],), form="unittest")
    assert check_code(gold) is None
    verdict = verify_code("def f(x): return x + 1", gold)
    assert verdict.outcome == "right", verdict
    verdict = verify_code("def f(x): return None", gold)
    assert verdict.outcome == "wrong", verdict


OPEN = {
    "fixtures of unittest": "import unittest\nclass T(unittest.TestCase):\n    @pytest.fixture(autouse=True)\n"
        "    def begin(self):\n        self.x = 1\n    def test_f(self):\n        assert f(self.x) == 2",
    "fixtures used by unittest": "import unittest\n@pytest.fixture\ndef begin(request):\n    request.cls.x = 1\n"
        "@pytest.mark.usefixtures('begin')\nclass T(unittest.TestCase):\n    def test_f(self):\n"
        "        assert f(self.x) == 2",
    "warnings are errors": "@pytest.mark.filterwarnings('error')\ndef test_f():\n    assert f(1) == 2",
    "the program's file": "import solution\ndef test_f():\n    assert 'def f' in open(solution.__file__).read()",
    "a part is skipped": "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n"
        "        for x in (1, 2):\n            with self.subTest(x=x):\n                if x == 1:\n"
        "                    self.skipTest('no')\n                self.assertEqual(f(x), x + 1)",
}  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
def test_what_cannot_be_had_here_judges_nobody(name: str) -> None:
    gold = CodeGold(tests=(HEAD + OPEN[name],), form="unittest")
    assert verify_code("def f(x): return x + 1", gold).outcome in ("right", "cannot_tell")
    assert verify_code("def f(x): return None", gold).outcome in ("wrong", "cannot_tell")


@pytest.mark.parametrize("tests", [
    "def main():\n    print(f(1))\n    return 0\nif __name__ == '__main__':\n    sys.exit(main())",
    "print(f(1))\nif True:\n    sys.exit(0)",
    "if f: sys.exit()",
])  # fmt: skip
def test_an_exit_that_always_says_well_is_no_check(tests: str) -> None:
    assert "check nothing" in (check_code(CodeGold(tests=(HEAD + tests,), form="unittest")) or "")


def test_what_is_neither_true_nor_false_is_not_true() -> None:
    gold = CodeGold(tests=("from solution import f\ndef test_f():\n    assert f(2).__eq__(3)",), form="unittest")
    assert verify_code("def f(x): return x + 1", gold).outcome == "right"
    assert verify_code("def f(x): return 'three'", gold).outcome != "right"


def test_a_program_chooses_no_hash() -> None:
    gold = CodeGold(tests=("from solution import f\ndef test_f():\n    assert hash(f(2)) == hash(3)",), form="unittest")
    objects = "class E:\n    def __hash__(self): return 3\nkept = [E() for _ in range(9)]\n"
    for place in range(9):
        assert verify_code(f"{objects}def f(x): return kept[{place}]", gold).outcome != "right"
