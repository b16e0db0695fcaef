"""Models at endpoints in an `evaluate` stage: files and comparisons as of models here, and no reply paid twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import PonderError
from ponder.evaluation.scores import read_scores
from ponder.pipeline.fingerprint import identities
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.run import run
from ponder.pipeline.smoke import smoke_recipe
from ponder.recipe.load import load_recipe
from ponder.recipe.stages import EvaluateStage
from ponder.report.cost import stage_cost
from ponder.report.run import read_run
from tests.chat_server import ChatServer, said

RECIPE = """\
name: served
stages:
  scores:
    kind: evaluate
    models: [micro]
    served:
      teacher: {{base_url: "{url}", model: t, price_per_million_input: 1, price_per_million_output: 10}}
    benchmarks: [{folder}/bench.yaml, {folder}/other.yaml]
    samples: 2
"""
BENCHMARK = (
    "name: {name}\nsamples: 2\nmax_tokens: 8\nproblems: [{{source: micro, split: test, count: 4, seed: {seed}}}]\n"
)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    found = ChatServer()
    found.play = lambda body, tries: said("I do not know.")
    yield found
    found.close()


@pytest.fixture
def recipe(server: ChatServer, tmp_path: Path) -> Path:
    for seed, name in enumerate(("bench", "other")):
        (tmp_path / f"{name}.yaml").write_text(BENCHMARK.format(name=name, seed=seed))
    path = tmp_path / "served.yaml"
    path.write_text(RECIPE.format(url=server.url, folder=tmp_path))
    return path


def test_they_stand_in_the_same_tables(server: ChatServer, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(load_recipe(recipe), out, text=recipe.read_text())
    folder = out / "stages/scores/evaluation"
    assert len(server.requests) == 2 * 4 * 2
    for name in ("bench", "other"):
        scores = read_scores(folder / f"teacher--{name}.json")
        assert (scores.overall.problems, scores.overall.samples, scores.overall.pass_at_1) == (4, 2, 0.0)
        assert scores.provenance["requests"]["cost"] == pytest.approx(8 * (7 * 1 + 5 * 10) / 1e6), "of this benchmark"
        assert read_scores(folder / f"micro--{name}.json").accuracy.keys() == scores.accuracy.keys()
    paired = json.loads((folder / "paired.json").read_text())
    assert "teacher" in json.dumps(paired)
    results = json.loads((out / "stages/scores/manifest.json").read_text())["results"]
    assert results.keys() == {"micro", "teacher"}
    made = read_run(out)
    cost = stage_cost(made, made.stages[0])
    assert cost is not None and cost.charged == pytest.approx(2 * 8 * (7 * 1 + 5 * 10) / 1e6)
    run(load_recipe(recipe, ["stages.scores.samples=3"]), out, text=recipe.read_text(), redo_stages=["scores"])
    assert len(server.requests) == 2 * 4 * 3, "a redo asks only what is new"


def stage(**changes: Any) -> EvaluateStage:
    settings = {
        "models": ["micro"],
        "benchmarks": ["micro"],
        "served": {"t": {"base_url": "http://a/v1", "model": "t"}},
    }
    return EvaluateStage.model_validate(settings | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": [], "served": {}}, "there is no model to measure"),
        ({"served": {"micro": {"base_url": "http://a/v1", "model": "t"}}}, "'micro' stands in models and in served"),
        ({"baseline": "x"}, "baseline 'x' is not one of models: add it there, micro, t"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        stage(**changes)


def test_an_endpoint_alone_may_be_measured_and_be_the_baseline() -> None:
    assert stage(models=[], baseline="t").names() == ("t",)


def test_a_stage_without_endpoints_is_what_it_was() -> None:
    assert "served" not in stage(served={}).model_dump(mode="json")


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("stages.scores.served.teacher.price_per_million_input=7", True),
        ("stages.scores.served.teacher.price_per_million_cached_input=7", True),
        ("stages.scores.served.teacher.max_concurrency=3", True),
        ("stages.scores.served.teacher.model=other", False),
        ("stages.scores.served.teacher.send_seed=true", False),
    ],
)
def test_what_decides_the_result(recipe: Path, override: str, same: bool) -> None:
    before, after = (identities(load_recipe(recipe, some), smoke=False)["scores"] for some in ([], [override]))
    assert (before == after) is same


def test_the_plan_says_what_it_costs(recipe: Path, tmp_path: Path) -> None:
    told = describe_plan(load_recipe(recipe), tmp_path / "out")
    assert "2 models x 16 completions" in told
    assert "of teacher roughly 0.0" in told
    alone = describe_plan(load_recipe(recipe, ["stages.scores.models=[]"]), tmp_path / "out")
    assert "1 models x 16 completions" in alone


def test_a_smoke_run_asks_nobody(recipe: Path, tmp_path: Path) -> None:
    made = smoke_recipe(load_recipe(recipe, ["stages.scores.models=[]", "stages.scores.baseline=teacher"]), tmp_path)
    (one,) = made.stages.values()
    assert isinstance(one, EvaluateStage)
    assert one.endpoints() == () and one.baseline in one.models


def test_a_key_that_is_not_there_is_said_before_anything_runs(recipe: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe, ["stages.scores.served.teacher.api_key_env=NO_SUCH_KEY"])
    with pytest.raises(PonderError, match="NO_SUCH_KEY"):
        run(loaded, tmp_path / "out", text=recipe.read_text())
