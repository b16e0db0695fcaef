"""Several ranks in a recipe: refused where the machine is too small, and what a plan says of them."""

from pathlib import Path
from typing import Any

import pytest

from ponder.errors import RecipeError
from ponder.pipeline.machine import Device, processors
from ponder.pipeline.memory import each_rank, memory
from ponder.pipeline.plan_train import ranks_line
from ponder.pipeline.preflight import check_inputs
from ponder.pipeline.shape import shape_of
from ponder.recipe import load_recipe

ZERO = Path(__file__).parents[2] / "ponder" / "recipes" / "zero-micro.yaml"
GIB = 2**30


def device(name: str, gibibytes: int) -> Device:
    return Device(name=name, memory_bytes=gibibytes * GIB, train_flops=1e9, generate_flops=1e9)


def test_more_ranks_than_processors_are_refused_before_anything_starts() -> None:
    there, what = processors()
    check_inputs(load_recipe(str(ZERO), [f"stages.zero.batch.ranks={there}"]))
    with pytest.raises(RecipeError, match=rf"stage 'zero': `batch.ranks` is {there + 1}, .* {there} {what}, .* set it"):
        check_inputs(load_recipe(str(ZERO), [f"stages.zero.batch.ranks={there + 1}"]))


@pytest.mark.parametrize("ranks", ["0", "-1", "1.5", "two"])
def test_what_is_no_number_of_ranks(ranks: str) -> None:
    with pytest.raises(RecipeError, match="ranks"):
        load_recipe(str(ZERO), [f"stages.zero.batch.ranks={ranks}"])


def test_adapters_are_trained_by_one_process(tmp_path: Path) -> None:
    stage = "kind: sft, model: micro, lora: {rank: 2}, examples: [{source: micro, count: 10}], batch: {ranks: 2}"
    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: one\nstages:\n  it: {{{stage}}}\n")
    with pytest.raises(RecipeError, match=r"`batch.ranks` is 2, but adapters are trained by one process; set it to 1"):
        load_recipe(str(path), [])


def test_a_rank_holds_its_part_of_what_is_sharded_and_all_of_its_own_passes() -> None:
    parts = {"weights": 8 * GIB, "gradients": 8 * GIB, "optimizer": 16 * GIB, "reference": 8 * GIB}
    own = {"logits": 1 * GIB, "activations": 3 * GIB, "KV cache": 5 * GIB, "reward models": 7 * GIB}
    assert each_rank(parts | own, 4) == 10 * GIB + 4 * GIB
    assert each_rank(parts | own | {"copies of a pass": GIB}, 4, 2 * GIB) == 17 * GIB
    said = ranks_line(parts | own, 4, device("CPU, 8 cores", 100))[1]
    assert said.startswith("4 processes beside this one, each about 14 GiB at its peak (64 GiB of 100 GiB in all)")
    assert "(64 GiB of 60 GiB in all, too much)" in ranks_line(parts | own, 4, device("CPU, 8 cores", 60))[1]
    assert "(a GPU each)" in ranks_line(parts | own, 4, device("H100", 80))[1]
    assert "(a GPU each, too much)" in ranks_line(parts | own, 4, device("L4", 12))[1]


def test_parts_of_a_plan_are_those_that_are_counted() -> None:
    stage: Any = load_recipe(str(ZERO), ["stages.zero.batch.ranks=2"]).stages["zero"]
    config = {
        "model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 8,
        "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 200, "tie_word_embeddings": True,
    }  # fmt: skip
    shape = shape_of(config, "test")
    assert not isinstance(shape, str)
    parts = memory(stage, shape, bf16=False)
    states = shape.parameters * (4 + 4 + 8 + 4)  # weights, gradients, moments, reference
    assert each_rank(parts, 2) == states // 2 + parts["logits"] + parts["activations"]
