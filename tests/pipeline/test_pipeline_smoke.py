"""The smoke recipe: valid, small, near; stages run it as any other."""

import ast
from pathlib import Path

import pytest

import ponder
from ponder.errors import ModelError
from ponder.pipeline.run import run
from ponder.pipeline.smoke import model_folder, smoke_recipe
from ponder.recipe import Recipe, RlStage, SampleStage, load_recipe
from ponder.recipe.problems import HubProblems, MicroProblems
from ponder.recipe.stages import EvaluateStage, RewardModelStage, Stage

PACKAGE = Path(ponder.__file__).parent
RECIPES = sorted((PACKAGE / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_smoke_recipe_is_a_recipe_that_reads_nothing_far_away(path: Path, tmp_path: Path) -> None:
    given = load_recipe(path)
    made = smoke_recipe(given, tmp_path)
    assert Recipe.model_validate_json(made.model_dump_json()) == made
    assert list(made.stages) == list(given.stages)
    for stage in made.stages.values():
        assert not stage.endpoints() and not set(stage.scorers()) - made.stages.keys()
        assert all(source.source == "micro" for source in stage.problem_sources())
        outside = set(stage.writers()) - made.stages.keys()
        assert all(Path(one).parent == tmp_path / "models" for one in outside)
        assert all(Path(one).parent == tmp_path / "benchmarks" for one in stage.benchmark_names())


def test_stages_do_not_know_of_smoke_runs() -> None:
    for path in [*(PACKAGE / "stages").glob("*.py"), *(PACKAGE / "recipe").rglob("*.py")]:
        names = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name | ast.Attribute)]
        assert not [node for node in names if "smoke" in ast.unparse(node)], path


def small(stage: Stage, folder: Path) -> Stage:
    return smoke_recipe(Recipe(name="r", stages={"one": stage}), folder).stages["one"]


def test_a_reward_model_from_outside_is_left_out_with_its_reward(tmp_path: Path) -> None:
    stage = RlStage(
        model="micro",
        problems=(MicroProblems(tasks=("writing",)), MicroProblems()),
        rewards={"accuracy": 1, "preference": 1},
        reward_models={"helpful": "./scorer"},
        steps=7,
    )
    made = small(stage, tmp_path)
    assert isinstance(made, RlStage)
    assert made.rewards == {"accuracy": 1, "chance": 1} and not made.reward_models and made.steps == 2
    assert all("writing" not in source.tasks for source in made.problems if isinstance(source, MicroProblems))


def test_a_critic_from_outside_begins_as_the_policy(tmp_path: Path) -> None:
    stage = RlStage.model_validate(
        {"model": "micro", "problems": [{"source": "micro"}], "steps": 7, "objective": "ppo",
         "critic": {"model": "./scorer", "clip": 0.5}}
    )  # fmt: skip
    made = small(stage, tmp_path)
    assert isinstance(made, RlStage) and made.critic is not None
    assert (made.critic.model, made.critic.clip, made.objective) == (None, 0.5, stage.objective)


def test_what_is_late_or_scheduled_comes_at_once(tmp_path: Path) -> None:
    stage = RlStage.model_validate(
        {
            "model": "Qwen/Qwen2.5-7B",
            "problems": [{"source": "micro"}, {"source": "micro", "seed": 3, "from_step": 90}],
            "reward_schedule": {"language": [{"from_step": 50, "weight": 0.5}]},
            "sampling": {"max_tokens": 4096, "length_schedule": [{"from_step": 60, "max_tokens": 8192}]},
            "objective": "dapo",
            "steps": 100,
            "updates_per_rollout": 16,
            "problems_per_step": 2,
        }
    )
    made = small(stage, tmp_path)
    assert isinstance(made, RlStage)
    assert [source.from_step for source in made.problems] == [0, 0] and made.updates_per_rollout == 2
    assert made.rewards == {"accuracy": 1, "format": 1, "language": 0.5, "chance": 1} and not made.reward_schedule
    assert made.sampling.max_tokens_at(99) == 16 and made.problems_per_step == 2
    assert made.objective == stage.objective and made.model == str(tmp_path / "models" / "Qwen-Qwen2.5-7B")


def test_helpers_become_rules(tmp_path: Path) -> None:
    far = {"kind": "endpoint", "endpoint": {"base_url": "http://nowhere.invalid/v1", "model": "m"}}
    stage = SampleStage.model_validate(
        {
            "endpoint": far["endpoint"],
            "problems": [{"source": "hub", "id": "nobody/nothing"}],
            "judge": far,
            "keep": {"judged": True, "pass_rate": [0.1, 0.9]},
            "rewrite": {"by": far, "solution": True},
        }
    )
    made = small(stage, tmp_path)
    assert isinstance(made, SampleStage) and not made.endpoints() and made.judge is None
    assert made.rewrite is not None and made.rewrite.by.kind == "rule"
    assert made.model == str(model_folder("micro", tmp_path))
    judged = SampleStage.model_validate(
        {"endpoint": far["endpoint"], "problems": [{"source": "micro"}], "output": "pairs", "judge": far}
    )
    made = small(judged, tmp_path)
    assert isinstance(made, SampleStage) and made.judge is not None and made.judge.kind == "chance"


@pytest.mark.parametrize("loss", ["pairwise", "pointwise"])
def test_a_reward_model_of_data_from_outside(loss: str, tmp_path: Path) -> None:
    stage = RewardModelStage.model_validate(
        {"model": "micro", "loss": loss, "data": [{"source": "hub", "id": "a/b"}], "held_out": [{"source": "micro"}]}
    )
    run(Recipe(name="r", stages={"rm": stage}), tmp_path / "out", text="", smoke=True, say=lambda line: None)
    assert len((tmp_path / "out" / "stages" / "rm" / "metrics.jsonl").read_text().splitlines()) == 3  # 0, 1, 2


def test_a_model_of_unknown_shape_is_refused_before_anything_runs(tmp_path: Path) -> None:
    stages = {
        "first": RlStage(model="micro", problems=(HubProblems(id="a/b"),), steps=1),
        "scores": EvaluateStage(models=("first", "nobody/nothing"), benchmarks=("micro",)),
    }
    for _ in range(2):  # what is there already is taken for the run's own
        with pytest.raises(ModelError, match=r"architecture of 'nobody/nothing' is not known"):
            run(Recipe(name="r", stages=stages), tmp_path / "out", text="", smoke=True, say=lambda line: None)
        assert not (tmp_path / "out" / "stages").exists()


def test_no_more_ranks_than_there_are_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = RlStage.model_validate(
        {"model": "micro", "problems": [{"source": "micro"}], "steps": 7, "batch": {"ranks": 4, "context": 2}}
    )
    for there, ranks, context in [(2, 2, 1), (4, 4, 2), (8, 4, 2), (1, 1, 1)]:
        monkeypatch.setattr("ponder.pipeline.smoke.processors", lambda there=there: (there, "cores"))
        made = small(stage, tmp_path)
        assert isinstance(made, RlStage) and (made.batch.ranks, made.batch.context) == (ranks, context)
