"""The sft stage in recipes: published settings by name, what is given goes first, mistakes are told."""

from pathlib import Path
from typing import Any, get_args

import pytest

from ponder.errors import RecipeError
from ponder.recipe import Recipe, SftStage, load_recipe
from ponder.recipe.sft import SFT_PRESETS, SftPreset
from ponder.train import learning_rate


def stage(**fields: Any) -> SftStage:
    return SftStage.model_validate({"model": "micro", "examples": [{"source": "micro"}]} | fields)


@pytest.mark.parametrize(
    ("preset", "lr", "batch_size"),
    [
        ("cold-start", 5e-5, 128),  # R1 v2, B.4.2
        ("r1-800k", 5e-5, 128),
        ("distill-qwen2.5-math-1.5b", 1e-4, 64),  # R1 v2, table 6 and B.4.3
        ("distill-qwen2.5-math-7b", 8e-5, 64),
        ("distill-qwen2.5-14b", 7e-5, 64),
        ("distill-qwen2.5-32b", 6e-5, 64),
        ("distill-llama-3.1-8b", 5e-5, 64),
        ("distill-llama-3.3-70b", 2e-5, 64),
    ],
)
def test_presets_are_the_published_settings(preset: str, lr: float, batch_size: int) -> None:
    made = stage(preset=preset)
    assert (made.optimizer.lr, made.batch_size, made.max_tokens, made.template) == (lr, batch_size, 32768, "r1")
    assert 2 <= made.epochs <= 3
    rates = [learning_rate(made.optimizer, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(lr, rel=0.01) and rates[-1] == pytest.approx(lr / 10)
    assert rates[49] == pytest.approx(0.55 * lr, rel=0.02)  # half way down a cosine


def test_every_preset_has_settings() -> None:
    assert set(get_args(SftPreset)) == SFT_PRESETS.keys()


def test_what_is_given_goes_before_the_preset() -> None:
    made = stage(preset="r1-800k", batch_size=4, optimizer={"warmup_steps": 3}, template=None)
    assert (made.batch_size, made.template, made.max_tokens) == (4, None, 32768)
    assert (made.optimizer.lr, made.optimizer.warmup_steps, made.optimizer.schedule) == (5e-5, 3, "cosine")
    assert stage(preset="distill-qwen2.5-32b", optimizer={"lr": 1e-3}).optimizer.lr == 1e-3


def test_naming_one_setting_of_the_optimizer_leaves_the_others() -> None:
    made = stage(optimizer={"lr": 1e-3})
    assert (made.optimizer.schedule, made.optimizer.final_lr_ratio) == ("cosine", 0.1)
    assert stage(optimizer={"schedule": "constant"}).optimizer.schedule == "constant"
    assert (stage().optimizer.lr, stage().max_tokens, stage().template) == (5e-5, None, None)


def test_a_resolved_stage_reads_back_the_same() -> None:
    made = stage(preset="cold-start", lora={"rank": 4}, optimizer={"lr": 0.5})
    assert SftStage.model_validate_json(made.model_dump_json()) == made


HEAD = """\
name: r
stages:
  zero: {kind: rl, model: micro, steps: 1, problems: [{source: micro}]}
"""


def read(folder: Path, text: str, *overrides: str) -> Recipe:
    (folder / "r.yaml").write_text(HEAD + text)
    return load_recipe(folder / "r.yaml", overrides)


def test_a_recipe_file_with_overrides(tmp_path: Path) -> None:
    text = "  cold: {kind: sft, model: zero, preset: cold-start, examples: [{source: micro, tasks: [equation]}]}\n"
    recipe = read(tmp_path, text, "stages.cold.optimizer.lr=1e-3", "stages.cold.examples.0.count=7")
    cold = recipe.stages["cold"]
    assert isinstance(cold, SftStage)
    assert (cold.optimizer.lr, cold.batch_size, cold.optimizer.schedule) == (1e-3, 128, "cosine")
    assert cold.inputs() == ("zero",)


def test_stages_of_examples_are_edges(tmp_path: Path) -> None:
    made = stage(model="zero", examples=[{"source": "stage", "stage": "kept"}, {"source": "micro"}], after=["x"])
    assert made.inputs() == ("zero", "kept", "x") and made.takes() == {"kept": "examples"}


def test_a_missing_stage_is_sought_where_it_was_written(tmp_path: Path) -> None:
    sources = "    examples:\n    - source: micro\n    - {source: stage, stage: kept}\n"
    text = f"  cold:\n    kind: sft\n    model: zero\n{sources}"
    with pytest.raises(RecipeError, match=r"r\.yaml:9: stage 'cold' refers to 'kept', which is not a stage of this"):
        read(tmp_path, text)
    with pytest.raises(RecipeError, match=r"^override 'stages\.cold\.examples=.*': stage 'cold' refers to 'zeero'"):
        read(tmp_path, text, "stages.cold.examples=[{source: stage, stage: zeero}]")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("preset: cold_start, examples: [{source: micro}]", r"r.yaml:4.*did you mean 'cold-start'"),
        ("examples: []", "at least one"),
        ("examples: [{source: stage, stage: zeero}]", r"r.yaml:4: stage 'cold' refers to 'zeero'.*did you mean 'zero'"),
        ("examples: [{source: fil, path: a}]", "unknown 'source' 'fil'; did you mean 'file'"),
        ("examples: [{source: file, path: a.jsonl, form: examples, turns: every}]", "turns would count for nothing"),
        ("examples: [{source: micro, weight: 0}]", "above|greater"),
        ("examples: [{source: micro}], epochs: 0", "greater than 0"),
        ("examples: [{source: micro}], validation_share: 1", "less than 1"),
        ("examples: [{source: micro}], lora: {ranks: 3}", "did you mean 'rank'"),
        ("data: [{source: micro}]", "unknown key 'data'"),
    ],
)
def test_mistakes(tmp_path: Path, fields: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read(tmp_path, f"  cold: {{kind: sft, model: zero, {fields}}}\n")
