"""What a reward sees: one completion of one problem, taken apart and judged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ponder.records import FinishReason, Message, Problem, Verdict
from ponder.text.think import Response

__all__ = ["Judged", "RewardFunction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """`response` is the prefill and the completion taken apart; `completion_tokens` counts the sampled tokens, the
    stop token included, and `max_tokens` is the limit they were sampled under. `preference` is what the reward model of
    the problem's route makes of the response; None where none is asked. `grades` are what judges give, by reward.
    `turns` are those of a conversation after its first prompt (docs/tools.md), of which the response is the last; none
    where there was but one."""

    problem: Problem
    response: Response
    verdict: Verdict
    completion_tokens: int
    finish_reason: FinishReason
    max_tokens: int
    preference: float | None = None
    grades: Mapping[str, float | None] = field(default_factory=dict)
    turns: tuple[Message, ...] = ()


RewardFunction = Callable[[Judged], float | None]
"""None: the reward does not apply to this problem or response, and is left out of the sum."""
