"""The engine that a recipe names: refused before anything starts where it is not there or cannot do what is asked."""

from pathlib import Path

import pytest
import torch

from ponder.errors import RecipeError
from ponder.pipeline.preflight import check_inputs, check_models
from ponder.recipe import load_recipe
from ponder.recipe import rollout as recipe

STAGES = {
    "rl": "{kind: rl, model: micro, steps: 1, problems: [{source: micro}], engine: {kind: vllm}}",
    "sample": "{kind: sample, model: micro, problems: [{source: micro}], engine: {kind: vllm}}",
    "evaluate": "{kind: evaluate, models: [micro], benchmarks: [micro], engine: {kind: vllm}}",
}


def written(folder: Path, stage: str) -> str:
    file = folder / "recipe.yaml"
    file.write_text(f"name: r\nstages:\n  one: {stage}\n")
    return str(file)


@pytest.mark.parametrize("kind", STAGES)
def test_vllm_that_is_not_installed_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "find_spec", lambda name: None)
    loaded = load_recipe(written(tmp_path, STAGES[kind]))
    with pytest.raises(RecipeError, match=r"stage 'one': `engine.kind: vllm` needs vLLM .* not installed"):
        check_inputs(loaded)
    check_inputs(load_recipe(written(tmp_path, STAGES[kind].replace("vllm", "auto"))))


@pytest.mark.parametrize("kind", ["rl", "evaluate"])
def test_conversations_need_the_local_engine(kind: str, tmp_path: Path) -> None:
    stage = STAGES[kind].replace("engine:", "environment: {tools: [calculator]}, engine:")
    load_recipe(written(tmp_path, stage.replace("vllm", "auto")))
    with pytest.raises(RecipeError, match=r"engine\.kind is vllm, and conversations with an environment"):
        load_recipe(written(tmp_path, stage))


def test_lag_is_refused_where_there_is_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_recipe(written(tmp_path, STAGES["rl"].replace("kind: vllm", "lag: 1")))
    check_models(loaded)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(RecipeError, match=r"stage 'one': engine\.lag is 1, .* on one GPU nothing would overlap"):
        check_models(loaded)


def test_no_other_kind_is_known(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'auto', 'local' or 'vllm'"):
        load_recipe(written(tmp_path, STAGES["rl"].replace("vllm", "sglang")))
