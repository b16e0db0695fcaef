"""What a judge makes of a response, and what collects it beside sampling.

    begin(judged) as soon as a completion is there;  finish(all of them) -> Graded

The judges themselves are in `judge`, which knows whom to ask; rewards and rollouts know only this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ponder.own import Failure
from ponder.reward.judged import Judged

__all__ = ["Grade", "Graded", "Graders"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """`value` is from 0 to 1, and None where a judge has nothing to say of such a problem, or where a `failure` says
    why it said nothing: a failure is no grade, least of all 0."""

    value: float | None = None
    reason: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """The grades of each response by the names of the rewards, and their metrics."""

    grades: tuple[Mapping[str, Grade], ...]
    metrics: Mapping[str, float] = field(default_factory=dict)


class Graders(Protocol):
    """All judges of a stage."""

    def covers(self, gold: bool) -> bool:
        """Whether one of them can say something of problems with or without a gold."""
        ...

    def begin(self, judged: Judged) -> None:
        """Ask of a response at once, where that goes on beside sampling."""
        ...

    def finish(self, judged: Sequence[Judged]) -> Graded:
        """The grades of all responses, begun or not. Raises EndpointError where going on makes no sense."""
        ...
