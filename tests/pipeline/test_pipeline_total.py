"""What a whole recipe takes: counts by hand, sums over stages, money, and the published run beside it."""

from pathlib import Path
from typing import Any

import pytest

from ponder.errors import RecipeError
from ponder.evaluation.benchmark import Benchmark, find_benchmark, shipped
from ponder.files import write_text
from ponder.pipeline.counts import benchmark_problems, most_kept, preference_rows, problem_count, sft_examples
from ponder.pipeline.estimate import USUAL_RESPONSE, evaluate_work, sample_work
from ponder.pipeline.forecast import Forecast, fitting_device, spent_text
from ponder.pipeline.machine import CLUSTER_DEVICE, Device, this_device
from ponder.pipeline.memory import PROMPT_TOKENS
from ponder.pipeline.plan import _FORECASTS, describe_plan
from ponder.pipeline.plan_published import beside_published
from ponder.pipeline.shape import Shape
from ponder.pipeline.survey import survey
from ponder.recipe import EvaluateStage, Recipe, RewardModelStage, SampleStage, SftStage, load_recipe
from ponder.recipe.recipe import PublishedPart
from ponder.report.published import published, published_costs
from ponder.stages import STAGES

RECIPES = Path(__file__).parents[2] / "ponder" / "recipes"
TINY = Shape(
    model_type="qwen2", parameters=1000, active=900, linear=700, largest_layer=200, head=0, cached=16, latent=16,
    kept=50, kept_fp32=30, pair=96, layers=3, heads=2, hidden=8, vocabulary=100, window=512, origin="test",
)  # fmt: skip
MICRO = {"source": "micro", "count": 100}
FILE = {"source": "file", "path": "x.jsonl"}
V3 = "deepseek-ai/DeepSeek-V3-Base"


def sample(**fields: Any) -> SampleStage:
    return SampleStage.model_validate({"model": "micro", "problems": [MICRO], "samples": 4} | fields)


def read(folder: Path, text: str) -> Recipe:
    (folder / "r.yaml").write_text(text)
    return load_recipe(folder / "r.yaml")


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({}, 400),
        ({"keep": {"distinct": 2}}, 200),
        ({"keep": {"distinct": 9, "best_of": 1}}, 100),
        ({"output": "pairs"}, 100),
        ({"output": "pairs", "pairs": {"per_problem": 8}}, 600),
        ({"output": "pairs", "pairs": {"per_problem": 8}, "samples": 2}, 100),
        ({"output": "labels"}, 400),
        ({"problems": [MICRO, FILE]}, None),
        ({"problems": [MICRO, FILE | {"limit": 20}, MICRO | {"limit": 30}]}, 600),
    ],
)
def test_the_most_that_can_be_kept(fields: dict[str, Any], most: int | None) -> None:
    assert most_kept(sample(**fields)) == most


def test_what_others_make_of_it() -> None:
    stages = {"data": sample(), "pairs": sample(output="pairs"), "open": sample(problems=[FILE])}
    made = {"source": "stage", "stage": "data"}

    def sft(*examples: dict[str, Any]) -> int | None:
        stage = {"model": "micro", "examples": examples, "epochs": 2, "validation_share": 0}
        return sft_examples(SftStage.model_validate(stage), stages)

    assert sft(made) == 800
    assert sft(made | {"limit": 50, "weight": 3}, {"source": "micro", "count": 10}) == 320
    assert sft({"source": "stage", "stage": "open"}) is None
    assert sft({"source": "stage", "stage": "open", "limit": 7}) == 14  # an upper bound, too
    rows = RewardModelStage.model_validate(
        {
            "model": "m",
            "loss": "pairwise",
            "data": [{"source": "stage", "stage": "pairs"}, {"source": "micro", "count": 5}],
        }
    )
    assert preference_rows(rows, stages) == 105 and preference_rows(rows, {}) is None


def test_an_unlimited_source_makes_the_sum_unknown() -> None:
    assert problem_count(sample(problems=[MICRO, MICRO | {"limit": 10}]).problems) == 110
    assert problem_count(sample(problems=[MICRO, FILE]).problems) is None


