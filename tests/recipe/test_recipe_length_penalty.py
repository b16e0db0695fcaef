"""The penalty on length is one formula under two names, and is paid once."""

from typing import Any

import pytest
from pydantic import ValidationError

from ponder.recipe.stages import RlStage

LATER = {"length": [{"from_step": 3, "weight": 1.0}]}
NEVER = {"length": [{"from_step": 3, "weight": 0.0}]}


def stage(**fields: Any) -> RlStage:
    given = {"model": "micro", "problems": [{"source": "micro"}], "steps": 9, **fields}
    return RlStage.model_validate(given)


@pytest.mark.parametrize("objective", ["dapo", "cispo", {"overlong_buffer_ratio": 0.5}])
@pytest.mark.parametrize(
    "paid", [{"rewards": {"accuracy": 1.0, "length": 0.5}}, {"reward_schedule": LATER}], ids=["rewards", "schedule"]
)
def test_both_names_of_the_penalty_are_refused(objective: Any, paid: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="paid twice") as caught:
        stage(objective=objective, **paid)
    assert "overlong_buffer_ratio to null" in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"objective": "dapo"},
        {"objective": {"preset": "dapo", "overlong_buffer_ratio": None}, "rewards": {"accuracy": 1.0, "length": 1.0}},
        {"objective": "grpo", "rewards": {"accuracy": 1.0, "length": 1.0}},
        {"objective": "dapo", "rewards": {"accuracy": 1.0, "length": 0.0}},  # shown, not paid
        {"objective": "dapo", "reward_schedule": NEVER},
    ],
)
def test_either_name_alone_is_paid(fields: dict[str, Any]) -> None:
    stage(**fields)
