"""Responses verified, and shown to the rewards of the user's own, in the pool's workers.

    Judged without a verdict -> verifier -> each own reward in turn -> Judgement

An own reward sees the verdict, but not what a reward model makes of the response.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from ponder.errors import VerifierError
from ponder.own import Called, Failure
from ponder.recipe.own import OwnUse
from ponder.records import OwnGold, Verdict
from ponder.reward.grade import Grade
from ponder.reward.judged import Judged
from ponder.verify.pool import VerifierPool

__all__ = ["UNCHECKED", "Judgement", "after_verdict", "judge"]

UNCHECKED = Verdict(outcome="cannot_tell", reason="no answer to check: a reward model scores it")
"""The verdict on a response to a problem without gold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A judged response, and what the user's own functions and judges gave for it, by name."""

    judged: Judged
    own: Mapping[str, Called] = field(default_factory=dict)
    grades: Mapping[str, Grade] = field(default_factory=dict)

    def graded(self, grades: Mapping[str, Grade]) -> "Judgement":
        """The same with what judges gave."""
        values = {name: grade.value for name, grade in grades.items()}
        return replace(self, judged=replace(self.judged, grades=values), grades=grades)

    def called(self) -> tuple[str, ...]:
        """The own functions that were asked: no verifier is where there is no answer."""
        gold = self.judged.problem.gold
        asked = isinstance(gold, OwnGold) and self.judged.response.answer is not None
        return (*([gold.function] if asked and isinstance(gold, OwnGold) else []), *self.own)

    def failures(self) -> tuple[Failure, ...]:
        """What gave no value: own rewards, the own verifier, of which the verdict tells, and judges."""
        gold, verdict = self.judged.problem.gold, self.judged.verdict
        failed = [called.failure for called in self.own.values() if called.failure is not None]
        failed += [grade.failure for grade in self.grades.values() if grade.failure is not None]
        if isinstance(gold, OwnGold) and verdict.outcome == "cannot_tell":
            failed.insert(0, Failure(function=gold.function, cause="exception", reason=verdict.reason))
        return tuple(failed)


def judge(pool: VerifierPool, judged: Judged, uses: Sequence[OwnUse] = ()) -> Future[Judgement]:
    """Have a response verified, and then given to the own functions; its verdict so far counts for nothing."""
    gold = judged.problem.gold
    if gold is not None:
        return after_verdict(pool, pool.submit(judged.response.answer, gold), judged, uses)
    future: Future[Judgement] = Future()
    _ask(pool, Judgement(judged=replace(judged, verdict=UNCHECKED)), uses, future)
    return future


def after_verdict(
    pool: VerifierPool, verdict: Future[Verdict], judged: Judged, uses: Sequence[OwnUse]
) -> Future[Judgement]:
    """Give a response to the own functions as soon as its verdict is there."""
    future: Future[Judgement] = Future()

    def verified(done: Future[Verdict]) -> None:
        if not _failed(done, future):
            _ask(pool, Judgement(judged=replace(judged, verdict=done.result())), uses, future)

    verdict.add_done_callback(verified)
    return future


def _ask(pool: VerifierPool, judgement: Judgement, uses: Sequence[OwnUse], future: Future[Judgement]) -> None:
    """Call the first of the functions, and the others when it is done."""
    if not uses:
        future.set_result(judgement)
        return
    first, *rest = uses

    def called(done: Future[Called]) -> None:
        if not _failed(done, future):
            known = replace(judgement, own={**judgement.own, first.function: done.result()})
            _ask(pool, known, rest, future)

    try:
        pool.call(first.role, first.function, judgement.judged).add_done_callback(called)
    except VerifierError as error:  # the pool has been closed in the meantime
        future.set_exception(error)


def _failed(done: Future[Verdict] | Future[Called], future: Future[Judgement]) -> bool:
    """Whether a step came to nothing, which its future then says."""
    if done.cancelled():
        future.cancel()
    elif (error := done.exception()) is not None:
        future.set_exception(error)
    return done.cancelled() or done.exception() is not None
