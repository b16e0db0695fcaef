"""What the judges of an `rl` stage would be asked, and what their endpoints would charge."""

from collections.abc import Iterator

from ponder.pipeline.forecast import Line
from ponder.pipeline.memory import PROMPT_TOKENS
from ponder.recipe.endpoint import ByEndpoint
from ponder.recipe.judges import JudgedReward
from ponder.recipe.stages import RlStage

__all__ = ["charged", "judging"]

_ASKED_TOKENS = 500
"""Of a question beside the problem's own prompt: what to do, a reference or criteria, and the answer."""
_REPLY_TOKENS = 120
"""Three sentences and a verdict; a judge that thinks takes more."""


def judging(stage: RlStage, updates: int) -> Iterator[Line]:
    """A line for each judge."""
    each = stage.problems_per_step * stage.group_size
    for name, judge in stage.judges().items():
        asked = f"{name}: at most {each:,} answers an update"
        if not isinstance(judge.by, ByEndpoint):
            yield "judge", f"{asked}, by {judge.by.model} after sampling"
            continue
        cost = _charge(judge, each * updates)
        told = "its price is not known (price_per_million_input, price_per_million_output)"
        if cost is not None:
            told = (
                f"at most about {cost:,.2f} for {updates:,} updates, {PROMPT_TOKENS + _ASKED_TOKENS} tokens in and "
                f"{_REPLY_TOKENS} out assumed"
            )
        yield "judge", f"{asked}, by {judge.by.endpoint.model} beside sampling; {told}"


def charged(stage: RlStage, updates: int) -> float:
    """The most that is paid to endpoints, where their prices are known."""
    asked = updates * stage.problems_per_step * stage.group_size
    return sum(_charge(judge, asked) or 0.0 for judge in stage.judges().values())


def _charge(judge: JudgedReward, asked: int) -> float | None:
    if not isinstance(judge.by, ByEndpoint):
        return None
    into, out = judge.by.endpoint.price_per_million_input, judge.by.endpoint.price_per_million_output
    if into is None or out is None:
        return None
    return asked * (into * (PROMPT_TOKENS + _ASKED_TOKENS) + out * _REPLY_TOKENS) / 1e6
