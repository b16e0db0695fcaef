"""PPO in a recipe: what the preset sets, what is refused and why, and that other recipes are as they were."""

from pathlib import Path
from typing import Any

import pytest

from ponder.errors import ModelError, RecipeError
from ponder.files import model_path
from ponder.pipeline.fingerprint import identities
from ponder.pipeline.preflight import check_inputs, check_models
from ponder.recipe import Critic, Objective, Recipe, RlStage, load_recipe
from ponder.recipe.graph import order

STAGE: dict[str, Any] = {"kind": "rl", "model": "micro", "steps": 4, "problems": [{"source": "micro"}]}


def stage(**changes: Any) -> RlStage:
    return RlStage.model_validate(STAGE | changes)


def test_the_preset() -> None:
    objective = Objective.model_validate("ppo")
    assert (objective.advantage, objective.gae_gamma, objective.gae_lambda) == ("gae", 1.0, 1.0)
    assert (objective.kl_placement, objective.kl_estimator, objective.reference_every) == ("reward", "k1", None)
    assert Objective.model_validate({"preset": "ppo", "gae_lambda": 0.95}).gae_lambda == 0.95
    assert Objective.model_validate(objective.model_dump()) == objective


def test_it_brings_a_critic() -> None:
    assert stage(objective="ppo").learnt_critic() == Critic()
    assert stage(objective="ppo", critic={"clip": None}).learnt_critic() == Critic(clip=None)
    assert stage(objective="grpo").learnt_critic() is None


@pytest.mark.parametrize("objective", ["grpo", "dapo", "reinforce_pp"])
def test_without_it_a_stage_is_written_as_before(objective: str) -> None:
    """So that fingerprints of runs that know nothing of it stand."""
    written = stage(objective=objective).model_dump(mode="json")
    assert "critic" not in written
    assert not {"gae_lambda", "gae_gamma"} & written["objective"].keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": {"preset": "ppo", "gae_lambda": 1.5}}, "less than or equal to 1"),
        ({"objective": {"preset": "ppo", "gae_lambda": -0.1}}, "greater than or equal to 0"),
        ({"objective": {"preset": "ppo", "gae_gamma": 0}}, "greater than 0"),
        ({"objective": {"preset": "ppo", "gae_lambda": None}}, "needs gae_lambda and gae_gamma"),
        ({"objective": {"preset": "grpo", "gae_lambda": 0.9}}, "gae_lambda is of advantage 'gae', which the preset 'g"),
        ({"objective": {"preset": "grpo", "advantage": "gae"}}, "set preset to 'ppo'"),
        ({"objective": {"preset": "ppo", "advantage": "group_mean"}}, "remove advantage, or take another preset"),
        ({"objective": {"preset": "ppo", "dynamic_sampling": True}}, "remove dynamic_sampling"),
        ({"critic": {}}, "critic is given, but the objective 'grpo' asks none"),
        ({"objective": "ppo", "batch": {"ranks": 2}}, "trained by one process"),
        ({"objective": "ppo", "critic": {"clip": 0}}, "greater than 0"),
        ({"objective": "ppo", "critic": {"lr": 1}}, "Extra inputs are not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stage(**changes)


RECIPE = """
name: made
stages:
  first: &rl {kind: rl, model: micro, template: r1-zero, steps: 4, problems: [{source: micro}]}
  scorer: {kind: reward_model, model: first, loss: pointwise, data: [{source: micro, tasks: [unsafe]}]}
  second: {<<: *rl, objective: ppo, critic: {model: NAMED}}
"""


def load(folder: Path, critic: str) -> Recipe:
    file = folder / "made.yaml"
    file.write_text(RECIPE.replace("NAMED", critic), encoding="utf-8")
    return load_recipe(file)


def test_a_critic_waits_for_the_reward_model_that_it_begins_as(tmp_path: Path) -> None:
    recipe = load(tmp_path, "scorer")
    assert order(recipe) == ("first", "scorer", "second")
    assert recipe.stages["second"].reads() == "micro, scorer (critic)"
    identity = identities(recipe, smoke=False)
    assert set(identity["second"]["inputs"]) == {"scorer"}


@pytest.mark.parametrize(
    ("critic", "message"),
    [
        ("first", "stage 'second' needs a stage of kind `reward_model`, and 'first' is none"),
        ("scores", "stage 'second' refers to 'scores', which is not a stage, .* did you mean 'scorer'"),
    ],
)
def test_a_critic_that_is_no_reward_model_is_refused(tmp_path: Path, critic: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as found:
        load(tmp_path, critic)
    assert "made.yaml:6" in str(found.value)


def test_a_folder_without_a_model_is_found_before_the_first_stage(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the model folder '\./nowhere' does not exist"):
        check_inputs(load(tmp_path, "./nowhere"))


def test_a_model_that_only_writes_is_found_before_the_first_stage(tmp_path: Path) -> None:
    """A folder that holds a causal model, where a reward model is needed."""
    with pytest.raises(ModelError, match=r"reward model '.*base': .* has no ponder_scorer\.json"):
        check_models(load(tmp_path, str(model_path("micro"))))
