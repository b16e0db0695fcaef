"""What a plan for many cards says of a recipe: who trains, what is refused, what does not fit, what drawing takes."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ponder.cli import app
from ponder.errors import ModelError
from ponder.pipeline.assumed import Assumed
from ponder.pipeline.cluster import parse_cluster
from ponder.pipeline.decoding import Engine, drawn
from ponder.pipeline.estimate import USUAL_RESPONSE
from ponder.pipeline.forecast import Forecast
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.plan_published import beside_published
from ponder.pipeline.plan_words import counted, time_text
from ponder.pipeline.shape import Shape, shape_of
from ponder.recipe import EngineConfig, Recipe, load_recipe
from ponder.recipe.architectures import known_architecture
from ponder.recipe.shipped import find_recipe

RL = "{kind: rl, model: Qwen/Qwen2.5-1.5B, problems: [{source: file, path: x.jsonl}], steps: 64"


def read(folder: Path, *stages: str) -> Recipe:
    (folder / "r.yaml").write_text("\n".join(("name: mine", "stages:", *(f"  {one}" for one in stages), "")))
    return load_recipe(folder / "r.yaml")


def planned(recipe: Recipe, machine: str, folder: Path, context: int | None = None) -> str:
    return describe_plan(recipe, folder / "out", cluster=parse_cluster(machine), context=context)


def known(model: str) -> Shape:
    shape = shape_of(known_architecture(model) or {}, "here")
    assert isinstance(shape, Shape)
    return shape


def line(page: str, name: str) -> str:
    return next(one for one in page.splitlines() if one.startswith(f"  {name:<8} "))


@pytest.mark.parametrize(
    ("stage", "machine", "said"),
    [
        (f"zero: {RL}}}", "8xH100", ", 8 ranks that train (set stages.zero.batch.ranks=8; the recipe has 1)"),
        (f"zero: {RL}, engine: {{lag: 1}}}}", "8xH100", " each), 1 rank that trains"),
        (f"zero: {RL}, batch: {{ranks: 4}}}}", "8xH100", " each), 4 ranks that train"),
        (f"zero: {RL}}}", "1xH100", " each), 1 rank that trains"),
        (f"zero: {RL}, objective: ppo}}", "8xH100", ", 1 rank that trains: the critic of the objective 'ppo' is"),
        (
            "tuned: {kind: sft, model: Qwen/Qwen2.5-1.5B, examples: [{source: micro, count: 9}], lora: {rank: 4}}",
            "2xH100",
            ", 1 rank that trains: adapters are trained by one process",
        ),
    ],
)
def test_who_trains(stage: str, machine: str, said: str, tmp_path: Path) -> None:
    page = planned(read(tmp_path, stage), machine, tmp_path)
    assert said in line(page, "machine") and "1 cards" not in page and "1 ranks" not in page


def test_shared_passes_are_said_and_have_more_tokens(tmp_path: Path) -> None:
    recipe = read(tmp_path, f"zero: {RL}, sampling: {{max_tokens: 512}}}}")
    page = planned(recipe, "8xH100", tmp_path, context=4)
    assert "(set stages.zero.batch.ranks=8 stages.zero.batch.context=4; the recipe has 1 and 1)" in page
    tokens = 32 * (16 * 256 + 200)
    assert f"about {-(-tokens // (4096 * 4))} micro-batches of at most 16,384 tokens per update, 2 at a time" in page


def test_a_sequence_longer_than_a_pass_is_told(tmp_path: Path) -> None:
    page = planned(read(tmp_path, f"zero: {RL}, sampling: {{max_tokens: 9000}}}}"), "8xH100", tmp_path)
    count = -(-32 * (16 * 4500 + 200) // 4700)
    told = f"about {count} micro-batches of at most 4,096 tokens, a longer sequence (up to 9,200) in one of its own,"
    assert told in line(page, "passes")


@pytest.mark.parametrize(
    ("fields", "context", "said"),
    [
        ("batch: {ranks: 8, context: 8}", None, r"stage 'zero': `batch.context` is 8, which does not divide the 12 "),
        ("batch: {ranks: 6}", 4, r"--context is 4, but stage 'zero' is trained by 6 ranks.* What fits: 1, 2$"),
        ("batch: {ranks: 6}", 3, r"--context is 3, .* power of two .* What fits: 1, 2$"),
        ("batch: {ranks: 8}", 8, r"--context is 8, which does not divide the 12 attention heads .* 1, 2, 4$"),
    ],
)
def test_passes_that_cannot_be_shared(fields: str, context: int | None, said: str, tmp_path: Path) -> None:
    recipe = read(tmp_path, f"zero: {RL}, {fields}}}")
    with pytest.raises(ModelError, match=said):
        planned(recipe, "8xH100", tmp_path, context)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("sampling: {max_tokens: 40000}", "asks for completions of up to 40,000 tokens, but the window of"),
        ("batch: {ranks: 8}, engine: {lag: 1}", "engine.lag is 1, but the 8 GPUs that there are train"),
        ("rewards: {accuracies: 1}", "reward: there is none named 'accuracies'"),
    ],
)
def test_what_would_start_nowhere(fields: str, said: str, tmp_path: Path) -> None:
    """What this machine lacks (the file of problems is not there) is none of the cluster's business."""
    read(tmp_path, f"zero: {RL}, {fields}}}")
    command = ["plan", str(tmp_path / "r.yaml"), "--machine", "8xH100", "--out", str(tmp_path / "out")]
    result: Any = CliRunner().invoke(app, command)
    assert "would not start: stage 'zero'" in result.output and said in result.output and result.exit_code == 1
    read(tmp_path, f"zero: {RL}}}")
    result = CliRunner().invoke(app, command)
    assert "would not start" not in result.output and result.exit_code == 0


