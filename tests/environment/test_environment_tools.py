"""Calls of tools: every call gives a text, whatever the tool does, and programs stay in their sandbox."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.environment import Toolbox
from ponder.errors import RecipeError
from ponder.own import read_own
from ponder.own.apart import check_own
from ponder.recipe.environment import Environment
from ponder.recipe.own import OwnUse
from ponder.records import ToolCall
from ponder.verify.pool import VerifierPool

FILE = '''
import os, sys, time

def weather(city: str, days: int = 1) -> str:
    """The weather of a city."""
    return f"sun in {city} for {days} days"
def listed(names: list[str]) -> dict:
    """Counts."""
    return {"count": len(names)}
def raises(x: int):
    """Fails."""
    return {}["no such key"]
def hangs():
    """Never ends."""
    while True: pass
def swells():
    """Takes all memory."""
    return len(bytearray(1 << 40))
def dies():
    """Ends."""
    os._exit(3)
def prints():
    """Prints a lot."""
    for _ in range(100): print("x" * 1_000_000)
    return "done"
def long():
    """Much."""
    return "a" * 5000 + "b" * 5000
def thing():
    """No JSON."""
    return object()
def invalid(x: int):
    """Raises what pydantic raises."""
    from pydantic import TypeAdapter
    return TypeAdapter(int).validate_python("no")
def silent(x): pass
def starred(*x: int):
    """Stars."""
def odd(x: complex | type(os)):
    """Odd."""
class Tool:
    """A class."""
async def later():
    """Waits."""
import functools
def _weather(days: int, city: str):
    """The weather."""
soon = functools.partial(_weather, 3)
kept = functools.lru_cache(_weather)
from collections.abc import Callable
def wants(f: Callable[[int], int]):
    """Wants."""
def calculator(expression: str):
    """Mine."""
'''
TOOLS = ("weather", "listed", "raises", "hangs", "swells", "dies", "prints", "long", "thing", "invalid")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("own")
    (found / "tools.py").write_text(FILE)
    return found


@pytest.fixture(scope="module")
def box(folder: Path) -> Iterator[Toolbox]:
    own = read_own(["tools.py"], folder)
    names = (*(f"tools.py:{name}" for name in TOOLS), "calculator", "python")
    with VerifierPool(workers=2, own=own) as pool:
        yield Toolbox(Environment(tools=names, call_seconds=2, result_characters=1000), pool, own)


def call(box: Toolbox, name: str, **arguments: object) -> tuple[str, bool]:
    result = box.call(ToolCall(name=name, arguments=json.dumps(arguments)))()
    return result.text, result.failed


def test_a_model_is_told_names_words_and_types(box: Toolbox) -> None:
    told = {tool.name: tool for tool in box.tools}
    assert list(told) == [*TOOLS, "calculator", "python"]
    assert told["weather"].description == "The weather of a city."
    assert told["weather"].parameters == {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1}},
        "required": ["city"],
    }
    assert told["python"].parameters["properties"] == {"code": {"type": "string"}}


@pytest.mark.parametrize(
    ("name", "arguments", "text", "failed"),
    [
        ("weather", {"city": "Oru", "days": 2}, "sun in Oru for 2 days", False),
        ("weather", {"city": "Oru"}, "sun in Oru for 1 days", False),
        ("listed", {"names": ["a", "b"]}, '{"count": 2}', False),
        ("prints", {}, "done", False),
        ("calculator", {"expression": "2*21"}, "42", False),
        ("weather", {}, "error: city: Missing required argument", True),
        ("weather", {"city": 5}, "error: city: Input should be a valid string", True),
        ("weather", {"city": "Oru", "town": "x"}, "error: town: Unexpected keyword argument", True),
        ("raises", {"x": 1}, "error: KeyError: 'no such key'", True),
        ("thing", {}, "expected a text, or a value that JSON has", True),
        ("invalid", {"x": 1}, "error: pydantic", True),
        ("hangs", {}, "error: tools.py:hangs gave nothing within 2 seconds", True),
        ("swells", {}, "error: MemoryError", True),
        ("dies", {}, "error: tools.py:dies ended the worker it ran in", True),
        ("nothing", {}, "error: there is no tool 'nothing'; there are: weather, ", True),
        ("calculator", {"expression": "1/0"}, "error: division by zero", True),
        ("calculator", {"sum": "1"}, "error: expression: Missing required argument; sum: Unexpected", True),
        ("python", {"program": "1"}, "error: code: Missing required argument", True),
    ],
)  # fmt: skip
def test_every_call_gives_a_text(
    box: Toolbox, name: str, arguments: dict[str, object], text: str, failed: bool
) -> None:
    got, is_failed = call(box, name, **arguments)
    assert text in got and is_failed == failed
    assert call(box, "weather", city="Oru")[0].startswith("sun"), "the next call is answered"


def test_long_results_keep_both_ends(box: Toolbox) -> None:
    text, failed = call(box, "long")
    assert text == "a" * 500 + "\n[9,000 characters left out]\n" + "b" * 500 and not failed


@pytest.mark.parametrize(
    ("code", "text", "failed"),
    [
        ("print(6*7)", "42\n", False),
        ("", "", False),
        ("print(input())", "EOFError", True),
        ("import sys\nprint('so far')\nsys.exit(3)", "so far\n\n\nerror: the program ended with status 3", True),
        ("1/0", "ZeroDivisionError: division by zero", True),
        ("def f(:", "SyntaxError", True),
        ("while True: pass", "error: the program", True),
        ("import time\ntime.sleep(60)", "error: the program was stopped after 2 seconds", True),
        ("x = bytearray(1 << 40)", "MemoryError", True),
        ("for _ in range(2000): print('x' * 1_000_000)", "characters left out", True),
        ("import subprocess\nsubprocess.run(['ls'])", "error", True),
        ("import socket\nsocket.create_connection(('127.0.0.1', 9), 1)", "error", True),
    ],
)  # fmt: skip
def test_programs_run_in_the_sandbox(box: Toolbox, code: str, text: str, failed: bool) -> None:
    got, is_failed = call(box, "python", code=code)
    assert text in got and is_failed == failed


def test_a_program_cannot_leave_the_sandbox(box: Toolbox, tmp_path: Path) -> None:
    """Neither to read what lies here, nor to write, nor to keep something for the next program."""
    secret, target = tmp_path / "secret.txt", tmp_path / "written.txt"
    secret.write_text("the word is heron")
    os.environ["PONDER_TEST_SECRET"] = "the word is heron"
    for code in (
        f"print(open({str(secret)!r}).read())",
        f"open({str(target)!r}, 'w').write('x')",
        "import os\nprint(os.environ)",
        "import os\nfor p in os.listdir('/proc'):\n  if p.isdigit():\n    print(open(f'/proc/{p}/environ').read())",
        "import os, pathlib\nprint([str(p) for p in pathlib.Path('/').rglob('secret.txt')])\nprint(os.getcwd())",
        "import pathlib\npathlib.Path('/tmp/kept').write_text('x')",
        "import os\nos.kill(os.getppid(), 9)",
    ):
        assert "heron" not in call(box, "python", code=code)[0]
    assert not target.exists()
    assert call(box, "python", code="import os\nprint(os.path.exists('/tmp/kept'))")[0] == "False\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("silent", r"tools\.py:\d+: tools\.py:silent has no docstring.* docs/tools.md shows files"),
        ("starred", r"has the parameter \*x: int; expected parameters that a call can give by name"),
        ("odd", "types JSON does not have"),
        ("Tool", "expected a function"),
        ("later", "async"),
        ("soon", "is partial; expected a function written with `def`"),
        ("kept", "is _lru_cache_wrapper; expected a function written with `def`"),
        ("wants", "types JSON does not have"),
        ("wether", r"has no function 'wether'; it has calculator, dies"),
    ],
)
def test_what_is_no_tool_is_said_with_its_line(folder: Path, name: str, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        check_own(read_own(["tools.py"], folder), [OwnUse(role="tool", function=f"tools.py:{name}")])


def test_two_tools_of_one_name(folder: Path) -> None:
    own = read_own(["tools.py"], folder)
    with VerifierPool(workers=1, own=own) as pool, pytest.raises(RecipeError, match="are called 'calculator'"):
        Toolbox(Environment(tools=("calculator", "tools.py:calculator")), pool, own)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "neither tools nor a class"),
        ({"tools": ("calculater",)}, "did you mean 'calculator'"),
        ({"tools": ("tools.py",)}, "names no function of a file"),
        ({"tools": ("calculator", "calculator")}, "twice"),
        ({"tools": ("search",)}, "come together"),
        ({"tools": ("calculator",), "folder": "texts"}, "come together"),
        ({"tools": ("calculator",), "turns": 1}, "no call would ever be answered"),
        ({"tools": ("calculator",), "arguments": {"a": 1}}, "for a class of your own"),
        ({"own": "game"}, "names no function of a file"),
    ],
)  # fmt: skip
def test_environments_that_are_none(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Environment.model_validate(settings)
