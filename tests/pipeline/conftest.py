"""Runs of a recipe whose stages only write down that they ran."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pair_run import TEXT, Stages

from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.stages import STAGES


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stages]:
    stages = Stages()
    for kind in STAGES:
        monkeypatch.setitem(STAGES, kind, stages)
    yield stages


@pytest.fixture
def start(tmp_path: Path, stages: Stages) -> Callable[..., list[str]]:
    """Runs the recipe with overrides and answers which stages ran."""

    def run_it(*overrides: str, redo: list[str] | None = None, smoke: bool = False, text: str = TEXT) -> list[str]:
        path = tmp_path / "pair.yaml"
        path.write_text(text)
        stages.ran.clear()
        recipe = load_recipe(path, overrides)
        out = tmp_path / "out"
        run(recipe, out, text=text, overrides=overrides, redo_stages=redo or [], smoke=smoke, say=stages.said.append)
        return list(stages.ran)

    return run_it
