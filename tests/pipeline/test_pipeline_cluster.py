"""Plans for many cards: by hand where a formula is simple, and by a simulation of a rollout row by row where not."""

import math
import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ponder.cli import app
from ponder.errors import ModelError, PonderError, RecipeError
from ponder.pipeline.assumed import PUBLISHED_ENGINE, Assumed, assumed_of
from ponder.pipeline.cluster import Cluster, parse_cluster
from ponder.pipeline.decoding import Engine, drawn
from ponder.pipeline.machine import PEAK_BF16, PEAK_FP32, TRAIN_SHARE, card
from ponder.pipeline.memory import Beside, gathered_bytes, memory
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.plan_cluster import best_split, engine_line, placed_course, sensitivity
from ponder.pipeline.plan_rank import rank_bytes, smallest_machines
from ponder.pipeline.room import check_room
from ponder.pipeline.shape import find_shape
from ponder.pipeline.wall import course, forward, stretches, update_seconds
from ponder.recipe import EngineConfig, RlStage, load_recipe
from ponder.recipe.shape import Shape, check_context
from ponder.recipe.shipped import find_recipe
from ponder.recipe.training import BatchLimits

H800 = "64x8xH800"


def stage_of(name: str, stage: str, *overrides: str) -> tuple[RlStage, Shape]:
    recipe = load_recipe(find_recipe(name), overrides)
    found, shape = recipe.stages[stage], find_shape(recipe, stage)
    assert isinstance(found, RlStage) and isinstance(shape, Shape)
    return found, shape


def published() -> tuple[RlStage, Shape]:
    """R1-Zero, with the engine that its authors had."""
    stage, shape = stage_of("zero-671b", "zero")
    return stage.model_copy(update={"engine": PUBLISHED_ENGINE}), shape


AT_ONCE = Assumed(step_seconds=0.0, recording_seconds=0.0, pass_seconds=0.0)
"""Operations start in no time."""


@pytest.mark.parametrize(
    ("text", "count", "gigabytes"),
    [
        ("64x8xH800", 512, 80),
        ("8xH100", 8, 80),
        ("1x1xL4", 1, 24),
        ("2x4xA100:40", 8, 40),
        ("8xH200", 8, 141),
        ("8XH100", 8, 80),
        ("2xrtx4090", 2, 24),
        ("2xRTX 4090", 2, 24),
        ("8xA100-40", 8, 40),
        ("8xA100-SXM4-40GB", 8, 40),
        ("4xA10G", 4, 24),
        ("4xH100-NVL:94", 4, 94),
        ("8xH100:80GB", 8, 80),
        ("8xh100:80 gb", 8, 80),
        ("8xL40", 8, 48),
    ],
)
def test_a_machine_in_words(text: str, count: int, gigabytes: int) -> None:
    cluster = parse_cluster(text)
    assert (cluster.count, cluster.device.memory_bytes) == (count, gigabytes * 10**9)


