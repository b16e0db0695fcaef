"""RL with a calculator, killed at four random moments: the same weights and rollouts, bit for bit."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.records import to_json
from ponder.tools.calculator import calculator
from ponder.tools.declared import tool_of
from ponder.watch.rollouts import read_rollouts
from tests import command

LIVES = Path(__file__).parent / "lives.py"
AGAIN = '''
import random, time

class Again:
    """Asks again until the number is right, slowly now and then."""
    def __init__(self, problem, patience=1):
        self.problem, self.left = problem, patience
    def first(self):
        return self.problem.messages
    def answer(self, reply):
        time.sleep(random.SystemRandom().uniform(0, 0.05))
        self.left -= 1
        return None if self.left < 0 or reply.content == self.problem.gold.answer else "Wrong, again."
'''
SKILL = """
name: skill
stages:
  skill:
    kind: sft
    preset: cold-start
    model: micro
    template: r1
    examples: [{source: file, path: FOLDER/calls.jsonl, columns: {messages: messages, tools: tools}}]
    epochs: 1
    batch_size: 2
    max_tokens: 600
    validation_share: 0
    optimizer: {lr: 3.0e-3}
"""
RL = """
name: calculated
stages:
  calculated:
    kind: rl
    model: FOLDER/skill/stages/skill/model
    problems: [{source: file, path: FOLDER/sums.jsonl, columns: {prompt: question, answer: answer}}]
    environment: {own: "again.py:Again", tools: [calculator], turns: 4}
    rewards: {accuracy: 1, format: 1}
    steps: 3
    problems_per_step: 2
    group_size: 4
    sampling: {temperature: 0.8, max_tokens: 160}
    optimizer: {lr: 1.0e-4}
    checkpoint_every: 1
"""
CALL = {"name": "calculator", "arguments": {"expression": "2*3"}}


def _prepare(folder: Path) -> None:
    """A model that calls the calculator, always for the same sum, which is the right one for every other question."""
    turns = [
        {"role": "assistant", "content": "<think>\nlet me see\n</think>", "tool_calls": [CALL]},
        {"role": "tool", "content": "6"},
        {"role": "assistant", "content": "<think>\nthere\n</think>\n\n6"},
    ]
    tool = to_json(tool_of(calculator))
    rows = [
        {"messages": [{"role": "user", "content": f"Sum {i}?"}, *turns], "tools": [tool]} for i in range(72)
    ]  # fmt: skip
    sums = [{"question": f"Sum {i}?", "answer": str(6 + i % 2)} for i in range(100, 112)]
    for name, values in (("calls", rows), ("sums", sums)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
    (folder / "again.py").write_text(AGAIN)
    (folder / "skill.yaml").write_text(SKILL.replace("FOLDER", str(folder)))
    (folder / "rl.yaml").write_text(RL.replace("FOLDER", str(folder)))
    path = folder / "skill.yaml"
    run(load_recipe(path), folder / "skill", text=path.read_text(), say=lambda line: None)


def test_killed_at_four_moments_the_weights_are_the_same(tmp_path: Path) -> None:
    _prepare(tmp_path)
    done = command.run(tmp_path / "rl.yaml", tmp_path, 4, 7, program=LIVES.read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    killed = json.loads(done.stdout.splitlines()[-1])
    assert sum(killed) == 4
    whole = tmp_path / "whole" / "stages" / "calculated"
    talks = [one.rollout.completion.talk for one in read_rollouts(whole)]
    assert sum(talk.calls for talk in talks if talk is not None) > 12  # the calculator is used ...
    expected = load_file(whole / "model" / "model.safetensors")
    before = load_file(tmp_path / "skill" / "stages" / "skill" / "model" / "model.safetensors")
    assert any(not torch.equal(before[name], expected[name]) for name in expected)  # ... and something is learnt
    rollouts = (whole / "rollouts" / "rollouts-000000.jsonl").read_bytes()
    for number in range(1, len(killed) + 1):
        stage = tmp_path / f"killed-{number}" / "stages" / "calculated"
        got = load_file(stage / "model" / "model.safetensors")
        assert expected.keys() == got.keys() and all(torch.equal(expected[name], got[name]) for name in expected)
        assert (stage / "rollouts" / "rollouts-000000.jsonl").read_bytes() == rollouts
