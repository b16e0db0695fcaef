"""Tests that share more than values with the program: right programs are right or cannot be told, never wrong."""

from collections.abc import Iterator

import pytest

from ponder.records import CodeGold
from ponder.sandbox.isolation import find_isolation
from ponder.verify import code
from ponder.verify.code import verify_code

pytestmark = pytest.mark.skipif(not find_isolation().full, reason="files and programs of their own need namespaces")


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


CASE = "import unittest\nfrom solution import *\nclass T(unittest.TestCase):\n    def test_it(self):\n"


def case(*lines: str, head: str = "") -> str:
    return head + CASE + "".join(f"        {line}\n" for line in lines)


# name: (a right program, a wrong one, the test file, what a right program gets)
WORLD = {
    "captured output": (
        "def f(): print('hello', 3)", "def f(): print('hello')",
        case("out = io.StringIO()", "with contextlib.redirect_stdout(out):", "    f()",
             "self.assertEqual(out.getvalue(), 'hello 3\\n')", head="import io, contextlib\n"), "right"),
    "capsys": (
        "import sys\ndef f():\n    print('a')\n    sys.stderr.write('b')", "def f(): print('b')",
        "from solution import f\ndef test_f(capsys):\n    f()\n    said = capsys.readouterr()\n"
        "    assert (said.out, said.err) == ('a\\n', 'b')", "right"),
    "patched output": (
        "def f(x): print(x * 2)", "def f(x): print(x)",
        "import io\nfrom unittest.mock import patch\nfrom solution import f\ndef test_f():\n"
        "    with patch('sys.stdout', new=io.StringIO()) as out:\n        f(4)\n"
        "    assert out.getvalue().strip() == '8'", "right"),
    "patched input": (
        "def f(): return input('? ') + input()", "def f(): return input()",
        "from unittest.mock import patch\nfrom solution import f\ndef test_f():\n"
        "    with patch('builtins.input', side_effect=['a', 'b']):\n        assert f() == 'ab'", "right"),
    "patched standard input": (
        "import sys\ndef f(): return int(sys.stdin.readline()) + int(input())", "def f(): return 3 if input() else 0",
        "import io\nfrom unittest.mock import patch\nfrom solution import f\ndef test_f():\n"
        "    with patch('sys.stdin', io.StringIO('2\\n5\\n')):\n        assert f() == 7", "right"),
    "a temporary file": (
        "def f(path):\n    with open(path) as s: text = s.read()\n"
        "    with open(path + '.out', 'w') as s: s.write(text * 2)",
        "def f(path): open(path + '.out', 'w').write('x')",
        "import os, tempfile\nfrom solution import f\ndef test_f():\n    with tempfile.TemporaryDirectory() as d:\n"
        "        path = os.path.join(d, 'a')\n        open(path, 'w').write('ab')\n        f(path)\n"
        "        assert open(path + '.out').read() == 'abab'", "right"),
    "tmp_path": (
        "def f(path): return len(path.read_text())", "def f(path): return 0",
        "from solution import f\ndef test_f(tmp_path):\n    (tmp_path / 'x').write_text('abc')\n"
        "    assert f(tmp_path / 'x') == 3", "right"),
    "seeded": (
        "import random\ndef f(): return [random.randint(0, 9) for _ in range(5)]", "def f(): return [1, 2, 3, 4, 5]",
        "import random\nfrom solution import f\ndef test_f():\n    random.seed(7)\n"
        "    wanted = [random.randint(0, 9) for _ in range(5)]\n    random.seed(7)\n    assert f() == wanted", "right"),
    "seeded again": (
        "import random\ndef f(): return [random.randint(0, 9) for _ in range(5)]", "def f(): return [1, 2, 3, 4, 5]",
        "import random\nfrom solution import f\ndef test_f():\n    random.seed(7)\n    first = f()\n"
        "    random.seed(7)\n    state = random.getstate()\n    again = f()\n    random.setstate(state)\n"
        "    third = f()\n    assert first == again == third\n    assert f() != first", "right"),
    "an iterator of the tests": (
        "def f(items): return next(items)", "def f(items): return 1",
        "from solution import f\ndef test_f():\n    items = iter(range(5))\n    assert f(items) == 0\n"
        "    assert next(items) == 1", "unsure"),
    "a group of exceptions": (
        "def f(): raise ExceptionGroup('two', [ValueError(1), TypeError('x')])",
        "def f(): raise ExceptionGroup('two', [ValueError(1)])",
        "import pytest\nfrom solution import f\ndef test_f():\n"
        "    with pytest.raises(ExceptionGroup) as e:\n        f()\n"
        "    assert [type(one) for one in e.value.exceptions] == [ValueError, TypeError]\n"
        "    assert e.value.message == 'two' and e.value.exceptions[0].args == (1,)", "right"),
    "a nan that is the same": (
        "import math\ndef f(xs): return [*xs, math.nan]", "def f(xs): return [*xs, float('nan')]",
        "import math\nfrom solution import f\ndef test_f():\n    assert f([1]) == [1, math.nan]", "right"),
    "doctest": (
        'def f(x):\n    """\n    >>> f(1)\n    2\n    """\n    return x + 1',
        'def f(x):\n    """\n    >>> f(1)\n    2\n    """\n    return x',
        "import doctest, solution\ndef test_f():\n    found = doctest.testmod(solution)\n"
        "    assert found.attempted == 1 and found.failed == 0", "unsure"),
    "environment": (
        "import os\ndef f(): return os.environ.get('MODE', 'none')", "def f(): return 'none'",
        "import os\nfrom unittest.mock import patch\nfrom solution import f\ndef test_f():\n"
        "    with patch.dict(os.environ, {'MODE': 'fast'}):\n        assert f() == 'fast'\n    assert f() == 'none'",
        "right"),
    "a patched name of the program": (
        "def rate(): return 2\ndef f(x): return x * rate()", "def rate(): return 2\ndef f(x): return x * 2",
        "from unittest.mock import patch\nfrom solution import f\ndef test_f():\n"
        "    with patch('solution.rate', return_value=5):\n        assert f(3) == 15\n    assert f(3) == 6", "right"),
    "exceptions with attributes": (
        "class Low(ValueError):\n    def __init__(self, x):\n        super().__init__('low')\n        self.x = x\n"
        "class Lower(Low): pass\ndef f(x): raise Lower(x)",
        "class Low(ValueError):\n    x = 1\nclass Lower(Low): pass\ndef f(x): raise Low('low')",
        case("with self.assertRaises(Low) as caught:", "    f(3)", "self.assertEqual(caught.exception.x, 3)",
             "self.assertEqual(str(caught.exception), 'low')", "self.assertIsInstance(caught.exception, ValueError)"),
        "right"),
    "a cause": (
        "def f():\n    try: {}['k']\n    except KeyError as e: raise RuntimeError('r') from e",
        "def f(): raise RuntimeError('r')",
        case("with self.assertRaises(RuntimeError) as caught:", "    f()",
             "self.assertIsInstance(caught.exception.__cause__, KeyError)"), "right"),
    "exceptions of the standard library": (
        "import json\ndef f(x): return json.loads(x)", "def f(x): raise KeyError(x)",
        case("with self.assertRaises(json.JSONDecodeError):", "    f('{')", head="import json\n"), "right or unsure"),
    "warnings": (
        "import warnings\ndef f(): warnings.warn('old', DeprecationWarning)", "def f(): pass",
        case("with self.assertWarns(DeprecationWarning):", "    f()"), "right or unsure"),
    "logs": (
        "import logging\ndef f(): logging.getLogger('a').error('bad')", "def f(): pass",
        case("with self.assertLogs('a') as logs:", "    f()", "self.assertEqual(logs.output, ['ERROR:a:bad'])"),
        "right or unsure"),
    "signature": (
        "def f(a, b=2): pass", "def f(a): pass",
        case("self.assertEqual(str(inspect.signature(f)), '(a, b=2)')", head="import inspect\n"), "right or unsure"),
    "doc string": (
        "def f():\n    'Says it.'", "def f(): pass", case("self.assertEqual(f.__doc__, 'Says it.')"), "right"),
    "any doc string": ("def f():\n    'Says it.'", "def f(): pass", case("self.assertTrue(f.__doc__)"), "right"),
    "subclass of the tests": (
        "class Base:\n    def hi(self): return 'hi ' + self.name()", "class Base:\n    def hi(self): return 'hi'",
        "from solution import Base\nclass Sub(Base):\n    def name(self): return 'x'\n"
        "def test_it():\n    assert Sub().hi() == 'hi x'", "unsure"),
    "isinstance": (
        "class A: pass\nclass B(A): pass\ndef f(): return B()", "class A: pass\nclass B: pass\ndef f(): return B()",
        case("self.assertIsInstance(f(), A)", "self.assertTrue(issubclass(B, A))", "self.assertIs(type(f()), B)",
             "self.assertEqual(f().__class__.__name__, 'B')", "self.assertFalse(isinstance(f(), list))"), "right"),
    "dates": (
        "import datetime\ndef f(): return datetime.date(2024, 2, 28) + datetime.timedelta(days=2)",
        "import datetime\ndef f(): return datetime.date(2024, 2, 29)",
        case("self.assertEqual(f(), datetime.date(2024, 3, 1))", head="import datetime\n"), "right"),
    "enumerations": (
        "import enum\nclass C(enum.Enum):\n    RED = 1\n    BLUE = 2\ndef f(x): return C(x)",
        "import enum\nclass C(enum.Enum):\n    RED = 1\n    BLUE = 2\ndef f(x): return C.RED",
        case("self.assertEqual(f(2), C.BLUE)", "self.assertIs(f(1), C.RED)", "self.assertEqual(C.BLUE.value, 2)",
             "self.assertEqual([c.name for c in C], ['RED', 'BLUE'])", "self.assertIn(f(2), C)"), "right"),
    "data classes": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: int = 0\ndef f(x): return P(x, x)",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: int = 0\ndef f(x): return P(x)",
        case("self.assertEqual(f(2), P(2, 2))", "self.assertNotEqual(f(2), P(3))", "self.assertEqual(P(1).y, 0)"),
        "right"),
    "named tuples": (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 2)",
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 3)",
        case("self.assertEqual(f(), P(1, 2))", "self.assertEqual(f(), (1, 2))", "self.assertEqual(f()[1], 2)"),
        "right or unsure"),
    "a field of a named tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 2)",
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 3)",
        case("self.assertEqual(f().y, 2)"), "right or unsure"),
    "a large result": (
        "def f(): return list(range(300_000))", "def f(): return list(range(299_999))",
        "from solution import f\ndef test_f():\n    assert f() == list(range(300_000))", "right"),
    "the same list": (
        "def f(x):\n    x.append(1)\n    return x", "def f(x): return x + [1]",
        "from solution import f\ndef test_f():\n    a = [0]\n    assert f(a) is a\n    assert a == [0, 1]", "right"),
    "a copy": (
        "def f(x): return sorted(x)", "def f(x):\n    x.sort()\n    return x",
        "from solution import f\ndef test_f():\n    a = [2, 1]\n    b = f(a)\n    assert b is not a and a == [2, 1]",
        "right"),
    "lists inside": (
        "def f(x):\n    for y in x: y.append(0)", "def f(x):\n    x[:] = [y + [0] for y in x]",
        "from solution import f\ndef test_f():\n    a = [1]\n    f([a])\n    assert a == [1, 0]", "right"),
    "lists of an object": (
        "class S:\n    def __init__(self): self.items = []\n    def n(self): return len(self.items)",
        "class S:\n    def __init__(self): self.items = [0]\n    def n(self): return len(self.items)",
        case("s = S()", "s.items.append(1)", "self.assertEqual(s.n(), 1)"), "unsure"),
    "kept apart": (
        "class S:\n    def __init__(self): self._i = [1]\n    def all(self): return list(self._i)",
        "class S:\n    def __init__(self): self._i = [1]\n    def all(self): return self._i",
        case("s = S()", "s.all().append(2)", "self.assertEqual(s.all(), [1])"), "right"),
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\ndef f(x):\n    with ThreadPoolExecutor() as p:\n"
        "        return list(p.map(abs, x))", "def f(x): return x",
        "from concurrent.futures import ThreadPoolExecutor\nfrom solution import f\ndef test_f():\n"
        "    with ThreadPoolExecutor(4) as p:\n        assert list(p.map(f, [[-1], [2]])) == [[1], [2]]", "right"),
    "coroutines": (
        "import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x + 1", "async def f(x): return x",
        "import asyncio\nfrom solution import f\ndef test_f():\n    async def both():\n"
        "        return await asyncio.gather(f(1), f(2))\n    assert asyncio.run(f(3)) == 4\n"
        "    assert asyncio.run(both()) == [2, 3]", "right"),
    "asyncio.run in the program": (
        "import asyncio\nasync def g(): return 3\ndef f(): return asyncio.run(g())", "def f(): return 4",
        "from solution import f\ndef test_f():\n    assert f() == 3", "right"),
    "deep recursion": (
        "import sys\nsys.setrecursionlimit(20000)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)",
        "def f(n): return 1",
        "from solution import f\ndef test_f():\n    assert f(9000) == 9000", "right"),
    "its own source": (
        "import inspect\ndef g(): return 1\ndef f(): return inspect.getsource(g)", "def f(): return __file__",
        "from solution import f\ndef test_f():\n    assert f() == 'def g(): return 1\\n'", "right"),
    "output closed by the program": (
        "import sys\nsys.stdout.close()\nsys.stdout = None\ndef f(): return 3",
        "import sys\nsys.stdout = 5\ndef f(): return 2",
        case("self.assertEqual(f(), 3)", head="import sys\n"), "right"),
    "context managers": (
        "class R:\n    def __enter__(self): self.n = 1; return self\n"
        "    def __exit__(self, *a): self.n = a[0]; return True",
        "class R:\n    def __enter__(self): self.n = 1; return self\n    def __exit__(self, *a): self.n = 2",
        case("with R() as r:", "    self.assertEqual(r.n, 1)", "self.assertIsNone(r.n)"), "right"),
    "a patched clock": (
        "import time\ndef f(): return time.time()", "def f(): return 1",
        "from unittest.mock import patch\nfrom solution import f\ndef test_f():\n"
        "    with patch('time.time', return_value=5.0):\n        assert f() == 5.0", "unsure"),
}  # fmt: skip