def test_a_card_is_not_one_of_a_longer_name() -> None:
    assert parse_cluster("1xL40").peak_bf16 == card("NVIDIA L40", 1).train_flops / TRAIN_SHARE
    assert parse_cluster("1xL40").peak_bf16 > parse_cluster("1xL4").peak_bf16
    assert card("NVIDIA RTX A4000", 1) == replace(card("unknown", 1), name="NVIDIA RTX A4000")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8", "is no machine: expected NODESxCARDSxNAME"),
        ("8xH100:x", "is no machine"),
        ("4xCPU", "has no cards, and what lies where is planned by cards"),
        ("2x0xH100", "has no cards"),
        ("100000000xH100", "has 100,000,000 cards: at most 131,072"),
        ("8xH100:0", "gives its cards 0 GB of memory"),
        ("8xA100-40:80", "gives its cards 80 and 40 GB of memory: say once"),
        ("8xA1000", "no card is known as 'A1000'"),
        ("8xH20", "no card is known as 'H20'"),
        ("2x2x2xH100", "no card is known as '2xH100'"),
        ("8xVoodoo2", "no card is known as 'Voodoo2': take one of B200, H200"),
    ],
)
def test_what_is_no_machine_with_cards(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_cluster(text)


def test_r1_zero_takes_its_published_hours() -> None:
    """198 hours on 64 x 8 H800 (v2, B.4.4)."""
    stage, shape = published()
    cluster = parse_cluster(H800)
    assumed = assumed_of(cluster, as_published=True)
    spent = placed_course(stage, shape, cluster, assumed, cluster.count)
    assert spent.in_turn / 3600 == pytest.approx(198, rel=0.2)
    assert spent.sampling > spent.training > 10 * spent.sync and 0 < spent.tail < spent.sampling


def test_rollouts_by_their_limit() -> None:
    stage, _ = stage_of("zero-671b", "zero")
    first, second = stretches(stage)
    assert (first.rollouts, first.limit, first.completions, first.prompts) == (8200 / 16, 32768, 8192, 512)
    assert (second.rollouts, second.limit) == (2200 / 16, 65536)


def simulated(lengths: list[int], at_once: int, step: float, row: float) -> float:
    """Seconds of one engine: each step costs, and each row in it."""
    waiting, running, spent = list(lengths), [], 0.0
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(waiting.pop())
        spent += step + row * len(running)
        running = [left - 1 for left in running if left > 1]
    return spent


@pytest.mark.parametrize("at_once", [400, 40])
def test_sampling_time_against_a_rollout_drawn_row_by_row(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of which one reaches the limit, all at once or a tenth at a time."""
    stage, shape = stage_of(
        "zero-gsm8k-qwen2.5-1.5b", "zero", "stages.zero.steps=1", "stages.zero.problems_per_step=25"
    )
    cluster, limit, count = parse_cluster("1xH100"), stage.sampling.max_tokens, 400
    draw = random.Random(0)
    lengths = [min(limit, math.ceil(draw.expovariate(1 / 300))) for _ in range(count - 1)] + [limit]
    draw.shuffle(lengths)
    mean = sum(lengths) / count
    monkeypatch.setattr(Engine, "rows", lambda *_: at_once)
    assumed = replace(AT_ONCE, mean=mean / limit)
    step = shape.parameters * 2 / (cluster.bandwidth * 0.6)
    row = 2 * shape.active / (cluster.peak_bf16 * 0.3)
    row += shape.latent * 2 * (round(limit * assumed.mean) / 2 + 200) / (cluster.bandwidth * 0.6)
    found = course(stage, shape, cluster, assumed, sampling_cards=1, training_cards=1)
    assert found.sampling == pytest.approx(simulated(lengths, at_once, step, row), rel=0.15)


def test_training_and_sync_by_hand() -> None:
    stage, shape = stage_of("zero-gsm8k-qwen2.5-1.5b", "zero", "stages.zero.objective=grpo")
    cluster = parse_cluster("8xH100")
    found = course(stage, shape, cluster, AT_ONCE, sampling_cards=6, training_cards=2)
    mean = 0.5 * stage.sampling.max_tokens
    tokens = stage.steps * (32 * 16 * mean + 32 * 200)
    # A layer has 12 heads of 128: two operations for each number of a query with a key, and of a weight with a value.
    attended = 28 * 12 * (2 * 128 + 2 * 128) * (mean + 200) / 2
    each = 4 * (2 * shape.active + attended)  # forward, backward (twice that), and the reference's
    assert found.training == pytest.approx(each * tokens / (2 * 0.3 * 990e12))
    assert found.sync == pytest.approx(stage.steps * shape.parameters * 2 / 10e9)
    assert found.side_by_side == max(found.sampling + found.sync, found.training)
    moved = course(
        stage, shape, cluster, replace(AT_ONCE, resident=0.5), sampling_cards=8, training_cards=8,
        state_bytes=25 * 10**9,
    )  # fmt: skip
    assert moved.sync - found.sync == pytest.approx(stage.steps * 1.0)  # half of it, there and back, at 25 GB/s


def engine(name: str, stage: str, cluster: Cluster, config: EngineConfig, **fields: Any) -> Engine:
    _, shape = stage_of(name, stage)
    return Engine(**({"shape": shape, "cluster": cluster, "config": config, "bf16": True} | fields))


def test_an_engine_takes_as_many_cards_as_its_weights_need() -> None:
    cluster, vllm = parse_cluster(H800), EngineConfig(kind="vllm", max_slots=10**6)
    small, large = engine("r1-qwen2.5-7b", "zero", cluster, vllm), engine("zero-671b", "zero", cluster, vllm)
    assert small.cards == 1 and large.cards == 32  # 1.34 TB in 0.6 of 2.56 TB
    assert replace(large, bf16=False).cards == 64
    free, shape = 0.9 * 80e9 - small.shape.parameters * 2, small.shape
    assert small.rows(1600, 800) == int(free / (shape.latent * 2 * 1000))
    assert replace(small, held_bytes=10**10).rows(1600, 800) == int((free - 1e10) / (shape.latent * 2 * 1000))
    assert replace(small, held_bytes=6 * 10**10).rows(1600, 800) == 0
    assert large.shape.latent == 61 * (512 + 64) and large.shape.cached == 61 * 128 * (192 + 128)
    assert large.token_bytes == 2 * large.shape.latent
    assert replace(large, config=EngineConfig()).token_bytes == 2 * large.shape.cached


@pytest.mark.parametrize(
    ("fields", "bf16", "rows"),
    [
        ({}, True, 256),
        ({"max_slots": 10}, True, 10),
        ({"max_slots": 10**6}, True, int(40e9 / (28 * 2 * 4 * 128 * 2 * 1800))),  # half of the device
        ({"max_slots": 10**6, "cache_gib": 1}, True, int(2**30 / (28 * 2 * 4 * 128 * 2 * 1800))),
        ({"max_slots": 10**6, "cache_gib": 1, "kind": "auto"}, True, int(2**30 / (28 * 2 * 4 * 128 * 2 * 1800))),
        ({"max_slots": 10**6, "cache_gib": 1}, False, int(2**30 / (28 * 2 * 4 * 128 * 4 * 1800))),
    ],
)
def test_an_engine_draws_no_more_than_it_may(fields: dict[str, Any], bf16: bool, rows: int) -> None:
    """Ponder's own, whose rows all have room at their limit."""
    cluster = parse_cluster("8xH100")
    assert engine("r1-qwen2.5-7b", "zero", cluster, EngineConfig(**fields), bf16=bf16).rows(1600, 800) == rows


def test_precision_changes_weights_keys_and_products() -> None:
    cluster = parse_cluster("8xH100")
    half = engine("r1-qwen2.5-7b", "zero", cluster, EngineConfig())
    whole = replace(half, bf16=False)
    assert (half.weights_bytes, half.token_bytes) == (whole.weights_bytes / 2, whole.token_bytes / 2)
    assert (cluster.peak(bf16=True), cluster.peak(bf16=False)) == (990e12, 67e12)
    stage, shape = stage_of("r1-qwen2.5-7b", "zero")
    exact = stage.model_copy(update={"precision": "fp32"})
    spent = [course(one, shape, cluster, AT_ONCE, sampling_cards=8, training_cards=8) for one in (stage, exact)]
    assert spent[1].training == pytest.approx(spent[0].training * 990 / 67)
    assert spent[1].sampling > 1.9 * spent[0].sampling and spent[1].sync == pytest.approx(2 * spent[0].sync)
    assert PEAK_FP32.keys() == PEAK_BF16.keys()
    assert [name for name in PEAK_BF16 if PEAK_BF16[name] <= PEAK_FP32[name]] == ["T4"]
    assert parse_cluster("1xT4").peak(bf16=True) == 8.1e12


def test_no_room_is_no_row() -> None:
    """A card that is full of training, and one that does not hold the weights."""
    small = engine("r1-qwen2.5-7b", "zero", parse_cluster("1xH100"), EngineConfig(), held_bytes=60 * 10**9)
    large = engine("zero-671b", "zero", parse_cluster("8xH100"), EngineConfig())
    for one in (small, large):
        assert one.rows(8192, 4096) == 0 and "too much for the keys and values" in engine_line(one, 8192)[1]
        assert drawn(one, Assumed(), completions=8, limit=8192, cards=one.cluster.count).seconds == math.inf
    said = engine_line(replace(small, held_bytes=10**10), 8192)[1]
    assert ", beside 9.31 GiB of training: " in said and said.endswith("completions of 8,192 tokens at one time")


def test_what_is_started_takes_time() -> None:
    """laptop-zero on an H200 took 3 to 7 s for an update (docs/scale.md)."""
    stage, shape = stage_of("laptop-zero", "zero")
    cluster = parse_cluster("1xH200")
    spent = course(stage, shape, cluster, Assumed(), sampling_cards=1, training_cards=1)
    assert spent.sampling / stage.steps == pytest.approx(128 * 7.6e-3 + 4.0, rel=0.02)
    passes = math.ceil((64 * 64 + 8 * 200) / 1024)
    assert spent.training / stage.steps == pytest.approx(passes * 0.16)
    assert 3 < spent.in_turn / stage.steps < 7


def test_a_second_pass_forward_costs_a_third_more() -> None:
    stage, shape = stage_of("zero-gsm8k-qwen2.5-1.5b", "zero", "stages.zero.objective=dr_grpo")
    cluster = parse_cluster("8xH100")
    kept, again = (
        course(stage, shape, cluster, replace(AT_ONCE, again=one), sampling_cards=8, training_cards=8)
        for one in (0.0, 1.0)
    )
    assert again.training == pytest.approx(kept.training * 4 / 3) and again.sampling == kept.sampling
    assert "again" in " ".join(sensitivity(stage, shape, cluster, replace(AT_ONCE, again=1.0), 8))


def test_critic_and_reward_models_take_their_time() -> None:
    """The critic a pass for its values, and one there and back; a reward model scores each completion on one card."""
    stage, shape = stage_of("zero-gsm8k-qwen2.5-1.5b", "zero", "stages.zero.objective=dr_grpo")
    cluster = parse_cluster("4xH100")

    def training(beside: Beside) -> float:
        return course(stage, shape, cluster, AT_ONCE, sampling_cards=4, training_cards=1, beside=beside).training

    alone = training(Beside())
    assert training(Beside(critic=shape)) == pytest.approx(alone * (3 + 4) / 3)
    mean = 0.5 * stage.sampling.max_tokens + 200
    scores = stage.steps * 32 * 16 * mean * 2 * shape.active / (0.3 * 990e12)
    small = replace(shape, active=shape.active // 2)
    assert training(Beside(reward_models=(shape, small))) == pytest.approx(alone + scores)
    assert training(Beside(judges=(shape,))) == alone


def test_a_pass_in_rounds() -> None:
    """Five passes of two ranks each on four ranks are three rounds."""
    _, shape = stage_of("zero-gsm8k-qwen2.5-1.5b", "zero")
    batch = BatchLimits(tokens_per_micro_batch=1000, ranks=4, context=2)
    spent = update_seconds(
        batch, shape, parse_cluster("4xH100"), Assumed(), bf16=True, tokens=9001, length=300, ranks=4, looks=1
    )
    assert spent == pytest.approx(3 * 0.16 * 4 / 3)
    assert forward(shape, 0) == 2 * shape.active


def test_what_v3_reached_of_the_peak() -> None:
    """180,000 H800-hours for a trillion tokens, in sequences of 4,096 (V3 report)."""
    _, shape = published()
    attended = 61 * 128 * 2 * (192 + 128) * 2048
    share = 3 * (2 * shape.active + attended) * 1e12 / (180_000 * 3600 * 990e12)
    assert assumed_of(parse_cluster(H800), as_published=True).train_share == pytest.approx(share, abs=0.005)


def test_a_rank_has_a_part_of_what_is_sharded() -> None:
    stage, shape = stage_of("r1-qwen2.5-7b", "zero")
    whole = memory(stage, shape, bf16=True, room=0)
    parts = rank_bytes(stage, shape, 80 * 10**9, 8)
    assert parts["weights"] == shape.parameters * 4 // 8 and parts["optimizer"] == shape.parameters
    assert parts["reference"] == whole["reference"] // 8
    assert parts["gathered layers"] == gathered_bytes(shape) and "gathered layers" not in rank_bytes(stage, shape, 1, 1)
    long = stage.model_copy(update={"batch": BatchLimits(tokens_per_micro_batch=1024, recompute=True)})
    shared = stage.model_copy(update={"batch": BatchLimits(tokens_per_micro_batch=1024, recompute=True).model_copy(
        update={"context": 4})})  # fmt: skip
    whole = memory(long, shape, bf16=True)
    assert rank_bytes(shared, shape, 1, 8)["activations"] == pytest.approx(whole["activations"] / 4, rel=0.01)


def test_the_first_card_has_what_the_run_keeps() -> None:
    """Its own weights in float32 where ranks train others, and the reward models; one process has its own already."""
    stage, shape = stage_of("r1-qwen2.5-7b", "zero")
    beside = Beside(reward_models=(shape,), judges=(replace(shape, parameters=1000, linear=500, head=0),))
    alone, many = (rank_bytes(stage, shape, 80 * 10**9, ranks, beside) for ranks in (1, 8))
    assert many["the run's own copy, on the first card"] == shape.parameters * 4
    assert not [name for name in alone if "own copy" in name]
    frozen = shape.parameters * 4 - 2 * (shape.linear + shape.head) + 4000 - 2 * 500
    assert alone["reward models, on the first card"] == many["reward models, on the first card"] == frozen
    critic = rank_bytes(stage, shape, 80 * 10**9, 1, Beside(critic=shape))["critic"]
    assert critic == shape.parameters * 12 + shape.linear * 2
    assert smallest_machines(stage, shape).startswith("5 cards of 80 GB")
    assert smallest_machines(stage, shape, beside).startswith("12 cards of 80 GB")


def test_the_smallest_machine_holds_it_and_one_card_less_does_not() -> None:
    stage, shape = stage_of("r1-qwen2.5-7b", "zero")
    said = smallest_machines(stage, shape)
    for text in said.partition(";")[0].split(", or "):
        count, size = int(text.split()[0]), int(text.split()[-2]) * 10**9
        assert sum(rank_bytes(stage, shape, size, count).values()) <= size
        assert count == 1 or sum(rank_bytes(stage, shape, size, count - 1).values()) > size
    huge = smallest_machines(*stage_of("zero-671b", "zero"))
    assert huge == "no number of cards of 24 or 48 or 80 or 141 or 192 GB: what each holds whole is too much"


@pytest.mark.parametrize(
    ("machine", "looked_at"), [("16xH100", 256), ("16xH100", 8), ("9x8xH100", 8), ("9x8xH200", 16)]
)
def test_the_best_split_is_the_best_of_all(machine: str, looked_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where few divisions are compared at a time, too."""
    monkeypatch.setattr("ponder.pipeline.plan_cluster._LOOKED_AT", looked_at)
    stage, shape = stage_of("r1-qwen2.5-7b", "zero")
    cluster = parse_cluster(machine)
    best = best_split(stage, shape, cluster, Assumed(), as_published=True)
    assert best is not None
    every = {
        n: course(stage, shape, cluster, Assumed(), sampling_cards=n, training_cards=cluster.count - n).side_by_side
        for n in range(1, cluster.count)
        if sum(rank_bytes(stage, shape, cluster.device.memory_bytes, cluster.count - n).values())
        <= cluster.device.memory_bytes
    }
    assert best[1].side_by_side == min(every.values()) == every[best[0]]
    assert best_split(stage, shape, parse_cluster("1xH100"), Assumed()) is None


def test_many_cards_are_not_all_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, shape = stage_of("r1-qwen2.5-7b", "zero")
    looked: list[int] = []

    def counting(*given: Any, **named: Any) -> Any:
        looked.append(named["sampling_cards"])
        return course(*given, **named)

    monkeypatch.setattr("ponder.pipeline.plan_cluster.course", counting)
    assert best_split(stage, shape, parse_cluster("100000xH100"), Assumed()) is not None
    assert len(looked) < 1500


def test_one_process_that_trains_leaves_the_others_to_draw() -> None:
    stage, shape = stage_of("zero-gsm8k-qwen2.5-1.5b", "zero", "stages.zero.objective=ppo")
    best = best_split(stage, shape, parse_cluster("8xH100"), Assumed(), beside=Beside(critic=shape), as_published=True)
    assert best is not None
    alone = course(
        stage, shape, parse_cluster("8xH100"), Assumed(), sampling_cards=7, training_cards=1,
        beside=Beside(critic=shape),
    )  # fmt: skip
    assert best[1].training == alone.training
    assert " 2 cards" not in smallest_machines(stage, shape, Beside(critic=shape))


def test_every_assumption_says_what_it_does() -> None:
    stage, shape = published()
    cluster = parse_cluster(H800)
    assumed = assumed_of(cluster, as_published=True)
    lines = list(sensitivity(stage, shape, cluster, assumed, 512))
    assert len(lines) == len(fields(Assumed))
    assert [line for line in lines if " h if " not in line] == [
        "0% of the training state stays on a card that samples: does not fit if 100%"
    ]
    half, twice = (
        placed_course(stage, shape, cluster, replace(assumed, mean=one), 512).in_turn / 3600 for one in (0.25, 1.0)
    )
    said = f"50% of the limit is a mean completion: {round(half, -1):.0f} h if half, {round(twice, -1):.0f} h if twice"
    assert lines[0] == said


def test_heads_that_the_context_does_not_divide() -> None:
    _, shape = stage_of("r1-qwen2.5-7b", "zero")
    check_context(shape.heads, "it", 7)
    with pytest.raises(ModelError, match=r"is 8, which does not divide the 28 attention heads .* fits: 1, 2, 4$"):
        check_context(shape.heads, "it", 8)
    recipe = load_recipe(find_recipe("r1-qwen2.5-7b"), ["stages.zero.batch.ranks=8", "stages.zero.batch.context=8"])
    with pytest.raises(ModelError, match=r"stage 'zero': `batch.context` is 8, which does not divide the 28 "):
        check_room(recipe, card("H200", 141 * 10**9))


def test_more_ranks_than_cards(tmp_path: Path) -> None:
    recipe = load_recipe(find_recipe("zero-gsm8k-qwen2.5-1.5b"), ["stages.zero.batch.ranks=16"])
    with pytest.raises(PonderError, match=r"`batch.ranks` is 16, but 8 H100 .* has 8 cards"):
        describe_plan(recipe, tmp_path / "out", cluster=parse_cluster("8xH100"))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["zero-671b", "--machine", H800], 0, "beside what was published"),
        (["r1-671b", "--machine", H800], 0, "total      roughly"),
        (["r1-qwen2.5-7b", "--machine", "8xH100"], 0, "  smallest "),
        (["distill-qwen2.5-1.5b", "--machine", "2xL4"], 0, "  rank     about "),
        (["zero-671b", "--context", "2"], 1, "no cards are named"),
        (["zero-671b", "--machine", "here"], 1, "is no machine"),
    ],
)
def test_the_command(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    result: Any = CliRunner().invoke(app, ["plan", *arguments, "--out", str(tmp_path / "out")])
    shown = (
        result.output
        if result.exception is None or not isinstance(result.exception, PonderError)
        else str(result.exception)
    )
    assert said in shown and (result.exit_code == 0) is (code == 0)
