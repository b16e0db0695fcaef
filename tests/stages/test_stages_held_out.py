"""Held-out problems that are trained on are said to be."""

from pathlib import Path

import pytest

from ponder.recipe.problems import HeldOut, MicroProblems
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
