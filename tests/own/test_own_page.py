"""docs/own-code.md: every file on the page works as it stands."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ponder.cli import app
from ponder.errors import RunFolderError
from ponder.files import read_json
from ponder.watch.metrics import read_metrics
from ponder.watch.rollouts import read_rollouts

PAGE = Path(__file__).parents[2] / "docs" / "own-code.md"
BLOCK = re.compile(r"^`([\w-]+\.\w+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
SMALL = [
    "stages.zero.steps=2",
    "stages.zero.problems_per_step=4",
    "stages.zero.group_size=4",
    "stages.zero.held_out=null",
]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the page in a folder, which is not the one ponder is started in."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return folder


def ponder(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_page_has_the_files_it_speaks_of() -> None:
    assert set(FILES) == {"rewards.py", "tasks.py", "mine.yaml", "rules.py", "kept.yaml"}


def test_the_recipe_trains_refuses_what_is_changed_and_its_functions_can_be_tried(page: Path) -> None:
    run = ["run", str(page / "mine.yaml"), *SMALL, "--out", "out"]
    said = ponder(*run, "stages.zero.problems.0.limit=40")
    assert "rewards accuracy 1, format 1, rewards.py:brevity 0.2" in said
    assert "rewards.py:brevity gives completions that answer nothing 0.54 to 1, " in said
    stage = Path("out/stages/zero")
    rollouts = [one.rollout for one in read_rollouts(stage)]
    assert {one.verdict.outcome for one in rollouts} == {"right", "wrong"}
    for one in rollouts:  # the reward is what the page's function says, computed here
        thinking = one.completion.text.partition("</think>")[0].removeprefix("<think>")
        brevity = max(0.0, 1 - len(thinking.split()) / 100)
        if "</think>" in one.completion.text:
            assert one.rewards["rewards.py:brevity"] == pytest.approx(brevity, abs=0.0101)
            right, form = one.rewards["accuracy"], one.rewards["format"]
            assert one.reward == pytest.approx((right or 0) + (form or 0) + 0.2 * one.rewards["rewards.py:brevity"])
    assert read_metrics(stage)[-1]["failed/rewards.py:brevity"] == 0
    identity = read_json(stage / "manifest.json")["identity"]
    assert set(identity["own"]) == {"rewards.py", "tasks.py"}

    mine = page / "rewards.py"
    mine.write_text(mine.read_text().replace("100)", "101)"))
    with pytest.raises(RunFolderError, match=r"own\.rewards\.py: .*Files of your own have changed since: rewards\.py"):
        ponder(*run, "stages.zero.problems.0.limit=40")

    tried = ponder("try", "project/rewards.py:brevity", "--rollouts", "out")
    assert "on 32 of 32 stored rollouts" in tried and "no call failed" in tried and "mean by verdict: right" in tried
    again = ponder("try", "project/tasks.py:equal", "--rollouts", "out/stages/zero", "--limit", "10")
    assert "stored right, now right" in again and "where they differ" not in again
    assert "makes 5 problems" in ponder("try", "project/tasks.py:problems", "count=5", "seed=1")


def test_the_rule_decides_what_is_kept(page: Path) -> None:
    ponder("run", str(page / "kept.yaml"), "stages.kept.problems.0.count=12", "--out", "kept")
    stage = Path("kept/stages/kept")
    examples = [json.loads(line) for line in (stage / "examples.jsonl").read_text().splitlines()]
    assert examples
    (page / "rules.py").write_text(FILES["rules.py"].replace("return not", "return False and not"))
    with pytest.raises(Exception, match=r"rules\.py:tidy"):
        ponder("run", str(page / "kept.yaml"), "stages.kept.problems.0.count=12", "--out", "none")
