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
from ponder.pipeline.cluster import parse_cluster
from ponder.pipeline.machine import TRAIN_SHARE, card
from ponder.pipeline.memory import gathered_bytes, memory
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.plan_cluster import best_split, in_turn, rank_bytes, sensitivity, smallest_machines
from ponder.pipeline.room import check_room
from ponder.pipeline.shape import find_shape
from ponder.pipeline.wall import Assumed, assumed_of, course, engine_cards, rows_that_fit, stretches
from ponder.recipe import RlStage, load_recipe
from ponder.recipe.shape import Shape, check_context
from ponder.recipe.shipped import find_recipe
from ponder.recipe.training import BatchLimits

H800 = "64x8xH800"


def stage_of(name: str, stage: str, *overrides: str) -> tuple[RlStage, Shape]:
    recipe = load_recipe(find_recipe(name), overrides)
    found, shape = recipe.stages[stage], find_shape(recipe, stage)
    assert isinstance(found, RlStage) and isinstance(shape, Shape)
    return found, shape


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
        ("8xL40", 8, 48),
    ],
)
def test_a_machine_in_words(text: str, count: int, gigabytes: int) -> None:
    cluster = parse_cluster(text)
    assert (cluster.count, cluster.device.memory_bytes) == (count, gigabytes * 10**9)


def test_a_card_is_not_one_of_a_longer_name() -> None:
    assert parse_cluster("1xL40").peak_flops == card("NVIDIA L40", 1).train_flops / TRAIN_SHARE
    assert parse_cluster("1xL40").peak_flops > parse_cluster("1xL4").peak_flops
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
    stage, shape = stage_of("zero-671b", "zero")
    cluster = parse_cluster(H800)
    assumed = assumed_of(cluster, as_published=True)
    spent = in_turn(stage, shape, cluster, assumed, cluster.count)
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
    monkeypatch.setattr("ponder.pipeline.wall.rows_that_fit", lambda *_: at_once)
    assumed = Assumed(mean=mean / limit)
    step = shape.parameters * 2 / (cluster.bandwidth * 0.6)
    row = 2 * shape.active / (cluster.peak_flops * 0.3)
    row += shape.latent * 2 * (round(limit * assumed.mean) / 2 + 200) / (cluster.bandwidth * 0.6)
    found = course(stage, shape, cluster, assumed, sampling_cards=1, training_cards=1)
    assert found.sampling == pytest.approx(simulated(lengths, at_once, step, row), rel=0.15)


def test_training_and_sync_by_hand() -> None:
    stage, shape = stage_of("zero-gsm8k-qwen2.5-1.5b", "zero", "stages.zero.objective=grpo")
    cluster = parse_cluster("8xH100")
    found = course(stage, shape, cluster, Assumed(), sampling_cards=6, training_cards=2)
    tokens = stage.steps * (32 * 16 * 0.5 * stage.sampling.max_tokens + 32 * 200)
    assert found.training == pytest.approx(8 * shape.active * tokens / (2 * 0.3 * 990e12))
    assert found.sync == pytest.approx(stage.steps * shape.parameters * 2 / 10e9)
    assert found.side_by_side == max(found.sampling + found.sync, found.training)
    moved = course(
        stage, shape, cluster, Assumed(resident=0.5), sampling_cards=8, training_cards=8, state_bytes=25 * 10**9
    )
    assert moved.sync - found.sync == pytest.approx(stage.steps * 1.0)  # half of it, there and back, at 25 GB/s


def test_an_engine_takes_as_many_cards_as_its_weights_need() -> None:
    _, small = stage_of("r1-qwen2.5-7b", "zero")
    _, large = stage_of("zero-671b", "zero")
    cluster = parse_cluster(H800)
    assert engine_cards(small, cluster) == 1 and engine_cards(large, cluster) == 32  # 1.34 TB in 0.6 of 2.56 TB
    free = 0.9 * 80e9 - small.parameters * 2
    assert rows_that_fit(small, cluster, 800) == int(free / (small.latent * 2 * 1000))
    assert rows_that_fit(small, cluster, 800, 10**10) == int((free - 1e10) / (small.latent * 2 * 1000))
    assert large.latent == 61 * (512 + 64) and large.cached == 61 * 128 * (192 + 128)


def test_a_rank_has_a_part_of_what_is_sharded() -> None:
    stage, shape = stage_of("r1-qwen2.5-7b", "zero")
    whole = memory(stage, shape, bf16=True, room=0)
    parts = rank_bytes(stage, shape, 80 * 10**9, 8)
    assert parts["weights"] == shape.parameters * 4 // 8 and parts["optimizer"] == shape.parameters
    assert parts["reference"] == whole["reference"] // 8
    assert parts["gathered layers"] == gathered_bytes(shape) and "gathered layers" not in rank_bytes(stage, shape, 1, 1)
    assert (
        rank_bytes(stage, shape, 1, 8, context=4)["activations"] <= whole["activations"]
    )  # of passes of their own size
    long = stage.model_copy(update={"batch": BatchLimits(tokens_per_micro_batch=1024, recompute=True)})
    whole = memory(long, shape, bf16=True)
    assert rank_bytes(long, shape, 1, 8, context=4)["activations"] == pytest.approx(whole["activations"] / 4, rel=0.01)


def test_the_smallest_machine_holds_it_and_one_card_less_does_not() -> None:
    stage, shape = stage_of("r1-qwen2.5-7b", "zero")
    said = smallest_machines(stage, shape)
    for text in said.partition(";")[0].split(", or "):
        count, size = int(text.split()[0]), int(text.split()[-2]) * 10**9
        assert sum(rank_bytes(stage, shape, size, count).values()) <= size
        assert count == 1 or sum(rank_bytes(stage, shape, size, count - 1).values()) > size
    huge = smallest_machines(*stage_of("zero-671b", "zero"))
    assert huge == "no number of cards of 24 or 48 or 80 or 141 or 192 GB: what each holds whole is too much"


def test_the_best_split_is_the_best_of_all() -> None:
    stage, shape = stage_of("r1-qwen2.5-7b", "zero")
    cluster = parse_cluster("16xH100")
    best = best_split(stage, shape, cluster, Assumed())
    assert best is not None
    every = {
        n: course(stage, shape, cluster, Assumed(), sampling_cards=n, training_cards=16 - n).side_by_side
        for n in range(1, 16)
        if sum(rank_bytes(stage, shape, cluster.device.memory_bytes, 16 - n).values()) <= cluster.device.memory_bytes
    }
    assert best[0] == min(every, key=lambda n: every[n]) and best[1].side_by_side == min(every.values())
    assert best_split(stage, shape, parse_cluster("1xH100"), Assumed()) is None


def test_every_assumption_says_what_it_does() -> None:
    stage, shape = stage_of("zero-671b", "zero")
    cluster = parse_cluster(H800)
    assumed = assumed_of(cluster, as_published=True)
    lines = list(sensitivity(stage, shape, cluster, assumed, 512))
    assert len(lines) == len(fields(Assumed)) and all(" h if " in line for line in lines)
    half = in_turn(stage, shape, cluster, replace(assumed, mean=0.25), 512).in_turn / 3600
    assert lines[0] == f"50% of the limit is a mean completion: {half:.0f} h if half, 420 h if twice".replace(
        f"{half:.0f}", f"{round(half, -1):.0f}"
    )


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
    with pytest.raises(PonderError, match=r"`batch.ranks` is 16, but 8 H100 .* are 8 cards"):
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
