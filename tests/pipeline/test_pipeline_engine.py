"""The engine that a recipe names: refused before anything starts where it is not there or cannot do what is asked."""

from pathlib import Path

import pytest
import torch

from ponder.errors import RecipeError
from ponder.pipeline.preflight import check_inputs, check_lag
from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.recipe import rollout as recipe
from ponder.workers.home import LocalHome

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


def test_lag_is_refused_where_nothing_would_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lag = load_recipe(written(tmp_path, STAGES["rl"].replace("kind: vllm", "lag: 1")))
    ranks = load_recipe(
        written(tmp_path, STAGES["rl"].replace("kind: vllm", "lag: 1").replace("}}", "}, batch: {ranks: 3}}"))
    )
    vllm = load_recipe(written(tmp_path, STAGES["rl"].replace("kind: vllm", "lag: 1, kind: vllm")))
    check_lag(lag, None)
    for placed in (lag, ranks, vllm):
        check_lag(placed, (1, "cores"))
        check_lag(placed, (4, "GPUs"))
    with pytest.raises(RecipeError, match=r"lag is 1, but engine\.kind is vllm, which draws in this process.* `--on`"):
        check_lag(vllm, None)
    with pytest.raises(RecipeError, match=r"stage 'one': .* the 3 GPUs that there are train, and an engine"):
        check_lag(ranks, (3, "GPUs"))
    with pytest.raises(RecipeError, match="the 1 GPUs that there are train"):
        check_lag(lag, (1, "GPUs"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(RecipeError, match=r"stage 'one': engine\.lag is 1, .* on one GPU nothing would overlap"):
        check_lag(lag, None)
    monkeypatch.setattr(LocalHome, "processors", lambda self: (1, "GPUs"))
    text = Path(written(tmp_path, STAGES["rl"].replace("kind: vllm", "lag: 1"))).read_text()
    for on, why in (("local", "the 1 GPUs"), (None, "nothing would overlap")):
        with pytest.raises(RecipeError, match=why):
            run(lag, tmp_path / "out", text=text, on=on, say=lambda line: None)
        assert not (tmp_path / "out" / "stages").exists()


def test_no_other_kind_is_known(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'auto', 'local' or 'vllm'"):
        load_recipe(written(tmp_path, STAGES["rl"].replace("vllm", "sglang")))
