"""One response that may become an example, and one that does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ponder.ask import Reply
from ponder.own import Called
from ponder.records import Problem, Verdict
from ponder.reward.judged import Judged
from ponder.text.think import Response

__all__ = ["Candidate", "Rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Reply `number` to a problem, taken apart and verified. `text` is the whole response with its tags; `verdict` is
    None for a problem without gold, and `own` what functions of the user's own gave, by name."""

    problem: Problem
    number: int
    reply: Reply
    response: Response
    text: str
    verdict: Verdict | None
    own: Mapping[str, Called] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Example: gsm8k/17#2."""
        return f"{self.problem.id}#{self.number}"

    def judged(self, max_tokens: int) -> Judged:
        """The candidate as rewards see it. Tokens that a server did not count are 0."""
        return Judged(
            problem=self.problem,
            response=self.response,
            verdict=self.verdict or Verdict(outcome="cannot_tell", reason="the problem has no gold"),
            completion_tokens=self.reply.completion_tokens or 0,
            finish_reason=self.reply.finish_reason,
            max_tokens=max_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """What is not kept: `id` of a candidate, or of a pair of them, a `reason` that is counted, a `detail` to read."""

    id: str
    reason: str
    detail: str = ""
