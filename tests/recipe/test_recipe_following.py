"""Keys of `rl` that change with the steps or follow the model: what makes no sense is refused with the recipe."""

from typing import Any

import pytest
from pydantic import ValidationError

from ponder.recipe.stages import RlStage, SampleStage

MICRO = {"source": "micro"}
WITHOUT_GOLD = {"source": "file", "path": "p.jsonl", "gold": None, "route": "helpful"}


def stage(**fields: Any) -> RlStage:
    return RlStage.model_validate({"model": "micro", "problems": [MICRO], "steps": 20} | fields)


def test_the_temperature_of_a_rollout_is_the_last_that_began() -> None:
    schedule = [{"from_step": 5, "temperature": 0.7}, {"from_step": 12, "temperature": 1.2}]
    sampling = stage(sampling={"temperature": 1.0, "temperature_schedule": schedule}).sampling
    assert [sampling.temperature_at(step) for step in (0, 4, 5, 11, 12, 19)] == [1.0, 1.0, 0.7, 0.7, 1.2, 1.2]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sampling": {"temperature_schedule": [{"from_step": 3, "temperature": 0}]}}, "temperature"),
        ({"sampling": {"temperature_schedule": [{"from_step": 20, "temperature": 1}]}}, "after the last of 20 steps"),
        (
            {"sampling": {"temperature_schedule": [{"from_step": s, "temperature": 1} for s in (5, 5)]}},
            "temperature_schedule must rise strictly",
        ),
        ({"problems": [MICRO | {"until_step": 5}]}, "no source of problems is left from step 5 on"),
        ({"problems": [MICRO | {"until_step": 5}, MICRO | {"from_step": 6}]}, "no source of problems is left"),
        ({"problems": [MICRO, MICRO | {"from_step": 6, "until_step": 6}]}, "until_step must be above from_step"),
        ({"problems": [MICRO, MICRO | {"until_step": 5}], "sampler": {}}, "would count for nothing"),
        ({"problems": [MICRO, MICRO | {"from_step": 5}], "sampler": {}}, "would count for nothing"),
        ({"sampler": {"keep": [0.9, 0.1]}}, "keep must be two solve rates"),
        (
            {"problems": [MICRO, MICRO | {"from_step": 18}], "updates_per_rollout": 16},
            "enters at step 18, after the last rollout has begun at step 16 of 20",
        ),
        (
            {"reward_schedule": {"language": [{"from_step": 17, "weight": 1}]}, "updates_per_rollout": 16},
            "reward_schedule.language changes at step 17, after the last rollout",
        ),
        (
            {
                "sampling": {"temperature_schedule": [{"from_step": 19, "temperature": 0.7}]},
                "updates_per_rollout": 4,
            },
            "after the last rollout has begun at step 16 of 20",
        ),
        ({"stop": {"patience": 2}}, "held_out"),
        ({"stop": {"patience": 2}, "held_out": {"problems": [MICRO]}}, "held_out.every"),
        ({"stop": {"patience": 2}, "held_out": {"problems": [WITHOUT_GOLD], "every": 2}}, "has an answer to check"),
        ({"stop": {"patience": 0}, "held_out": {"problems": [MICRO], "every": 2}}, "patience"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        stage(**fields)


def test_sources_may_hand_over() -> None:
    stage(problems=[MICRO | {"until_step": 5}, MICRO | {"from_step": 5}])
    stage(problems=[MICRO | {"until_step": 30}])


def test_one_source_with_answers_is_enough_to_stop_by() -> None:
    stage(stop={"patience": 2}, held_out={"problems": [WITHOUT_GOLD, MICRO], "every": 2})


def test_since_when_the_weights_are_those_of_now() -> None:
    schedule = {"language": [{"from_step": 5, "weight": 1}], "length": [{"from_step": s, "weight": s} for s in (3, 12)]}
    found = stage(reward_schedule=schedule)
    assert [found.weights_since(step) for step in (0, 3, 4, 5, 6, 12, 13, 20)] == [0, 0, 3, 3, 5, 5, 12, 12]
    assert stage().weights_since(20) == 0


def test_the_largest_weight_of_each_reward() -> None:
    """What is paid for a while is paid: canaries are tried with it."""
    schedule = {
        "format": [{"from_step": 5, "weight": 0}],
        "language": [{"from_step": s, "weight": -s} for s in (3, 12)],
    }
    found = stage(rewards={"accuracy": 1, "format": 0.5}, reward_schedule=schedule)
    assert found.largest_weights() == {"accuracy": 1, "format": 0.5, "language": -12}


def test_the_longest_completion_is_of_a_step_that_is_made() -> None:
    schedule = [{"from_step": 10, "max_tokens": 512}, {"from_step": 20, "max_tokens": 2048}]
    assert stage(sampling={"max_tokens": 256, "length_schedule": schedule}).longest_completion() == 512
    assert stage(sampling={"max_tokens": 256}).longest_completion() == 256


def test_sampling_data_has_no_steps() -> None:
    sampling = {"temperature_schedule": [{"from_step": 1, "temperature": 0.5}]}
    with pytest.raises(ValidationError, match="temperature_schedule is for training"):
        SampleStage.model_validate({"model": "micro", "problems": [MICRO], "sampling": sampling})
