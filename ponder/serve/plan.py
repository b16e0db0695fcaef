"""What a request wants beyond one sample: the keys of its `ponder`, and how much it may think."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ponder.compute.check import read_check
from ponder.errors import DataError
from ponder.recipe.compute import ComputePlan
from ponder.records import Gold
from ponder.serve.fault import Fault

__all__ = ["Own", "Wanted", "thinking_tokens", "wanted"]

_PARAM = "ponder"
Tokens = Annotated[int, Field(ge=1)]


class Own(BaseModel):
    """The object `ponder` of a request: see `ComputePlan`. `check` says what the answer is checked against, `samples`
    asks for all samples in the reply."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    vote: int | None = None
    stop_early: bool = True
    abstain_below: float | None = None
    best_of: int | None = None
    retries: int = 0
    audit: bool = False
    check: Mapping[str, Any] | None = None
    samples: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A plan, the gold of its check, and whether all samples are to be in the reply."""

    plan: ComputePlan
    gold: Gold | None
    samples: bool


def wanted(own: Own, thinking: int | None, choices: int, most: int, tools: bool) -> Wanted | None:
    """What a request wants of `own` and of `thinking` tokens; None where one sample as it comes will do.

    Fault 400 for a plan or a check that is none. Takes its time with a check of many tests or of a schema.
    """
    if own == Own(samples=own.samples):
        return None
    fields = own.model_dump(exclude={"check", "samples"}, exclude_unset=True) | {"thinking_tokens": thinking}
    try:
        plan = ComputePlan.model_validate(fields)
    except ValidationError as error:
        one = error.errors(include_url=False)[0]
        place = ".".join(map(str, (_PARAM, *one["loc"])))
        raise Fault(400, f"{place}: {one['msg'].removeprefix('Value error, ')}", param=_PARAM) from None
    if plan.samples > most:
        raise Fault(400, f"{_PARAM} asks for {plan.samples} samples, and at most {most} may be.", param=_PARAM)
    if choices > 1:
        raise Fault(400, f"n is {choices}, but {_PARAM} chooses one reply: leave n out.", param="n")
    if tools:
        raise Fault(400, f"{_PARAM} chooses among answers, and a call of a tool is none: leave one out.", param="tools")
    if plan.retries and own.check is None:
        raise Fault(400, "retries ask again after a check that fails, and there is no check.", param=_PARAM)
    try:
        gold = None if own.check is None else read_check(own.check)
    except DataError as error:
        raise Fault(400, f"{_PARAM}.check: {error}", param=_PARAM) from None
    return Wanted(plan=plan, gold=gold, samples=own.samples)


def thinking_tokens(budget: int | None, thinking: int | None) -> int | None:
    """The most tokens of thinking, by vLLM's `thinking_token_budget` or by `thinking.budget_tokens`; Fault 400 where
    both are given and differ."""
    if budget is not None and thinking is not None and budget != thinking:
        raise Fault(
            400,
            f"thinking_token_budget is {budget} and thinking.budget_tokens {thinking}: give one of them.",
            param="thinking_token_budget",
        )
    return thinking if budget is None else budget