def test_work_by_hand() -> None:
    stage = sample(sampling={"max_tokens": 1000})
    assert sample_work(stage).generated == pytest.approx(100 * (PROMPT_TOKENS + 4 * 1000 * USUAL_RESPONSE))
    long = Benchmark.model_validate({"name": "a", "problems": [FILE], "size": 10, "samples": 8, "max_tokens": 9999})
    short = Benchmark.model_validate({"name": "b", "problems": [MICRO], "samples": 1, "max_tokens": 100})
    unknown = Benchmark.model_validate({"name": "c", "problems": [FILE]})
    assert [benchmark_problems(one) for one in (long, short, unknown)] == [10, 100, None]
    room = 512 - PROMPT_TOKENS  # the window of the model ends before the benchmark's limit
    expected = 10 * (PROMPT_TOKENS + 8 * room * USUAL_RESPONSE) + 100 * (PROMPT_TOKENS + 100 * USUAL_RESPONSE)
    evaluate = EvaluateStage(models=("micro",), benchmarks=("a", "b", "c"))
    assert evaluate_work(evaluate, (long, short, unknown), TINY).generated == pytest.approx(expected)
    twice = evaluate.model_copy(update={"samples": 16})
    assert evaluate_work(twice, (long,), TINY).generated == pytest.approx(
        10 * (PROMPT_TOKENS + 16 * room * USUAL_RESPONSE)
    )


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_benchmark_says_its_size(name: str) -> None:
    assert benchmark_problems(find_benchmark(name))


def test_a_time_in_words() -> None:
    here = Device(name="CPU", memory_bytes=2**30, train_flops=1e6, generate_flops=1e5)
    assert fitting_device(2**30, here) is here and fitting_device(2**30 + 1, here) is CLUSTER_DEVICE
    assert spent_text(60, here, " for 3 updates") == "60 s for 3 updates"
    assert spent_text(36_000, CLUSTER_DEVICE, needed_bytes=3 * 80 * 2**30) == (
        "10 GPU-hours on H100 80GB (about $20 at $2 an hour; 3 or more to hold it)"
    )


def test_every_kind_of_stage_has_a_forecast() -> None:
    assert _FORECASTS.keys() == STAGES.keys()


CHAIN = f"""\
name: chain
stages:
  teacher:
    kind: sample
    endpoint: {{base_url: "http://localhost:1/v1", model: t, price_per_million_input: 1, price_per_million_output: 10}}
    problems: [{{source: micro, count: 1000}}]
    samples: 2
    sampling: {{max_tokens: 32768}}
  student: {{kind: sft, model: {V3}, examples: [{{source: stage, stage: teacher}}], max_tokens: 32768}}
  zero: {{kind: rl, model: {V3}, problems: [{{source: micro}}], steps: 100}}
  tiny: {{kind: rl, model: micro, problems: [{{source: micro}}], steps: 3}}
  scores: {{kind: evaluate, models: [student, zero], benchmarks: [aime24, math500]}}
  report: {{kind: report, stages: [zero]}}
"""


SMALL = Device(name="CPU", memory_bytes=2**33, train_flops=1e11, generate_flops=1e10)


def forecasts(recipe: Recipe, out: Path, here: Device = SMALL) -> dict[str, Forecast]:
    return {one.name: _FORECASTS[one.stage.kind](recipe, one, out, here) for one in survey(recipe, out, smoke=False)}


def test_the_total_is_the_sum_of_what_the_stages_say(tmp_path: Path) -> None:
    recipe = read(tmp_path, CHAIN)
    found = forecasts(recipe, tmp_path / "out")
    replies = 2000 * (1 * PROMPT_TOKENS + 10 * 32768 * USUAL_RESPONSE) / 1e6
    assert found["teacher"].charged == pytest.approx(replies) and found["teacher"].seconds is None
    assert [name for name, one in found.items() if one.device is CLUSTER_DEVICE] == ["student", "zero", "scores"]
    page = describe_plan(recipe, tmp_path / "out")
    hours = sum(one.seconds or 0 for one in found.values() if one.device is CLUSTER_DEVICE) / 3600
    (total,) = [line for line in page.splitlines() if line.startswith("total")]
    told = float(total.partition("roughly ")[2].partition(" GPU-hours")[0].replace(",", ""))
    assert told == pytest.approx(hours, rel=0.05)
    assert f"{replies:,.2f} to endpoints" in total and "on this machine" in total and "the 6 stages" in total
    assert "not counted" not in page
    assert "2 models x 9,920 completions: 30 x 64 aime24, 500 x 16 math500" in page
    assert "64 examples" not in page and "128 examples, at most 31 updates" in page  # 2 epochs of 98 % of 2,000


def test_a_stated_price_is_counted_for_this_machine(tmp_path: Path) -> None:
    text = """\
name: short
stages:
  tiny: {kind: rl, model: micro, problems: [{source: micro}], steps: 30}
  report: {kind: report, stages: [tiny], price_per_hour: 1000000}
"""
    recipe = read(tmp_path, text)
    spent = forecasts(recipe, tmp_path / "out", this_device())["tiny"].seconds
    page = describe_plan(recipe, tmp_path / "out")
    (total,) = [line for line in page.splitlines() if line.startswith("total")]
    paid = float(total.partition("(about $")[2].partition(" at $")[0].replace(",", ""))
    assert spent is not None and paid == pytest.approx(1e6 / 3600 * spent, rel=0.05)
    assert "for the 2 stages still to run" in total


