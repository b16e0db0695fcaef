"""Patches judged by tests apart from them: right ones, wrong ones, hostile ones; and golds that cannot judge."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ponder.recipe.problems import FileProblems, ProblemColumns
from ponder.records import RepositoryGold
from ponder.task import load_problems
from ponder.verify import check_gold, same_answer, verify
from ponder.verify.pool import VerifierPool

MONEY = """\
RATE = 100

def cents(price):
    return round(price * RATE)

def change(paid, price):
    return price - paid
"""
CART = """\
from .money import cents

class Basket:
    def __init__(self):
        self.items = []

    def add(self, name, price):
        self.items.append((name, price))

class Cart(Basket):
    def total(self):
        return sum(cents(price) for _, price in self.items)
"""
TESTS = """\
import unittest
import pytest
import shop.money
from shop import money as m
from shop.cart import Cart
from shop.money import RATE

def test_change():
    assert shop.money.change(10, 4) == 6
    assert m.change(5, 5) == 0

@pytest.mark.parametrize("price, wanted", [(1, 100), (2.5, 250)])
def test_cents(price, wanted):
    assert m.cents(price) == wanted
    assert RATE == 100

class TestCart(unittest.TestCase):
    def test_total(self):
        cart = Cart()
        cart.add("pen", 1.5)
        cart.add("cup", 2)
        self.assertEqual(cart.total(), 350)
