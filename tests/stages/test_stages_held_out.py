"""Held-out problems that are trained on are said to be, and rows that are none are listed."""

import json
from pathlib import Path

import pytest

from ponder.recipe.problems import FileProblems, HeldOut, MicroProblems
from ponder.stages.context import Context
from ponder.stages.held_out import HeldOutProblems
from ponder.task import load_problems


@pytest.mark.parametrize(
    ("shared", "said"), [(0, []), (2, ["zero: WARNING: 2 of 6 held-out problems are also trained"])]
)
def test_shared_problems(tmp_path: Path, shared: int, said: list[str]) -> None:
    source = MicroProblems(count=6, seed=3)
    context = Context(config=None, name="zero", folder=tmp_path, seed=1, inputs={}, say=print)
    held_out = HeldOutProblems(HeldOut(problems=(source,)), context, 8)
    others = load_problems([MicroProblems(count=6, split="test")]).problems
    trained = {problem.messages for problem in (*load_problems([source]).problems[:shared], *others)}
    lines: list[str] = []
    held_out.warn_of_trained(trained, "zero", lines.append)
    assert [line.partition(" on,")[0] for line in lines] == said


def test_rows_that_are_no_problems_are_listed_apart(tmp_path: Path) -> None:
    rows = [{"prompt": "2+2?", "answer": "4"}, {"prompt": "3+3?"}, {"prompt": "2+2?", "answer": "4"}]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said: list[str] = []
    context = Context(config=None, name="zero", folder=tmp_path, seed=1, inputs={}, say=said.append)
    held_out = HeldOutProblems(HeldOut(problems=(FileProblems(path=str(tmp_path / "q.jsonl")),)), context, 8)
    assert len(held_out.problems) == 1
    listed = (tmp_path / "held_out_left_out.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in listed] == [2, 3]
    assert (
        said[0].startswith("zero: 2 held-out rows left out, listed in ") and not (tmp_path / "left_out.jsonl").exists()
    )
