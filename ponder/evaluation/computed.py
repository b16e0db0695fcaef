"""What a plan of more than one sample makes of an evaluation: the reply to each problem, and how good it is.

The samples are those of the evaluation, in their order, and the choice is the one that the service makes of them. With
golds at hand, `retries` ask how much a checker gains that stops at the first right answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ponder.compute.course import Ended, choose, to_begin
from ponder.compute.reading import Read, same_of
from ponder.errors import DataError
from ponder.evaluation.estimate import bootstrap_interval
from ponder.evaluation.results import JudgedCompletion, ProblemResult
from ponder.recipe.compute import ComputePlan
from ponder.records import Problem
from ponder.text.template import Template
from ponder.text.think import Response
from ponder.verify.claims import find_claims

__all__ = ["Computed", "Score", "computed"]

Score = Callable[[Problem, Response], float | None]
"""A reward model's score of a response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """`right` is the share of problems whose reply is right, `answered` the share that got one, `of_answered` the share
    of right ones among these (None where there are none). `tokens` and `samples` are means per problem; `claims` counts
    the equations in the thinking of the replies by outcome, where they were looked at."""

    right: float
    interval: tuple[float, float]
    answered: float
    of_answered: float | None
    tokens: float
    samples: float
    claims: dict[str, int] | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "right": self.right,
            "right_interval": list(self.interval),
            "answered": self.answered,
            "right_of_answered": self.of_answered,
            "mean_tokens": self.tokens,
            "mean_samples": self.samples,
            **({} if self.claims is None else {"claims": self.claims}),
        }


def computed(
    results: Sequence[ProblemResult], plan: ComputePlan, template: Template, score: Score | None, seed: int
) -> Computed:
    """What the plan makes of the first samples of each problem. DataError where a problem has too few, or no gold."""
    rights: list[float] = []
    answered, tokens, samples = 0, 0, 0
    claims = {"right": 0, "wrong": 0, "cannot_tell": 0}
    for result in results:
        if len(result.samples) < plan.samples or result.problem.gold is None:
            raise DataError(
                f"The plan takes {plan.samples} samples of every problem and its gold, but {result.problem.id!r} has "
                f"{len(result.samples)} samples and {'a' if result.problem.gold is not None else 'no'} gold: evaluate "
                f"with --samples {plan.samples}, or ask for less."
            )
        responses = [template.split(s.text, finished=s.finish_reason == "stop") for s in result.samples]
        ended: list[Ended | None] = []
        while (more := to_begin(plan, ended)) > len(ended):
            for number in range(len(ended), more):
                ended.append(_ended(result, responses[number], result.samples[number], score))
        choice = choose(plan, ended, same_of(result.problem.gold))
        assert choice is not None
        is_right = not choice.abstains and result.samples[choice.sample].verdict.outcome == "right"
        rights.append(float(is_right))
        answered += not choice.abstains
        tokens += sum(one.tokens for one in ended if one is not None)
        samples += len(ended)
        for claim in find_claims(responses[choice.sample].thinking or "") if plan.audit else ():
            claims[claim.outcome] += 1
    return Computed(
        right=fmean(rights),
        interval=bootstrap_interval(rights, seed=seed),
        answered=answered / len(results),
        of_answered=sum(rights) / answered if answered else None,
        tokens=tokens / len(results),
        samples=samples / len(results),
        claims=claims if plan.audit else None,
    )


def _ended(result: ProblemResult, response: Response, sample: JudgedCompletion, score: Score | None) -> Ended:
    return Ended(
        read=Read(answer=sample.verdict.answer, verdict=sample.verdict),
        tokens=sample.tokens,
        score=None if score is None else score(result.problem, response),
    )