def test_what_does_not_fit_has_no_price(tmp_path: Path) -> None:
    page = planned(
        read(
            tmp_path,
            f"zero: {RL}}}".replace("1.5B", "7B"),
            "more: {kind: sft, model: Qwen/Qwen2.5-7B, examples: [{source: micro, count: 9}]}",
            "large: {kind: sample, model: Qwen/Qwen2.5-32B, samples: 2, problems: [{source: gym, task: chain_sum, "
            "count: 9}]}",
        ),
        "2xT4",
        tmp_path,
    )
    assert "too much" in line(page, "rank") and "does not hold what `rank` says" in line(page, "not held")
    assert "total      not known on 2 T4 (14.9 GiB each)" in page
    assert "not counted: zero (does not fit); more (does not fit); large (does not fit)" in page
    assert "$" not in page and "  time " not in page and "  assumed " not in page


def test_where_both_do_not_fit_at_once_some_draw_and_some_train(tmp_path: Path) -> None:
    """A 1.5B on 16 cards of 11 GB: beside a part of the training, no completion has room."""
    recipe = read(tmp_path, f"zero: {RL}, objective: dr_grpo, sampling: {{max_tokens: 512}}, "
                  "batch: {tokens_per_micro_batch: 512, logprob_chunk: 128, recompute: true}}")  # fmt: skip
    page = planned(recipe, "16xH100:11", tmp_path)
    assert "too much for the keys and values" in line(page, "engine")
    assert "beside the training no completion has room" in line(page, "time")
    assert "cards that sample ahead" in line(page, "split") and "total      roughly " in page


SAMPLE = "data: {kind: sample, model: Qwen/Qwen2.5-1.5B, samples: 4, sampling: {max_tokens: 1024}, problems: "


def test_drawing_alone_is_timed_as_drawing_for_training_is(tmp_path: Path) -> None:
    page = planned(read(tmp_path, SAMPLE + "[{source: gym, task: chain_sum, count: 1000}]}"), "4xL4", tmp_path)
    shape, cluster = known("Qwen/Qwen2.5-1.5B"), parse_cluster("4xL4")
    engine = Engine(shape=shape, cluster=cluster, config=EngineConfig(), bf16=True)
    spent = drawn(engine, Assumed(mean=USUAL_RESPONSE), completions=4000, limit=1024, cards=4).seconds
    assert f"roughly {time_text(spent)} where all cards draw, " in line(page, "time")
    assert f"{engine.rows(1024, 1024)} completions of 1,024 tokens at one time" in line(page, "engine")
    assert "H100" not in page
    unknown = planned(read(tmp_path, SAMPLE + "[{source: file, path: x.jsonl}]}"), "4xL4", tmp_path)
    assert "total      not known" in unknown and "data (the recipe does not say how many problems there are" in unknown


