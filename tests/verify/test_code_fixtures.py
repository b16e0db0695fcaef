"""What pytest brings to a test: `capsys`, `monkeypatch`, folders, mocks above a function."""

from collections.abc import Iterator

import pytest

from ponder.records import CodeGold
from ponder.verify import code
from ponder.verify.code import verify_code


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


def judged(program: str, tests: str) -> str:
    return verify_code(program, CodeGold(tests=(tests,), form="unittest")).outcome


SAYS = "def f():\n    print('a')\n    return 1"
SILENT = "def f():\n    print('b')\n    return 2"
HEAD = "import os, pytest\nfrom unittest.mock import patch\nimport solution\n"
TESTS = {
    "unpacked": "def test_f(capsys):\n    solution.f()\n    out, err = capsys.readouterr()\n    assert out == 'a\\n'",
    "by place": "def test_f(capsys):\n    solution.f()\n    assert capsys.readouterr()[0] == 'a\\n'",
    "disabled": "def test_f(capsys):\n    with capsys.disabled():\n        print('x')\n    solution.f()\n"
    "    assert capsys.readouterr().out == 'a\\n'",
    "capfd": "def test_f(capfd):\n    solution.f()\n    assert capfd.readouterr().out == 'a\\n'",
    "chdir": "def test_f(monkeypatch, tmp_path):\n    monkeypatch.chdir(tmp_path)\n"
    "    assert solution.f() == 1 and os.getcwd() == str(tmp_path)",
    "setitem": "def test_f(monkeypatch):\n    known = {}\n    monkeypatch.setitem(known, 'x', solution.f())\n"
    "    assert known == {'x': 1}\n    monkeypatch.undo()\n    assert known == {}",
    "context": "def test_f(monkeypatch):\n    with monkeypatch.context() as m:\n        m.setenv('HERE', 'x')\n"
    "        assert os.environ['HERE'] == 'x'\n    assert 'HERE' not in os.environ and solution.f() == 1",
    "capfd alone": "def test_f(capfd):\n    f()\n    assert capfd.readouterr().out == 'a\\n'",
    "a folder factory alone": "def test_f(tmp_path_factory):\n    path = tmp_path_factory.mktemp('x') / 'y'\n"
    "    path.write_text('7')\n    assert open(path).read() == '7' and f() == 1",
    "a folder factory": "def test_f(tmp_path_factory):\n    folder = tmp_path_factory.mktemp('x')\n"
    "    assert folder.is_dir() and solution.f() == 1",
    "a mock above a function": "@patch('solution.f', return_value=5)\ndef test_f(g):\n    assert solution.f() == 5\n"
    "    g.assert_called_once_with()\ndef test_g():\n    assert solution.f() == 1",
    "a mock and a fixture": "@patch('os.getpid', return_value=5)\ndef test_f(g, tmp_path):\n"
    "    assert os.getpid() == 5 and solution.f() == 1",
}  # fmt: skip


@pytest.mark.parametrize("name", TESTS)
def test_fixtures(name: str) -> None:
    head = "from solution import f\n" if name.endswith("alone") else HEAD
    assert judged(SAYS, head + TESTS[name]) == "right"
    assert judged(SILENT, head + TESTS[name]) == "wrong"


@pytest.mark.parametrize(
    "what", ["capsys.readouter()", "monkeypatch.setall(1)", "caplog.text", "tmpdir", "request.node"]
)
def test_a_fixture_that_is_not_there_cannot_tell(what: str) -> None:
    tests = f"{HEAD}def test_f({what.partition('.')[0]}):\n    {what}\n    assert solution.f() == 1"
    assert judged(SAYS, tests) == "cannot_tell"


@pytest.mark.parametrize("tests", ["assert f() == 1", "import os\ndef test_f():\n    assert f() == 1"])
def test_a_package_that_is_not_there(tests: str) -> None:
    for module, outcome in (("numpy", "cannot_tell"), ("scipy.special", "cannot_tell"), ("no_such", "wrong")):
        verdict = verify_code(f"import {module}\n{SAYS}", CodeGold(tests=(tests,), entry_point="f"))
        assert verdict.outcome == outcome, verdict


@pytest.mark.parametrize(
    "ending", ["sys.exit(0)", "sys.exit()", "raise unittest.SkipTest('x')", "unittest.TestCase().skipTest('x')"]
)
@pytest.mark.parametrize(
    "form", ["class T(unittest.TestCase):\n    def test_f(self):\n        {}", "def test_f():\n    {}"]
)
def test_a_program_that_ends_or_skips_its_tests_is_wrong(form: str, ending: str) -> None:
    tests = "import os, sys, unittest\nfrom solution import f\n" + form.format("assert f() == os.sep")
    program = f"import sys, unittest\ndef f():\n    {ending}"
    assert judged(program, tests) == "wrong", verify_code(program, CodeGold(tests=(tests,), form="unittest"))
    assert judged("def f(): return '/'", tests) == "right"
