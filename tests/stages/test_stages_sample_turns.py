"""Conversations sampled into data: tool calls that SFT learns from, turns of one's own, killed and continued."""

import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from ponder.ask.log import RequestLog
from ponder.errors import RecipeError
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.run import run
from ponder.policy import load_policy
from ponder.recipe import load_recipe
from ponder.recipe.examples import StageExamples
from ponder.records import Example, MeasuredProblem, from_json
from ponder.task.examples import load_examples
from ponder.train.examples import encode_examples
from tests import command

TOOLS = '''
def roll() -> int:
    """Rolls the die."""
    return 6
'''
GAME = '''
from ponder.records import Message

class Twice:
    """Every problem begins with the same words; the answer to the first reply is the problem's own."""
    def __init__(self, problem):
        self.gold, self.replies = problem.gold.answer, 0
    def first(self):
        return [Message(role="user", content="What is 2+3?")]
    def answer(self, reply):
        self.replies += 1
        return f"Now say {self.gold}." if self.replies == 1 else None
'''
RECIPE = """
name: dice
stages:
  skill:
    kind: sft
    preset: cold-start
    model: micro
    template: r1
    examples: [{source: file, path: calls.jsonl, columns: {messages: messages, tools: tools}}]
    epochs: 1
    batch_size: 2
    max_tokens: 400
    validation_share: 0
    optimizer: {lr: 3.0e-3}
  data:
    kind: sample
    model: skill
    problems: [{source: file, path: dice.jsonl, columns: {prompt: question, answer: answer}}]
    samples: 2
    environment: {tools: ["tools.py:roll"], turns: 3}
    sampling: {temperature: 0.5, max_tokens: 200}
    keep: {correct: true, readable: {}, one_language: 0.95}
  again:
    kind: sft
    preset: cold-start
    model: skill
    examples: [{source: stage, stage: data}]
    epochs: 1
    batch_size: 16
    max_tokens: 600
    validation_share: 0
    optimizer: {lr: 1.0e-4}
"""
FILES = ("examples.jsonl", "rejected.jsonl", "composition.json", "requests/samples.jsonl")
CALLS = '{"name": "roll", "arguments": {}}'


def _rows() -> list[dict[str, Any]]:
    tool = {"name": "roll", "description": "Rolls the die.", "parameters": {"properties": {}, "type": "object"}}
    call = {"role": "assistant", "content": "<think>\nlet me see\n</think>", "tool_calls": [json.loads(CALLS)]}
    told = [{"role": "tool", "content": "6"}, {"role": "assistant", "content": "<think>\nthere\n</think>\n\n6"}]
    return [
        {"messages": [{"role": "user", "content": f"What does die {i} show?"}, call, *told], "tools": [tool]}
        for i in range(72)
    ]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _go(path: Path, out: Path, *overrides: str) -> list[str]:
    said: list[str] = []
    run(load_recipe(path, overrides), out, text=path.read_text(), say=said.append)
    return said


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dice")
    _write(folder / "calls.jsonl", _rows())
    questions = [{"question": f"What does die {i} show?", "answer": "6"} for i in range(100, 112)]
    _write(folder / "dice.jsonl", questions)
    (folder / "tools.py").write_text(TOOLS)
    (folder / "dice.yaml").write_text(RECIPE.replace("path: ", f"path: {folder}/"))
    said = _go(folder / "dice.yaml", folder / "out")
    assert any("data: conversations: 2.0 turns" in line for line in said), said
    return folder


def _trained(made: Path, out: Path) -> Path:
    """The run with its first stage alone."""
    shutil.copytree(made / "out", out)
    for name in ("data", "again"):
        shutil.rmtree(out / "stages" / name)
    return out


def test_calls_and_results_become_examples_that_are_learnt_as_they_were_said(made: Path) -> None:
    stages = made / "out" / "stages"
    examples = [from_json(Example, row) for row in _lines(stages / "data" / "examples.jsonl")]
    results = json.loads((stages / "data" / "manifest.json").read_text())["results"]
    assert len(examples) == results["kept"] > 12 and results["conversations"]["conversations"] == 24
    assert results["conversations"]["calls"] >= len(examples)
    replies = {f"{row['id']}#{row['number']}": row for row in _lines(stages / "data/requests/samples.jsonl")}
    policy = load_policy(str(stages / "skill" / "model"), device="cpu")
    loaded = load_examples([StageExamples(stage="data", shuffle_seed=None)], {"data": stages / "data"})
    encoded = encode_examples(loaded, policy, 600).examples
    assert len(encoded) == len(examples)
    for example, one in zip(examples, encoded, strict=True):
        (step,) = example.steps
        assert [tool.name for tool in example.tools] == ["roll"] and example.answer == "6"
        assert [(call.name, call.values) for call in step.tool_calls] == [("roll", {})]
        assert [(result.role, result.content, result.name) for result in step.results] == [("tool", "6", "roll")]
        said = [turn["content"] for turn in replies[example.id]["talk"]["messages"] if turn["role"] == "assistant"]
        learnt = [policy.tokenizer.decode(one.response[start : end - 1].tolist()) for start, end in one.spans]
        assert learnt == said
    assert (stages / "again" / "done").exists()


