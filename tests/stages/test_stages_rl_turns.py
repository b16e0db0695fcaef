"""Reinforcement learning over turns for real: what it leaves is readable, and mistakes are refused."""

import json
import subprocess
from pathlib import Path

import pytest

from ponder.report.run import read_run
from ponder.watch.metrics import read_metrics
from ponder.watch.rollouts import read_rollouts
from tests import command

GAME = '''
import random, time
from ponder.records import Message

def lookup(word: str) -> str:
    """Looks a word up."""
    return word[::-1]

class Again:
    """Asks again until the number is right, slowly now and then."""
    def __init__(self, problem, patience=2):
        self.problem, self.left = problem, patience
    def first(self):
        return self.problem.messages
    def answer(self, reply):
        time.sleep(random.SystemRandom().uniform(0, 0.05))
        self.left -= 1
        return None if self.left < 0 or reply.content == self.problem.gold.answer else "Wrong, again."
'''
RECIPE = """
name: game
stages:
  game:
    kind: rl
    model: micro
    template: r1-zero
    problems: [{source: micro, tasks: [arithmetic], languages: [en], count: 60}]
    held_out:
      problems: [{source: micro, tasks: [arithmetic], languages: [en], split: test, count: 3}]
      samples: 2
    environment: {own: "game.py:Again", tools: ["game.py:lookup"], arguments: {patience: 2}, turns: 3}
    rewards: {accuracy: 1, format: 1}
    steps: 3
    problems_per_step: 3
    group_size: 4
    sampling: {max_tokens: 200}
    optimizer: {lr: 1.0e-3}
    checkpoint_every: 1
"""


def _run(folder: Path, out: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return command.run("run", folder / "game.yaml", "--out", out, *overrides)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("game")
    (found / "game.yaml").write_text(RECIPE)
    (found / "game.py").write_text(GAME)
    done = _run(found, found / "whole")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "environment: tools lookup, answers by game.py:Again; at most 3 turns" in done.stdout
    return found


def test_rollouts_and_metrics_show_the_turns(folder: Path) -> None:
    stage = folder / "whole" / "stages" / "game"
    logged = [one.rollout.completion for one in read_rollouts(stage)]
    talks = [one.talk for one in logged if one.talk is not None]
    assert len(talks) == len(logged) == 36 and max(talk.turns for talk in talks) > 1
    several = next(one for one in logged if one.talk is not None and one.talk.turns > 1)
    assert several.talk is not None and len(several.logprobs) < len(several.token_ids)
    assert [one.role for one in several.talk.messages][:3] == ["assistant", "user", "assistant"]
    assert several.talk.messages[1].content == "Wrong, again."
    line = json.loads((stage / "rollouts/rollouts-000000.jsonl").read_text().splitlines()[0])
    assert line["talk"]["messages"][0]["role"] == "assistant"
    rows = [row for row in read_metrics(stage) if row["step"] > 0]
    assert all(1 <= row["environment/turns"] <= 3 and row["environment/answered"] == 1 for row in rows)
    held_out = (stage / "evaluation" / "step-000003.jsonl").read_text().splitlines()
    assert json.loads(held_out[0])["provenance"]["tools"][0]["name"] == "lookup"
    assert any(sample["talk"]["messages"][1:] for sample in json.loads(held_out[1])["samples"])
    assert read_run(folder / "whole")


def test_show_prints_a_conversation(folder: Path) -> None:
    shown = command.run("show", folder / "whole").stdout
    assert "[assistant]" in shown and "[user] Wrong, again." in shown


def test_changed_by_one_character_the_run_is_refused(folder: Path) -> None:
    before = (folder / "game.py").read_text()
    (folder / "game.py").write_text(before.replace("Wrong, again.", "Wrong, again!"))
    done = _run(folder, folder / "whole")
    (folder / "game.py").write_text(before)
    assert done.returncode == 1 and "game.py" in done.stderr and "--redo" in done.stderr


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["stages.game.environment.own=game.py:Agin"], "game.py has no class 'Agin'; it has Again"),
        (["stages.game.environment.own=nowhere.py:Again"], "nowhere.py"),
        (["stages.game.environment.arguments={patients: 2}"], "game.py:9: game.py:Again is made by"),
        (["stages.game.environment.tools=[calculatr]"], "did you mean 'calculator'"),
        (["stages.game.environment.turn=3"], "did you mean 'turns'"),
        (["stages.game.environment={tools: [search], folder: nowhere}"], "nowhere"),
    ],
)
def test_mistakes_are_a_paragraph(folder: Path, tmp_path: Path, changes: list[str], reason: str) -> None:
    done = _run(folder, tmp_path / "run", *changes)
    assert done.returncode == 1 and reason in done.stderr and "Traceback" not in done.stderr, done.stderr
