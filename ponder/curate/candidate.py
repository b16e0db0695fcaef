"""One response that may become an example, and one that does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ponder.ask import Reply
from ponder.own import Called
from ponder.records import Problem, Step, Verdict
from ponder.reward.judged import Judged
from ponder.text.think import Response

__all__ = ["Candidate", "Rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Reply `number` to a problem, taken apart and verified. `text` is the whole response with its tags; `verdict` is
    None for a problem without gold, and `own` what functions of the user's own gave, by name. Of a conversation these
    are of its last turn; `steps` are the turns before, and `fault` says which of them nobody should learn, and why."""

    problem: Problem
    number: int
    reply: Reply
    response: Response
    text: str
    verdict: Verdict | None
    own: Mapping[str, Called] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    fault: str = ""

    @property
    def id(self) -> str:
        """Example: gsm8k/17#2."""
        return f"{self.problem.id}#{self.number}"

    @property
    def responses(self) -> tuple[Response, ...]:
        """All that the model wrote, turn by turn, the response last."""
        before = (
            Response(thinking=step.thinking, answer=step.content or None, well_formed=True, problem="")
            for step in self.steps
        )
        return (*before, self.response)

    def judged(self, max_tokens: int) -> Judged:
        """The candidate as rewards see it. Tokens that a server did not count are 0."""
        return Judged(
            problem=self.problem,
            response=self.response,
            verdict=self.verdict or Verdict(outcome="cannot_tell", reason="the problem has no gold"),
            completion_tokens=self.reply.completion_tokens or 0,
            finish_reason=self.reply.finish_reason,
            max_tokens=max_tokens,
            turns=() if self.reply.talk is None else self.reply.talk.messages,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """What is not kept: `id` of a candidate, or of a pair of them, a `reason` that is counted, a `detail` to read."""

    id: str
    reason: str
    detail: str = ""