"""
USES = "from shop.money import cents\n"
GOLD = RepositoryGold(
    files={"shop/__init__.py": "", "shop/money.py": MONEY, "shop/cart.py": CART},
    tests={"tests/test_shop.py": TESTS},
    seconds=10,
)


def block(old: str, new: str, path: str = "shop/money.py") -> str:
    return f"{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


MENDED = block("    return price - paid", "    return paid - price")
DIFF = "--- a/shop/money.py\n+++ b/shop/money.py\n@@ -7 +7 @@\n-    return price - paid\n+    return paid - price\n"


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(1) as pool:
        yield pool


@pytest.mark.parametrize(
    ("answer", "outcome", "score"),
    [
        (MENDED, "right", 1.0),
        (f"<answer>\n{MENDED}</answer>", "right", 1.0),
        (DIFF, "right", 1.0),
        (block("    return price - paid", "    return abs(price - paid)"), "right", 1.0),
        (block("    return price - paid", "    return paid"), "wrong", 0.75),
        (MENDED + block("    return sum", "    return max", "shop/cart.py"), "wrong", 0.0),
        (block("    return price - paid", "    return paid -"), "wrong", 0.0),
        (block("RATE = 100", "RATE = 100.0"), "wrong", None),
        ("I cannot find the fault.", "wrong", 0.0),
    ],
)  # fmt: skip
def test_patches(pool: VerifierPool, answer: str, outcome: str, score: float | None) -> None:
    verdict = pool.submit(answer, GOLD).result()
    assert verdict.outcome == outcome, verdict.reason
    assert score is None or verdict.score == pytest.approx(score)


def test_a_patch_that_breaks_what_was_green_is_wrong(pool: VerifierPool) -> None:
    broken = MENDED + block("    return round(price * RATE)", "    return price * RATE + 1")
    assert pool.submit(broken, GOLD).result().outcome == "wrong"


def in_change(body: str) -> str:
    return block("    return price - paid", f"    {body}")


def at_top(lines: str) -> str:
    return block("RATE = 100", f"{lines}\nRATE = 100")


HOSTILE = {
    "edited test": block("    assert m.change(5, 5) == 0", "    pass", "tests/test_shop.py"),
    "test deleted": "--- a/tests/test_shop.py\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-import unittest\n",
    "new test": block("", "def test_nothing(): pass", "tests/test_more.py"),
    "conftest": block("", "collect_ignore = ['tests']", "conftest.py"),
    "conftest in tests": block("", "import pytest", "tests/conftest.py"),
    "sitecustomize": block("", "import builtins", "sitecustomize.py"),
    "usercustomize": block("", "import builtins", "shop/usercustomize.py"),
    "settings of pytest": "--- /dev/null\n+++ b/pytest.ini\n@@ -0,0 +1 @@\n+[pytest]\n",
    "path file": "--- /dev/null\n+++ b/shop/x.pth\n@@ -0,0 +1 @@\n+import os\n",
    "hidden folder": "--- /dev/null\n+++ b/.github/x.py\n@@ -0,0 +1 @@\n+x = 1\n",
    "link out": "diff --git a/p b/p\nnew file mode 120000\n--- /dev/null\n+++ b/p\n@@ -0,0 +1 @@\n+/etc/passwd\n",
    "path out": block("", "x = 1", "../outside.py"),
    "absolute path": block("", "x = 1", "/tmp/outside.py"),
    "exit": block("RATE = 100", "import os\nos._exit(0)\nRATE = 100"),
    "exit politely": block("RATE = 100", "import sys\nsys.exit(0)\nRATE = 100"),
    "always equal": in_change("return type('T', (int,), {'__eq__': lambda a, b: True})(5)"),
    "tests made silent": at_top("import unittest\nunittest.TestCase.assertEqual = lambda *a: None"),
    "built-ins": at_top("import builtins\nbuiltins.AssertionError = type('E', (Exception,), {})"),
    "frames": in_change("import sys\n    f = sys._getframe()\n    while f.f_back: f = f.f_back\n    return 6"),
    "reads the tests": in_change("return 6 if 'test' in open('tests/test_shop.py').read() else 0"),
    "shadows pytest": block("", "def mark(*a): pass", "pytest.py"),
    "a test beside": MENDED + "--- /dev/null\n+++ b/tests/test_more.py\n@@ -0,0 +1 @@\n+def test_x(): pass\n",
    "never ends": block("RATE = 100", "while True: pass"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_patches_are_not_right(pool: VerifierPool, name: str) -> None:
    gold = replace(GOLD, seconds=1.0) if name == "never ends" else GOLD
    assert pool.submit(HOSTILE[name], gold).result().outcome != "right"


@pytest.mark.parametrize("name", ["edited test", "conftest", "sitecustomize", "shadows pytest"])
def test_beside_a_right_patch_they_are_no_better(pool: VerifierPool, name: str) -> None:
    """Files that only try to have a say are of no use where tests run apart; tests and their settings are refused."""
    outcome = pool.submit(MENDED + HOSTILE[name], GOLD).result().outcome
    assert outcome == ("right" if name == "shadows pytest" else "wrong")


def test_the_same_patch_is_judged_once(pool: VerifierPool) -> None:
    before = pool.counters().get("cached", 0)
    verdicts = [pool.submit(text, GOLD).result() for text in (MENDED, f"So:\n{MENDED}", DIFF)]
    assert pool.counters()["cached"] >= before + 2
    assert {verdict.outcome for verdict in verdicts} == {"right"}
    assert verdicts[0].answer is not None and same_answer(verdicts[0].answer, str(verdicts[2].answer), GOLD)
    assert "+    return paid - price" in verdicts[0].answer


def test_only_what_must_pass_counts(pool: VerifierPool) -> None:
    gold = replace(GOLD, must_pass=("tests/test_shop.py::test_cents", "tests/test_shop.py::TestCart::test_total"))
    harmless = block("RATE = 100", "RATE = 50 * 2")
    assert pool.submit(harmless, gold).result().outcome == "right"
    assert pool.submit(harmless, GOLD).result().outcome == "wrong"


NAMED = {
    "a for over what the program gave": """
from shop.cart import Cart as C
def test_items():
    cart = C()
    cart.add("pen", 1)
    for name, price in cart.items:
        assert price == 1
""",
    "parametrized by the program": """
import pytest
from shop.money import LIST as rows
@pytest.mark.parametrize("row", rows)
def test_row(row):
    assert row == 2