def test_killed_and_continued_ends_with_the_same_bytes(made: Path, tmp_path: Path) -> None:
    rng, whole, broken = random.Random(5), made / "out" / "stages" / "data", _trained(made, tmp_path / "broken")
    (made / "data.yaml").write_text((made / "dice.yaml").read_text().partition("  again:")[0])
    log = broken / "stages/data/requests/samples.jsonl"
    process = command.start("run", made / "data.yaml", "--out", broken, session=True)
    deadline = time.monotonic() + 60
    while not log.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.5))
    process.kill_all()
    assert not (broken / "stages" / "data" / "done").exists()
    assert command.run("run", made / "data.yaml", "--out", broken).returncode == 0
    for name in FILES:
        assert (broken / "stages" / "data" / name).read_bytes() == (whole / name).read_bytes()


def test_pass_rates_of_conversations(made: Path, tmp_path: Path) -> None:
    out = _trained(made, tmp_path / "out")
    text = RECIPE.partition("  again:")[0].partition("    keep:")[0].replace("path: ", f"path: {made}/")
    (made / "rates.yaml").write_text(text + "    output: problems\n")
    _go(made / "rates.yaml", out)
    rows = [from_json(MeasuredProblem, row) for row in _lines(out / "stages/data/problems.jsonl")]
    assert len(rows) == 12 and sum(row.right for row in rows) > 12 and all(row.judged == 2 for row in rows)


GAMES = """
name: game
stages:
  data:
    kind: sample
    model: micro
    template: r1-zero
    problems: [{source: micro, tasks: [arithmetic], languages: [en], count: 4}]
    samples: 2
    environment: {own: "game.py:Twice", turns: 3}
    sampling: {max_tokens: 160}
"""


def test_a_class_of_ones_own_answers_each_problem_in_its_own_way(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text(GAME)
    (tmp_path / "game.yaml").write_text(GAMES)
    _go(tmp_path / "game.yaml", tmp_path / "out")
    stage = tmp_path / "out" / "stages" / "data"
    with RequestLog(stage / "requests" / "samples.jsonl") as log:
        assert len(log) == 8  # though all prompts are the same
    rows = _lines(stage / "requests" / "samples.jsonl")
    told = {row["id"]: row["talk"]["messages"][1]["content"] for row in rows if row["talk"]["messages"][1:]}
    assert len(set(told.values())) == len(told) > 1 and all(text.startswith("Now say ") for text in told.values())
    examples = [from_json(Example, row) for row in _lines(stage / "examples.jsonl")]
    assert examples and all(one.messages[0].content == "What is 2+3?" and not one.tools for one in examples)
    several = [one for one in examples if one.steps]
    assert several and all(one.steps[0].results[0].role == "user" for one in several)
    policy = load_policy("micro", "r1-zero", device="cpu")
    loaded = load_examples([StageExamples(stage="data")], {"data": stage})
    assert all(len(one.spans) == 2 for one in encode_examples(loaded, policy, 600).examples if one.spans)


def test_the_plan_tells_of_turns(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text(GAME)
    (tmp_path / "game.yaml").write_text(GAMES)
    told = describe_plan(load_recipe(tmp_path / "game.yaml"), tmp_path / "out")
    assert "at most 3 in a conversation" in told and "game.py:Twice" in told


ENDPOINT = "{base_url: 'http://localhost:1/v1', model: m}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((f"stages.data.endpoint={ENDPOINT}", "stages.data.model=null", "stages.data.template=null"), "asked single"),
        (("stages.data.output=pairs",), "pairs hold single replies"),
        (("stages.data.output=labels",), "labels hold single replies"),
        (("stages.data.rewrite={by: {kind: rule}, summary: true}",), "rewrite puts single replies"),
        (("stages.data.keep.unfinished=true",), "keep.unfinished takes single replies"),
        (("stages.data.environment.tools=[calculatr]",), "did you mean 'calculator'"),
        (("stages.data.environment.own=game.py:Twise",), "game.py has no class 'Twise'; it has Twice"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, change: tuple[str, ...], message: str) -> None:
    (tmp_path / "game.py").write_text(GAME)
    (tmp_path / "game.yaml").write_text(GAMES)
    with pytest.raises(RecipeError, match=message):
        _go(tmp_path / "game.yaml", tmp_path / "out", *change)
