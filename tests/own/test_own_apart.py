"""Files that hang, end, print, fork or are otherwise no use are said in one paragraph, and hurt nothing."""

import time
from itertools import islice
from pathlib import Path

import pytest

from ponder.errors import DataError, RecipeError
from ponder.own import OwnCode, read_own
from ponder.own.apart import check_own, made_problems
from ponder.recipe.own import OwnRole, OwnUse

GOOD = "def f(judged):\n    return 1.0\n"


def code(folder: Path, text: str) -> OwnCode:
    (folder / "mine.py").write_text(text)
    return read_own(["mine.py"], folder)


def check(own: OwnCode, role: OwnRole = "reward", seconds: float = 20.0) -> None:
    check_own(own, [OwnUse(role=role, function="mine.py:f")], seconds)


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ("reward", GOOD),
        ("rule", GOOD),
        ("verifier", "def f(answer, gold): ..."),
        ("verifier", "def f(answer, gold, strict=False): ..."),
        ("problems", "def f(): yield 1"),
        ("reward", "f = lambda judged: 1.0"),
        ("reward", "from functools import partial\ndef g(scale, judged): ...\nf = partial(g, 2)"),
        ("reward", "class Of:\n    def __call__(self, judged): ...\nf = Of()"),
        ("reward", "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\ndef f(judged): ..."),
        ("reward", "import os\nif os.fork() == 0:\n    import time\n    time.sleep(60)\n" + GOOD),
        ("reward", "for _ in range(40):\n    print('x' * 1_000_000)\n" + GOOD),
        ("reward", "import sys\nfor _ in range(40):\n    print('x' * 1_000_000, file=sys.stderr)\n" + GOOD),
        ("reward", "import sys\nassert sys.stdin.read() == ''\n" + GOOD),
    ],
)
def test_what_can_be_called_is_taken(tmp_path: Path, role: OwnRole, text: str) -> None:
    check(code(tmp_path, text), role)


@pytest.mark.parametrize(
    ("role", "text", "said"),
    [
        ("reward", "def g(judged): ...\nx = 1", r"mine.py has no function 'f'; it has g"),
        (
            "reward",
            "\n\ndef f(completions, prompts): ...",
            r"mine.py:3: mine.py:f has the parameters \(completions, prompts\), as rewards of TRL .* with one va",
        ),
        ("reward", "def f(completions, **kwargs): ...", r"\(completions, \*\*kwargs\), as rewards of TRL"),
        ("rule", "def f(completions, **kwargs): ...", r"write a function \(judged: Judged\) -> bool"),
        ("reward", "def f(): ...", r"called with \(judged: Judged\): too many positional arguments"),
        ("verifier", GOOD, r"mine.py:1: .*called with \(answer: str, gold: OwnGold\): too many positional"),
        ("reward", "async def f(judged): ...", r"mine.py:1: .*is an async function"),
        ("reward", "def f(judged):\n    yield 1.0", r"mine.py:1: mine.py:f yields"),
        ("reward", "f = 3", r"mine.py:f is a int 3; expected a function"),
        (
            "reward",
            "class f: ...",
            r"mine.py:f is <class .*; expected a function, .* write `one = f\(...\)` and name `one`. docs/own-code.md",
        ),
        (
            "reward",
            "x = 1\ny = x / 0",
            r"mine.py:2: mine.py raises ZeroDivisionError: division by zero while it is imp",
        ),
        ("reward", "x = {}['a']", r"mine.py:1: mine.py raises KeyError: 'a' while it is imported"),
        ("reward", "import nosuch", r"mine.py:1: mine.py raises ModuleNotFoundError: No module named 'nosuch'"),
        ("reward", "from . import words", r"mine.py:1: mine.py raises ImportError.*write `import helper` in place of"),
        ("reward", "import sys\nsys.exit(2)", r"mine.py:2: mine.py raises SystemExit: 2 while it is imported"),
        ("reward", "import os\nos._exit(0)", r"mine.py ends the process that imports it"),
        ("reward", "import ctypes\nctypes.string_at(0)", r"mine.py ends the process that imports it"),
        ("reward", "x = bytearray(1 << 40)", r"mine.py:1: mine.py raises MemoryError"),
    ],
)
def test_what_is_no_use_is_said_with_its_line(tmp_path: Path, role: OwnRole, text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        check(code(tmp_path, text), role)


def test_a_file_that_hangs_is_given_up(tmp_path: Path) -> None:
    own = code(tmp_path, "import time\ntime.sleep(600)")
    with pytest.raises(RecipeError, match=r"mine.py is not imported within 2 seconds"):
        check(own, seconds=2.0)


def test_what_was_read_is_what_runs_with_its_own_helpers(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("from random import Random\nWORDS = Random(0).random()")
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong one')")
    own = code(tmp_path, "import words\nassert words.WORDS > 0 and words.__file__.endswith('words.py')\n" + GOOD)
    (tmp_path / "words.py").write_text("raise SystemExit('changed since')")
    (tmp_path / "mine.py").unlink()
    check(own)


PROBLEM = (
    "from ponder.records import MathGold, Message, OwnGold, Problem\n"
    "def problem(i):\n"
    "    asked = Message(role='user', content=f'{i}?')\n"
    "    return Problem(id=str(i), messages=(asked,), gold=MathGold(answer=str(i)), domain='d')\n"
)


def test_problems_come_one_by_one_and_no_more_than_are_taken(tmp_path: Path) -> None:
    text = PROBLEM + "def f(start):\n    while True:\n        yield problem(start)\n        start += 1\n"
    made = list(islice(made_problems(code(tmp_path, text), "mine.py:f", {"start": 5}), 3))
    assert [one.id for one in made] == ["5", "6", "7"]
    assert [one.prompt for one in made] == ["5?", "6?", "7?"]
    text = PROBLEM + "def f():\n    return [problem(i) for i in range(2)]\n"
    assert len(list(made_problems(code(tmp_path, text), "mine.py:f", {}))) == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    yield problem(1)\n    yield {'prompt': 'x'}", r"mine.py:f gave a dict .*Problem \(problem 2\)"),
        ("    return problem(1)", r"mine.py:f returned Problem .*expected an iterable of problems"),
        (
            "    yield problem(1)\n    raise KeyError('x')",
            r"mine.py:7: mine.py:f raises KeyError: 'x', after 1 problems",
        ),
        ("    yield problem(1)\n    import os\n    os._exit(0)", r"ended its process after 1 problems"),
        (
            "    import dataclasses\n    yield dataclasses.replace(problem(1), domain=3)",
            r"problem 1 .*domain.*valid str",
        ),
        ("    import dataclasses\n    yield dataclasses.replace(problem(1), messages=())", r"problem 1 .*asks nothing"),
        ("    yield problem(1)\n    while True: pass", r"made 1 problems in 2 seconds and did not come to an end"),
    ],
)
def test_what_makes_no_problems_is_said(tmp_path: Path, body: str, said: str) -> None:
    own = code(tmp_path, f"{PROBLEM}def f():\n{body}\n")
    began = time.monotonic()
    with pytest.raises(DataError, match=said):
        list(made_problems(own, "mine.py:f", {}, seconds=2.0))
    assert time.monotonic() - began < 60