def test_what_is_not_known_is_said_and_not_counted(tmp_path: Path) -> None:
    text = CHAIN.replace("[{source: micro, count: 1000}]", "[{source: hub, id: a/b}]").replace(
        "math500]", "mine.jsonl]"
    )
    write_text(tmp_path / "mine.jsonl", '{"prompt": "1 + 1", "answer": "2"}\n')
    text = text.replace("mine.jsonl", str(tmp_path / "mine.jsonl"))
    page = describe_plan(read(tmp_path, text), tmp_path / "out")
    (line,) = [line for line in page.splitlines() if "not counted" in line]
    assert "teacher (the cost is not known: the recipe does not say how many problems there are (limit))" in line
    assert "student (only its data tell how many updates it makes)" in line
    assert "scores (the size of mine is not known)" in line
    broken = describe_plan(read(tmp_path, CHAIN.replace("math500", "math50")), tmp_path / "out")
    assert "scores (a benchmark cannot be read)" in broken and "did you mean 'math500'" in broken


def test_published_parts_are_those_of_the_table() -> None:
    cost = published_costs()
    assert set(PublishedPart.__args__) | {"Total"} == cost.hours.keys()  # type: ignore[attr-defined]
    parts = [one for one in cost.hours if one != "Total"]
    assert sum(cost.hours[one] for one in parts) == cost.hours["Total"] == 147_000  # v2, table 7
    assert sum(cost.dollars[one] for one in parts) == cost.dollars["Total"] == 294_000
    assert all(cost.dollars[one] == 2 * cost.hours[one] for one in parts)
    assert published()["cost"].rows[0][1].text == "101,000"


def test_the_published_run_is_planned_beside_its_cost(tmp_path: Path) -> None:
    """R1-Zero's row is what the rates were set by; the sum must stay within a fifth of what was published."""
    recipe = load_recipe(RECIPES / "r1-671b.yaml")
    found = forecasts(recipe, tmp_path / "out")
    named = [stage for stages in recipe.published.values() for stage in stages]
    assert sorted(named) == sorted(recipe.stages.keys() - {"scores", "report"})
    hours = {part: sum(found[one].seconds or 0 for one in stages) / 3600 for part, stages in recipe.published.items()}
    assert sum(hours.values()) == pytest.approx(147_000, rel=0.2)
    assert hours["R1"] == pytest.approx(41_000, rel=0.25) and hours["SFT data"] == pytest.approx(5_000, rel=0.25)
    assert not any(one.unknown for one in found.values())
    lines = list(beside_published(recipe, found))
    assert "101,000 h  $202,000" in lines[2] and "5,000 h  $10,000" in lines[3] and "41,000 h  $82,000" in lines[4]
    assert "147,000 h  $294,000" in lines[5] and "scores" in lines[5]
    reasons = " ".join(" ".join(lines[6:]).split())
    assert "2,788,000 H800-hours" in reasons and "50% of the limit" in reasons and "3.0e+13" in reasons


def test_parts_that_are_done_or_unknown(tmp_path: Path) -> None:
    text = CHAIN.replace(
        "stages:\n", "published: {R1-Zero: [zero], SFT data: [teacher], R1: [student, tiny]}\nstages:\n", 1
    )
    recipe = read(tmp_path, text)
    found = forecasts(recipe, tmp_path / "out")
    lines = list(beside_published(recipe, {name: one for name, one in found.items() if name != "zero"}))
    assert "done" in lines[2] and "endpoints only" in lines[3]
    unknown = found | {"student": Forecast(unknown="why"), "tiny": Forecast(unknown="why")}
    assert "not known" in list(beside_published(recipe, unknown))[4]
    some = found | {"student": Forecast(unknown="why")}
    assert "and more" in list(beside_published(recipe, some))[4]
    assert not list(beside_published(read(tmp_path, CHAIN), found))


def test_a_part_names_stages_of_the_recipe(tmp_path: Path) -> None:
    text = CHAIN.replace("stages:\n", "published: {R1-Zero: [zeros]}\nstages:\n", 1)
    with pytest.raises(RecipeError, match=r"published.R1-Zero names 'zeros', which is not.*did you mean 'zero'"):
        read(tmp_path, text)
    with pytest.raises(RecipeError, match="R1-Zeros"):
        read(tmp_path, text.replace("R1-Zero:", "R1-Zeros:"))