@pytest.mark.parametrize("name", WORLD)
def test_the_world_of_the_tests(name: str) -> None:
    right, wrong, tests, expected = WORLD[name]
    gold = CodeGold(tests=(tests,), form="unittest", answer=right)
    allowed = {"right": ("right",), "unsure": ("cannot_tell",), "right or unsure": ("right", "cannot_tell")}[expected]
    verdict = verify_code(right, gold, wall_seconds=8.0)
    assert verdict.outcome in allowed, verdict
    assert verify_code(wrong, gold, wall_seconds=8.0).outcome != "right"
    assert verify_code("", gold, wall_seconds=8.0).outcome == "wrong"


@pytest.mark.parametrize(
    "program",
    [
        "print(open('/dev/stdin').read().strip())",
        "import pathlib\nprint(pathlib.Path('/dev/stdin').read_text().strip())",
        "print(open(0).read().strip())",
        "import os\nos.path.basename(__file__)\nprint(input())",
        "import sys\nprint(input())\nsys.stdout.flush()\nsys.stdout.close()",
        "import os\nos.write(1, input().encode())",
        "import sys\nfrom io import StringIO\nkept = sys.stdout\nsys.stdout = StringIO()\nprint('no')\n"
        "sys.stdout = kept\nprint(input())",
        "import sys, threading\nsys.setrecursionlimit(10 ** 6)\nthreading.stack_size(1 << 26)\n"
        "t = threading.Thread(target=lambda: print(input()))\nt.start()\nt.join()",
    ],
)  # fmt: skip
def test_scripts_read_and_print_as_they_like(program: str) -> None:
    gold = CodeGold(tests=("seven\n",), outputs=("seven\n",), form="stdio")
    assert verify_code(program, gold).outcome == "right", verify_code(program, gold)
