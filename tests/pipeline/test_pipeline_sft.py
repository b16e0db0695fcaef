"""Sft stages in the pipeline: what is known to fail is said before anything runs, plans count, files are watched."""

from pathlib import Path
from typing import Any

import pytest

from ponder.errors import DataError, ModelError, PonderError, RecipeError
from ponder.pipeline.counts import sft_examples
from ponder.pipeline.estimate import Work, sft_work
from ponder.pipeline.fingerprint import identities
from ponder.pipeline.memory import memory
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.preflight import check_inputs
from ponder.pipeline.shape import Shape
from ponder.recipe import Recipe, SftStage, load_recipe

TINY = Shape(
    model_type="qwen2", parameters=1000, active=900, linear=700, largest_layer=200, head=0, cached=16, latent=16,
    kept=50, kept_fp32=30, pair=96, layers=3, heads=2, hidden=8, vocabulary=100, window=512, origin="test",
)  # fmt: skip


def stage(**fields: Any) -> SftStage:
    return SftStage.model_validate({"model": "micro", "examples": [{"source": "micro"}]} | fields)


def read(folder: Path, cold: str) -> Recipe:
    (folder / "r.yaml").write_text(
        "name: r\nstages:\n  zero: {kind: rl, model: micro, steps: 1, problems: [{source: micro}]}\n"
        f"  cold: {{kind: sft, {cold}}}\n"
    )
    return load_recipe(folder / "r.yaml")


@pytest.mark.parametrize(
    ("fields", "examples"),
    [
        ({"steps": 10, "batch_size": 8}, 80),
        ({"examples": [{"source": "micro", "count": 100}], "epochs": 2, "validation_share": 0}, 200),
        ({"examples": [{"source": "micro", "count": 100, "limit": 10}], "epochs": 2, "validation_share": 0.1}, 18),
        ({"examples": [{"source": "micro", "count": 100, "weight": 2}, {"source": "file", "path": "x", "limit": 50}],
          "epochs": 1, "validation_share": 0}, 250),
        ({"examples": [{"source": "micro"}, {"source": "file", "path": "x"}]}, None),
        ({"examples": [{"source": "stage", "stage": "kept"}]}, None),
    ],
)  # fmt: skip
def test_examples_by_hand(fields: dict[str, Any], examples: int | None) -> None:
    assert sft_examples(stage(**fields), {}) == examples


def test_work_by_hand() -> None:
    share = 5355 / 32768
    assert sft_work(stage(max_tokens=100), TINY, 80) == Work(generated=0, trained=80 * 100 * share, reference=0)
    assert sft_work(stage(), TINY, 80).trained == 80 * 512 * share  # the window


def test_memory_by_hand() -> None:
    batch = {"tokens_per_micro_batch": 1000, "logprob_chunk": 10}
    assert memory(stage(batch=batch), TINY, bf16=False) == {
        "weights": 4000, "gradients": 4000, "optimizer": 8000, "logits": 10 * 100 * 4 * 3,
        "activations": 1000 * (50 + 30) * 4,
    }  # fmt: skip
    adapted = memory(stage(batch=batch, lora={"rank": 2}), TINY, bf16=False)
    assert (adapted["weights"], adapted["gradients"], adapted["optimizer"]) == (4000, 400, 800)
    assert memory(stage(batch=batch, max_tokens=1500), TINY, bf16=False)["activations"] == 1500 * 80 * 4


def test_the_page(tmp_path: Path) -> None:
    cold = "model: zero, examples: [{source: micro, count: 100}], batch_size: 10, validation_share: 0, lora: {rank: 4}"
    page = describe_plan(read(tmp_path, cold), tmp_path / "out")
    assert "from zero on micro/train" in page
    assert "10 examples, 20 updates" in page and "for 20 updates" in page


def test_the_page_of_a_number_that_only_the_data_tell(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "q", "response": "r"}\n')
    cold = (
        f"model: micro, preset: cold-start, max_tokens: 512, examples: [{{source: file, path: {tmp_path}/rows.jsonl}}]"
    )
    page = describe_plan(read(tmp_path, cold), tmp_path / "out")
    assert "128 examples; 3 epochs, their number known once the examples are there" in page
    assert "for an update" in page and "would not start" not in page


def test_too_big_a_student_is_priced_for_a_cluster(tmp_path: Path) -> None:
    cold = "model: deepseek-ai/DeepSeek-V3-Base, preset: r1-800k, examples: [{source: hub, id: a/b, limit: 804745}]"
    page = describe_plan(read(tmp_path, cold), tmp_path / "out")
    assert "too much" in page and "GPU-hours on H100 80GB for 12,323 updates (about $" in page


@pytest.mark.parametrize(
    ("cold", "error", "message"),
    [
        ("model: micro, examples: [{source: stage, stage: zero}]", RecipeError,
         "'cold' takes examples from stage 'zero', of the kind 'rl', which makes none: name one of the kind 'sample'"),
        ("model: micro, examples: [{source: micro, tasks: [equations]}]", RecipeError, "did you mean 'equation'"),
        ("model: micro, examples: [{source: file, path: nowhere.jsonl}]", DataError, "'nowhere.jsonl' does not exist"),
        ("model: micro, examples: [{source: micro}], preset: cold-start", ModelError,
         "examples of up to 32,768 tokens, but the window of 'micro' is 2,048"),
        ("model: ./nothing, examples: [{source: micro}]", ModelError, "the model folder './nothing' does not exist"),
        ("model: micro, examples: [{source: micro}], "
         "held_out: {problems: [{source: micro, tasks: [sums]}]}", RecipeError, "none named 'sums'"),
    ],
)  # fmt: skip
def test_what_would_fail_is_said_before_it_starts(
    tmp_path: Path, cold: str, error: type[PonderError], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_inputs(read(tmp_path, cold))


def test_missing_peft_is_said_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = read(tmp_path, "model: micro, examples: [{source: micro}], lora: {}")
    check_inputs(recipe)
    monkeypatch.setattr("ponder.recipe.sft.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"pip install 'ponder\[peft\]'"):
        check_inputs(recipe)


def test_the_fingerprint_sees_files_stages_and_settings(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "q", "response": "r"}\n')
    text = f"model: zero, examples: [{{source: file, path: {rows}}}], epochs: 2"
    first = identities(read(tmp_path, text), smoke=False)["cold"]
    assert str(rows) in first["outside"] and set(first["inputs"]) == {"zero"}
    rows.write_text('{"prompt": "q", "response": "other"}\n')
    assert identities(read(tmp_path, text), smoke=False)["cold"]["outside"] != first["outside"]
    rows.write_text('{"prompt": "q", "response": "r"}\n')
    assert identities(read(tmp_path, text + ", checkpoint_every: 3"), smoke=False)["cold"] == first
    assert identities(read(tmp_path, text.replace("epochs: 2", "epochs: 3")), smoke=False)["cold"] != first


def test_a_preset_and_its_settings_written_out_are_one_run_but_for_the_name() -> None:
    named = stage(preset="distill-qwen2.5-14b").model_dump(exclude={"preset"})
    written = stage(template="r1", epochs=2, batch_size=64, max_tokens=32768, optimizer={"lr": 7e-5})
    assert written.model_dump(exclude={"preset"}) == named
