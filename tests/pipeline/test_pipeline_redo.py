"""A redo keeps the old folders, reruns what builds on them, and survives an interruption."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pair_run import Stages, folder

from ponder.errors import RecipeError, RunFolderError
from ponder.manifest import is_done


def test_redo_keeps_the_old_and_reruns_downstream(
    start: Callable[..., list[str]], stages: Stages, tmp_path: Path
) -> None:
    start()
    assert start("stages.zero.steps=8", redo=["zero"]) == ["zero", "scores"]
    aside = sorted(p.name.split("-")[0] for p in (tmp_path / "out" / "stages").glob("*.replaced-*"))
    assert aside == ["scores.replaced", "zero.replaced"]
    assert any("zero: to be redone, old folder kept as" in line for line in stages.said)
    assert any("scores: built on zero, old folder kept as" in line for line in stages.said)
    assert start("stages.zero.steps=8") == []


def test_an_interrupted_redo_goes_on_with_the_same_command(start: Callable[..., list[str]], stages: Stages) -> None:
    start()
    stages.trouble["scores"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        start(redo=["zero"])
    assert start(redo=["zero"]) == ["scores"]  # zero was redone already
    assert start(redo=["zero"]) == ["zero", "scores"]  # the earlier redo is over, this is another


def test_an_interrupted_redo_with_other_settings_begins_anew(start: Callable[..., list[str]], stages: Stages) -> None:
    """What the first attempt made belongs to its settings: nothing of it is gone on with, or taken as done."""
    start()
    stages.trouble["scores"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        start("stages.zero.steps=6", redo=["zero"])
    assert start("stages.zero.steps=3", redo=["zero"]) == ["zero", "scores"]
    assert start("stages.zero.steps=3") == []


def test_redo_of_an_unknown_stage(start: Callable[..., list[str]]) -> None:
    start()
    with pytest.raises(RecipeError, match=r"--redo zreo: the recipe has no such stage; did you mean 'zero'\?"):
        start(redo=["zreo"])


def test_redo_does_not_hide_another_change(start: Callable[..., list[str]], tmp_path: Path) -> None:
    start()
    with pytest.raises(RunFolderError, match="base \\(tokens_per_step: "):
        start("stages.base.tokens_per_step=7", redo=["zero"])
    assert is_done(folder(tmp_path, "zero"))
