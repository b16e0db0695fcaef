"""The course of a plan: how many samples to begin, when enough have ended, which of them is the reply. Pure.

The service, `ponder sample` and `ponder eval` hand their samples in as they end and do what is said here, so that all
three give the same reply for the same samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.compute.reading import Read
from ponder.compute.vote import Same, Vote, elect, is_settled
from ponder.recipe.compute import ComputePlan
from ponder.records import Outcome

__all__ = ["Choice", "Ended", "abstention", "choose", "to_begin"]

_ORDER: Sequence[Outcome] = ("right", "cannot_tell", "wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A sample that has ended: what its answer says, its tokens, its score where a reward model gave one."""

    read: Read
    tokens: int
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`sample` is the number of the reply's sample; `over` says that nothing is to be waited for; `abstains` that too
    few agree, so that no answer is to be given; `note` what a reader should know."""

    sample: int
    over: bool
    vote: Vote | None = None
    abstains: bool = False
    note: str | None = None


def to_begin(plan: ComputePlan, ended: Sequence[Ended | None]) -> int:
    """How many samples are to be under way or ended now: all at once, but retries one after the other."""
    if not plan.retries:
        return plan.samples
    if any(one is None or _outcome(one) == "right" for one in ended):
        return max(1, len(ended))
    return min(len(ended) + 1, plan.samples)


def choose(plan: ComputePlan, ended: Sequence[Ended | None], same: Same) -> Choice | None:
    """The choice among the samples that have ended, None in place of those that have not; None where none has."""
    known = [number for number, one in enumerate(ended) if one is not None]
    if not known:
        return None
    if plan.vote is not None:
        return _voted(plan, plan.vote, ended, same)
    over = len(known) == to_begin(plan, ended)
    if plan.best_of is not None:
        scores = {number: one.score for number, one in enumerate(ended) if one is not None and one.score is not None}
        if not scores:
            return Choice(sample=known[0], over=over, note="no sample has a score, so the first one stands")
        return Choice(sample=max(scores, key=lambda number: (scores[number], -number)), over=over)
    best = min(known, key=lambda number: (_ORDER.index(_outcome(ended[number])), number))
    return Choice(sample=best, over=over)


def abstention(vote: Vote, abstain_below: float) -> str:
    """What is said in place of an answer."""
    most = f"{vote.votes} of {vote.of} samples agree on the most frequent answer" if vote.votes else "no sample answers"
    return f"No answer: {most}, and {100 * abstain_below:g} % were asked for."


def _voted(plan: ComputePlan, of: int, ended: Sequence[Ended | None], same: Same) -> Choice:
    whole = [*ended, *[None] * (of - len(ended))]
    done = sum(one is not None for one in whole)
    answers = [None if one is None else one.read.answer for one in whole]
    right = [_outcome(one) == "right" for one in whole]
    vote = elect(answers, same, of=of, done=done, right_k=right)
    if done == of:
        words = [None if one is None else one.read.words for one in whole]
        unvalued = [word if answer is None else None for word, answer in zip(words, answers, strict=True)]
        if elect(unvalued, str.__eq__, of=of, done=done).votes > vote.votes:
            answers, vote = words, elect(words, str.__eq__, of=of, done=done)
    over = done == of or (plan.stop_early and is_settled(answers, vote, plan.abstain_below))
    mine = [i for i, (a, c) in enumerate(zip(answers, vote.clusters, strict=True)) if a == c and c == vote.answer]
    tokens = {i: one.tokens for i, one in enumerate(whole) if one is not None}
    chosen = min([i for i in mine if i in tokens] or list(tokens)[:1], key=lambda i: (tokens[i], i))
    return Choice(
        sample=chosen,
        over=over,
        vote=vote,
        abstains=plan.abstain_below is not None and vote.share < plan.abstain_below,
        note=None if vote.answer is not None or not over else "no sample gives an answer, so nothing was voted on",
    )


def _outcome(one: Ended | None) -> Outcome:
    verdict = None if one is None else one.read.verdict
    return "cannot_tell" if verdict is None else verdict.outcome
