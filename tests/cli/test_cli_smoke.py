"""Every shipped recipe runs for two steps with a tiny random model of its architecture, on any machine, offline."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ponder.cli import app
from ponder.files import read_json
from ponder.manifest import is_done
from ponder.recipe import PretrainStage, RlStage, load_recipe
from ponder.recipe.training import BatchLimits

_ALONE = BatchLimits()
RECIPES = sorted((Path(__file__).parents[2] / "ponder" / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_smoke(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out = tmp_path / "out"
    ranked = [name for name, stage in load_recipe(path).stages.items() if getattr(stage, "batch", _ALONE).ranks > 1]
    alone = [f"stages.{name}.batch.ranks=1" for name in ranked]  # tests of ranks have what more of them do
    command = ["run", str(path), *alone, "--smoke", "--out", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    for name, stage in load_recipe(path).stages.items():
        folder = out / "stages" / name
        assert is_done(folder)
        assert read_json(folder / "manifest.json")["smoke"] is True
        if isinstance(stage, RlStage | PretrainStage):
            assert (folder / "model" / "config.json").is_file()
            assert (folder / "model" / "ponder_template.json").is_file()
            assert len((folder / "metrics.jsonl").read_text().splitlines()) >= 2
    assert "skipped" in CliRunner().invoke(app, command).output