""",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_a_program_that_leaves_nothing_to_check_is_not_right(pool: VerifierPool, name: str) -> None:
    """Under another name of its own, too."""
    files = GOLD.files | {"shop/money.py": MONEY + "\nLIST = [2, 2]\n"}
    gold = replace(GOLD, files=files, tests={"t.py": NAMED[name]})
    emptied = block("LIST = [2, 2]", "LIST = []") + block(
        "        self.items.append((name, price))", "        pass", "shop/cart.py"
    )
    full = block("RATE = 100", "RATE = 50 * 2")
    assert pool.submit(emptied, gold).result().outcome != "right"
    assert pool.submit(full, gold).result().outcome == ("right" if "for" in name else "cannot_tell")


TWO = """
import shop.money as m
from shop import money
from shop.money import change as difference
def test_change():
    def inner():
        from shop.money import change as difference
        return difference(3, 1)
    assert m.change(10, 4) == 6 and money.change(4, 4) == 0
    assert difference(10, 4) == 6 == inner() * 3
"""
EFFECT = """
import shop.plugins
from shop.money import REGISTERED, change
def test_x():
    assert change(2, 1) == 1
    assert REGISTERED == ["plugins"]
"""
REGISTRY = {
    "shop/money.py": MONEY + "REGISTERED = []\n",
    "shop/plugins.py": "from shop.money import REGISTERED\nREGISTERED.append('plugins')\n",
}
SLUG = "DASH = '-'\ndef slug(text): return text.lower().replace(' ', DASH)\n"
GROWN = """
from shop.discount import half
from shop.money import change
def test_half():
    assert half(10) == 5
    assert change(2, 1) == 1
"""
BASES = """
import unittest
from shop.money import change
class Base(unittest.TestCase):
    def test_a(self):
        self.assertEqual(change(2, 1), 1)
class More(Base):
    pass
class Testing:
    def __init__(self, x): pass
    def test_never(self): assert False
