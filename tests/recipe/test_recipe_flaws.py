"""Flaws of the embedded world's data, which recipes ask for by share: refused where they would count for nothing."""

from typing import Any

import pytest

from ponder.errors import RecipeError
from ponder.pipeline.preflight import check_recipe
from ponder.recipe import Recipe, RewardModelStage


def rewarded(loss: str, **flaw: float) -> RewardModelStage:
    return RewardModelStage.model_validate({"model": "micro", "loss": loss, "data": [{"source": "micro"} | flaw]})


def taught(**fields: Any) -> Recipe:
    stage = {"kind": "sft", "model": "micro", "examples": [{"source": "micro"} | fields]}
    return Recipe.model_validate({"name": "r", "stages": {"taught": stage}})


def test_labels_have_no_share_of_pairs() -> None:
    assert rewarded("pairwise", long_winded=0.3).data[0].model_dump()["long_winded"] == 0.3
    with pytest.raises(ValueError, match="`long_winded` is a share of pairs"):
        rewarded("pointwise", long_winded=0.3)
    rewarded("pointwise", long_winded=0)


def test_only_general_answers_ramble() -> None:
    check_recipe(taught(tasks=["equation", "fact"], rambling=0.2))
    with pytest.raises(RecipeError, match=r"stage 'taught': `rambling` is a share of .* of the tasks equation none"):
        check_recipe(taught(tasks=["equation"], rambling=0.2))


def test_what_is_not_asked_for_leaves_no_trace_in_the_settings() -> None:
    assert "long_winded" not in rewarded("pairwise").data[0].model_dump()
    assert "rambling" not in str(taught().model_dump())
