"""Mistakes in one's own files, as a user meets them: one paragraph with file and line, status 1."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ponder import cli

MINE = """\
from ponder.records import MathGold, Message, Problem

def right(judged): return 1.0
def wide(judged, more): return 1.0
def narrow(answer): return True
def raises(judged): return {}["x"]

def problems(count):
    for i in range(count):
        question = Message(role="user", content=f"{i}+1?")
        yield Problem(id=f"p{i}", messages=(question,), gold=MathGold(answer=str(i + 1)), domain="d")

def bare(word): return word

class Endless:
    def __init__(self, problem): self.problem = problem
    def first(self): return self.problem.messages
    def answer(self, reply): return "go on"
class Raises(Endless):
    def answer(self, reply): return {}["y"]
class Hangs(Endless):
    def first(self):
        while True: pass
class Wide(Endless):
    def answer(self, reply, more): return "x"
"""
RECIPE = """\
name: bad
stages:
  zero:
    kind: rl
    model: micro
    template: r1-zero
    steps: 1
    problems_per_step: 2
    group_size: 2
    sampling: {max_tokens: 160}
    optimizer: {lr: 1.0e-4}
"""
SUMS = "    problems: [{source: micro, tasks: [arithmetic], count: 20}]\n"
REWARDS = "    rewards: {accuracy: 1}\n"


Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the recipe with further lines: status, what was printed, what was complained of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "forms.jsonl").write_text('{"question": "Fill in.", "schema": {"type": "objekt"}, "answer": {"a": 1}}')

    def command(lines: str) -> tuple[int, str, str]:
        (tmp_path / "bad.yaml").write_text(RECIPE + lines)
        monkeypatch.setattr("sys.argv", ["ponder", "run", "bad.yaml", "--out", "out"])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capfd.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else int(bool(code)), printed.out, printed.err

    return command


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (SUMS + '    rewards: {"nofile.py:x": 1}\n', "bad.yaml:13: stage 'zero': there is no file 'nofile.py'"),
        (SUMS + '    rewards:\n      accuracy: 1\n      "mine.py:rihgt": 1\n',
         "bad.yaml:15: stage 'zero': mine.py has no function 'rihgt'; it has bare, narrow, "),
        (SUMS + '    rewards: {"mine.py:wide": 1}\n', "mine.py:4: mine.py:wide has the parameters (judged, more), but"),
        (SUMS + '    rewards: {"mine.py:raises": 1}\n', "mine.py:6: mine.py:raises raises KeyError: 'x'"),
        (REWARDS + "    problems: [{source: python, file: no.py}]\n", "bad.yaml:13: stage 'zero': there is no file"),
        (REWARDS + "    problems: [{source: python, file: mine.py, function: problms}]\n",
         "bad.yaml:13: stage 'zero': mine.py has no function 'problms'"),
        (REWARDS + "    problems: [{source: python, file: mine.py, arguments: {cuont: 3}}]\n",
         "mine.py:8: mine.py:problems has the parameters (count), but is called with (cuont=3)"),
        (REWARDS + '    problems: [{source: file, path: forms.jsonl, gold: "mine.py:narrow"}]\n',
         "mine.py:5: mine.py:narrow has the parameters (answer), but is called with (answer: str, gold: OwnGold)"),
        (REWARDS + "    problems:\n      - {source: file, path: forms.jsonl, gold: json,\n"
         "         columns: {prompt: question, answer: answer, json_schema: schema}}\n",
         "Source 'forms' (forms.jsonl) has no usable problem: row 1 of 'forms': the schema is invalid: $.type"),
        (SUMS + REWARDS + '    environment: {own: "no.py:Game"}\n', "bad.yaml:14: stage 'zero': there is no file"),
        (SUMS + REWARDS + '    environment: {own: "mine.py:Endles"}\n',
         "bad.yaml:14: stage 'zero': mine.py has no class 'Endles'; it has Endless, "),
        (SUMS + REWARDS + '    environment: {own: "mine.py:Wide"}\n', "mine.py:24: mine.py:Wide has `answer(self"),
        (SUMS + REWARDS + '    environment: {own: "mine.py:Hangs", call_seconds: 1}\n',
         "mine.py:21: mine.py:Hangs gave nothing within 1 seconds: so a conversation about problem"),
        (SUMS + REWARDS + '    environment: {own: "mine.py:Raises"}\n',
         "the last time: mine.py:20: mine.py:Raises raises KeyError: 'y'. There is nothing to learn from."),
        (SUMS + REWARDS + '    environment: {tools: ["mine.py:bare"]}\n', "mine.py:13: mine.py:bare has no docstring"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_paragraph_with_file_and_line(run: Run, lines: str, said: str) -> None:
    status, _, complained = run(lines)
    paragraph = f"\n{complained}".rpartition("\nponder: ")[2].partition("\n")[0]
    assert status == 1 and said in paragraph and "ponder/cli" not in complained, complained


def test_an_environment_that_never_ends_is_named(run: Run) -> None:
    status, printed, complained = run(SUMS + REWARDS + '    environment: {own: "mine.py:Endless", turns: 2}\n')
    assert status == 0, complained
    assert "cannot learn: mine.py:15: endless: " in printed and "the limit environment.turns" in printed