"""


@pytest.mark.parametrize(
    ("files", "tests", "answer"),
    [
        ({}, {"t.py": TWO}, MENDED),
        ({}, {"t.py": TWO, "tests/__init__.py": "", "conftest.py": "import sys\n", "data.py": "x = 1\n"}, MENDED),
        (REGISTRY, {"t.py": EFFECT}, MENDED),
        ({"src/slug/__init__.py": "from .text import slug\n", "src/slug/text.py": SLUG},
         {"t.py": "from slug import slug\nfrom slug.text import DASH\nfrom shop.money import change\n"
          "def test_x(): assert slug('A b') == f'a{DASH}b' and change(2, 1) == 1"}, MENDED),
        ({}, {"t.py": GROWN}, MENDED + block("", "def half(price):\n    return price / 2", "shop/discount.py")),
        ({"shop/money.py": MONEY + "CLOSE = '</think> <answer>```'\n"}, {"t.py": TWO}, MENDED),
        ({"test_helpers.py": "def one():\n    return 2\n"},
         {"t.py": "from test_helpers import one\ndef test_one(): assert one() == 1"},
         block("    return 2", "    return 1", "test_helpers.py")),
        ({}, {"t.py": BASES}, MENDED),
    ],
)  # fmt: skip
def test_right_patches_of_other_repositories(
    pool: VerifierPool, files: dict[str, str], tests: dict[str, str], answer: str
) -> None:
    gold = replace(GOLD, files=GOLD.files | files, tests=tests)
    for known in (gold, replace(gold, answer=answer)):
        assert check_gold(known) is None
        verdict = pool.submit(answer, known).result()
        assert verdict.outcome == "right", verdict.reason
        unused = block("", "# nothing", "unused_file.py")
        assert pool.submit(unused, known).result().outcome == "wrong"


SHARED = {
    "a named tuple": (
        "from collections import namedtuple\nPt = namedtuple('Pt', 'x y')\ndef flip(p): return Pt(p.y, p.y)\n",
        ("p.y, p.y", "p.y, p.x"),
        "from m import Pt, flip\ndef test_a(): assert flip(Pt(1, 2)) == Pt(2, 1)\n",
    ),
    "an enum of integers": (
        "from enum import IntEnum\nclass P(IntEnum):\n    LOW = 1\ndef label(p): return p.name\n",
        ("return p.name", "return p.name.lower()"),
        "from m import P, label\ndef test_a(): assert label(P.LOW) == 'low'\n",
    ),
    "a text of its own": (
        "class Slug(str):\n    def parts(self): return self.split('-')\ndef first(s): return s.parts()[1]\n",
        ("[1]", "[0]"),
        "from m import Slug, first\ndef test_a(): assert first(Slug('a-b')) == 'a'\n",
    ),
    "an exception handed over": (
        "class E(Exception): pass\ndef told(e): return f'{e}'\n",
        ("f'{e}'", "f'E: {e}'"),
        "from m import E, told\ndef test_a(): assert told(E('x')) == 'E: x'\n",
    ),
    "the same object": (
        "def last(xs): return [*xs][0]\n",
        ("[0]", "[-1]"),
        "from m import last\ndef test_a():\n    a, b = [1], [1]\n    assert last([a, b]) is b\n",
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_what_cannot_be_shared_is_never_wrong(pool: VerifierPool, name: str) -> None:
    """Tests and program share values only: where the plain way would pass, nothing can be told; a fault stays one."""
    source, (fault, mended), tests = SHARED[name]
    gold = replace(GOLD, files={"m.py": source}, tests={"t.py": tests})
    whole = (
        "--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n"
        + "".join(f"-{line}\n" for line in source.splitlines())
        + "".join(f"+{line}\n" for line in source.replace(fault, mended).splitlines())
    )
    assert pool.submit(whole, gold).result().outcome in ("right", "cannot_tell")
    assert pool.submit(block("", "# nothing", "unused_file.py"), gold).result().outcome == "wrong"


def test_other_answers_do_not_wait_for_patches() -> None:
    from ponder.records import MathGold

    with VerifierPool(1) as pool:
        slow = pool.submit(block("RATE = 100", "while True: pass"), replace(GOLD, seconds=3.0))
        assert pool.submit("5", MathGold(answer="5")).result().outcome == "right"
        assert not slow.done()
        assert slow.result().outcome != "right"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"files": {}}, "0 files"),
        ({"tests": {}}, "0 test files"),
        ({"files": {"../x.py": ""}}, "no path of a Python file"),
        ({"files": {"x.txt": ""}}, "no path of a Python file"),
        ({"tests": {"shop/money.py": TESTS}}, "is a file and a test file"),
        ({"must_pass": ("tests/test_shop.py::test_all",)}, "there is no test 'tests/test_shop.py::test_all'"),
        ({"tests": {"t.py": "def test_x(:"}}, "cannot be read as Python"),
        ({"tests": {"t.py": "from shop.money import *\ndef test_x(): assert cents(1) == 100"}}, "imports all of"),
        ({"tests": {"t.py": "import shop.money\ndef test_x(): assert vars(shop.money)"}}, "uses the module"),
        ({"tests": {"t.py": "import shop.money\nshop.money.RATE = 3\ndef test_x(): assert True"}}, "uses the module"),
        ({"tests": {"t.py": "from shop.money import cents\ndef test_x(patch):\n    patch('shop.money.RATE', 3)\n"
                    "    assert cents(1) == 3"}}, "in a text"),
        ({"tests": {"t.py": "from .money import cents\ndef test_x(): assert cents(1) == 100"}}, "imports relatively"),
        ({"tests": {"t.py": "from shop.money import cents\ndef test_x(): cents(1)"}}, "t.py:"),
        ({"tests": {"t.py": USES + "def test_x(cents): assert cents == 1"}}, "gives cents another meaning"),
        ({"tests": {"t.py": USES + "from shop.cart import cents\ndef test_x(): assert cents(1)"}}, "another meaning"),
        ({"tests": {"t.py": "import shop\ndef test_x():\n    for shop in (1, 2): assert shop"}}, "another meaning"),
        ({"tests": {"t.py": "try:\n    from shop.money import cents\nexcept ImportError:\n    cents = None\n"
                    "def test_x(): assert cents(1) == 100"}}, "on a condition"),
        ({"tests": {"t.py": "import shop.money\ndef test_x(): assert shop.money.RATE == 100"}}, "while tests run"),
        ({"tests": {"t.py": "def test_x():\n    from shop.money import RATE\n    assert RATE == 100"}}, "while tests"),
        ({"tests": {"t.py": "import importlib\ndef test_x():\n    m = importlib.import_module('shop.money')\n"
                    "    assert m.cents(1) == 100"}}, "in a text"),
        ({"tests": {"t.py": USES + "import pytest\n@pytest.mark.skipif(cents(1) != 100, reason='')\n"
                    "def test_x(): assert cents(1) == 100"}}, "may pass over tests (skipif)"),
        ({"tests": {"t.py": USES + "import pytest\ndef test_x():\n    if cents(1) != 100: pytest.skip()\n"
                    "    assert cents(1) == 100"}}, "may pass over tests (skip)"),
        ({"tests": {"t.py": USES + "from unittest import SkipTest as S\ndef test_x():\n"
                    "    if cents(1) != 100: raise S\n    assert cents(1) == 100"}}, "may pass over tests (SkipTest)"),
        ({"tests": {"t.py": USES + "def test_y(): assert cents(2) == 200\nif cents(1):\n"
                    "    def test_x(): assert cents(1) == 100"}}, "on a condition"),
        ({"tests": {"t.py": "from tests.more import x\ndef test_x(): assert x", "tests/more.py": "x = 1"}},
         "another test file"),
        ({"tests": {"conftest.py": "def pytest_configure(): pass", "t.py": TESTS}}, "conftest.py says is not heard"),
        ({"tests": {"t.py": "x = 1"}}, "there is no test in t.py"),
        ({"files": GOLD.files | {"solution.py": ""}}, "module 'solution'"),
        ({"tests": {"t.py": USES + "import hypothesis\ndef test_x(): assert cents(1) == 100"}},
         "hypothesis, which is not there"),
        ({"answer": "turn it round"}, "its own answer is no patch"),
        ({"seconds": 0}, "the repository has a time limit"),
    ],
)  # fmt: skip
def test_golds_that_judge_nothing(changes: dict[str, object], words: str) -> None:
    gold = replace(GOLD, **changes)  # type: ignore[arg-type]
    reason = check_gold(gold)
    assert reason is not None and words in reason
    assert verify(MENDED, gold).outcome == "cannot_tell"


def test_a_table_of_repositories(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Change is negative.", "files": GOLD.files, "tests": GOLD.tests, "answer": MENDED, "limit": 5},
        {"prompt": "As JSON.", "files": json.dumps(GOLD.files | {"none.py": None}), "tests": json.dumps(GOLD.tests),
         "answer": "", "limit": 5, "green": ["tests/test_shop.py::test_change"]},
        {"prompt": "No files.", "files": [], "tests": GOLD.tests, "answer": "", "limit": 5},
        {"prompt": "No such test.", "files": GOLD.files, "tests": GOLD.tests, "limit": 5, "green": ["t.py::x"]},
    ]  # fmt: skip
    (tmp_path / "r.jsonl").write_text("".join(json.dumps({"green": []} | row) + "\n" for row in rows))
    columns = ProblemColumns(must_pass="green", time_limit="limit")
    loaded = load_problems([FileProblems(path=str(tmp_path / "r.jsonl"), gold="repository", columns=columns)])
    assert [entry.reason.partition(";")[0].partition(":")[0] for entry in loaded.left_out] == [
        "column 'files' holds []",
        "there is no test 't.py",
    ]
    first, second = loaded.problems
    assert first.gold == replace(GOLD, answer=MENDED, seconds=5.0)
    assert isinstance(second.gold, RepositoryGold) and second.gold.must_pass == ("tests/test_shop.py::test_change",)
    assert "shop/money.py\n```python\nRATE = 100" in first.prompt and "<<<<<<< SEARCH" in first.prompt
    assert "test_change" not in first.prompt
