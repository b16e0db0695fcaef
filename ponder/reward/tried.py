"""What the user's own functions make of the canaries, and of the golds' own answers, before anything is learnt.

A value of another type is an error at once, and so is a function that fails on everything. The rest is for the user to
judge, and is said: what canaries are paid, what cannot be told, a verifier that finds no gold's own answer right.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean

from ponder.errors import LearningError
from ponder.own import Failure
from ponder.records import OwnGold
from ponder.reward.judging import Judgement

__all__ = ["check_own_values"]


def check_own_values(canaries: Sequence[Judgement], answered: Sequence[Judgement], say: Callable[[str], None]) -> None:
    """LearningError for what cannot be a reward or a verdict, lines for what may be meant so. `answered` are responses
    that give the gold's answer."""
    tried = [*canaries, *answered]
    failures: defaultdict[str, list[Failure]] = defaultdict(list)
    calls: Counter[str] = Counter()
    for judgement in tried:
        calls.update(judgement.called())
        for failure in judgement.failures():
            failures[failure.function].append(failure)
    for function, failed in failures.items():
        wrong = next((failure for failure in failed if failure.cause == "value"), None)
        if wrong is not None:
            raise LearningError(f"{wrong.reason}. Mend it before anything is learnt from it.")
        if len(failed) == calls[function]:
            raise LearningError(
                f"{function} fails on all of the {len(failed)} responses it was tried on before training: "
                f"{failed[0].reason}.\n{failed[0].traceback}".rstrip()
            )
        say(
            f"WARNING: {function} fails on {len(failed)} of {calls[function]} responses it was tried on, such as: "
            f"{failed[0].reason}. Nothing is learnt from such a response"
        )
    _say_payments(canaries, say)
    _say_verdicts(answered, say)


def _say_payments(canaries: Sequence[Judgement], say: Callable[[str], None]) -> None:
    paid: defaultdict[str, list[float]] = defaultdict(list)
    for judgement in canaries:
        for name, called in judgement.own.items():
            if called.value is not None:
                paid[name].append(called.value)
    for name, values in paid.items():
        least, most = min(values), max(values)
        say(
            f"{name} gives completions that answer nothing {least:g}"
            + (f" to {most:g}, {fmean(values):.3g} on average" if most > least else " throughout")
        )


def _say_verdicts(answered: Sequence[Judgement], say: Callable[[str], None]) -> None:
    verdicts: defaultdict[str, list[str]] = defaultdict(list)
    for judgement in answered:
        if isinstance(judgement.judged.problem.gold, OwnGold):
            verdicts[judgement.judged.problem.gold.function].append(judgement.judged.verdict.outcome)
    for function, outcomes in verdicts.items():
        if "right" not in outcomes:
            say(
                f"WARNING: {function} finds none of {len(outcomes)} golds' own answers right, each written as the "
                "answer to its problem; a verifier that finds nothing right teaches nothing"
            )