def test_models_that_are_measured_draw_all_their_answers(tmp_path: Path) -> None:
    stage = "scores: {kind: evaluate, models: [Qwen/Qwen2.5-1.5B, Qwen/Qwen2.5-7B], benchmarks: [aime24], samples: 8}"
    page, cluster = planned(read(tmp_path, stage), "8xH100", tmp_path), parse_cluster("8xH100")
    spent = 0.0
    for model in ("Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-7B"):
        shape = known(model)
        engine = Engine(shape=shape, cluster=cluster, config=EngineConfig(), bf16=True)
        assumed = Assumed(mean=USUAL_RESPONSE)
        spent += drawn(engine, assumed, completions=30 * 8, limit=32768 - 200, cards=8).seconds
    assert f"roughly {time_text(spent)} where all cards draw" in line(page, "time")


def test_the_published_run_is_timed_as_its_authors_placed_it(tmp_path: Path) -> None:
    page = planned(load_recipe(find_recipe("zero-671b")), "64x8xH800", tmp_path)
    assert "times are those of its authors, who placed it otherwise" in line(page, "not held")
    assert "  assumed  vLLM draws (v2, B.1), at most 512 rows on an engine" in page
    assert "total      not known on 64 x 8 H800" in page and "not counted: zero (does not fit)" in page
    own = planned(load_recipe(find_recipe("zero-671b"), ["stages.zero.engine.max_slots=64"]), "64x8xH800", tmp_path)
    assert "vLLM draws" not in own


def test_long_sums_keep_their_distance() -> None:
    recipe = load_recipe(find_recipe("zero-671b"))
    lines = list(beside_published(recipe, {"zero": Forecast(seconds=6_900_000 * 3600.0)}))
    assert "6,900,000 h  $13,800,000  zero" in lines[2]


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [(1, "card", "1 card"), (2000, "card", "2,000 cards"), (1, "micro-batch", "1 micro-batch"),
     (0, "micro-batch", "0 micro-batches")],
)  # fmt: skip
def test_one_and_many(number: int, noun: str, said: str) -> None:
    assert counted(number, noun) == said


def test_products_for_each_pair_of_tokens() -> None:
    """Three layers of heads: two operations for each number of a key, and of a value."""
    sizes = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 8, "intermediate_size": 96,
             "vocab_size": 200}  # fmt: skip
    plain = shape_of(sizes | {"model_type": "qwen3", "head_dim": 16, "num_key_value_heads": 2}, "here")
    latent = {"kv_lora_rank": 20, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 10}
    made = shape_of(sizes | {"model_type": "deepseek_v3"} | latent, "here")
    assert isinstance(plain, Shape) and plain.pair == 3 * 8 * (2 * 16 + 2 * 16)
    assert isinstance(made, Shape) and made.pair == 3 * 8 * (2 * (8 + 4) + 2 * 10)


def test_with_lag_those_that_do_not_train_draw_and_the_longer_of_both_counts(tmp_path: Path) -> None:
    page = planned(read(tmp_path, f"zero: {RL}, engine: {{lag: 1}}}}"), "8xH100", tmp_path)
    ahead, spent, split = (line(page, name) for name in ("engine", "time", "split"))
    ranks = re.search(r"(\d) ranks? that train", line(page, "machine"))
    drawing = re.search(r"roughly (.+) where (\d) cards? samples? ahead \(engine.lag 1\) while (\d) train", spent)
    assert ranks is not None and drawing is not None
    assert ranks[1] == drawing[3] and int(drawing[2]) + int(drawing[3]) == 8
    assert f" {drawing[2]} of 1 card, " in ahead and "of training:" not in ahead
    assert f"{drawing[2]} card" in split and f"roughly {drawing[1]}, in which" in split
    given = planned(read(tmp_path, f"zero: {RL}, engine: {{lag: 1}}, batch: {{ranks: 6}}}}"), "8xH100", tmp_path)
    assert "where 2 cards sample ahead (engine.lag 1) while 6 train, the longer of both: " in line(given, "time")
    total = re.search(r"^total +roughly ([\d.]+) h on", given, re.MULTILINE)
    minutes = re.search(r"roughly (\d+) min where", line(given, "time"))
    assert total is not None and minutes is not None
    assert float(total[1]) * 60 == pytest.approx(float(minutes[1]), rel=0.1)
