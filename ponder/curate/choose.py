"""The rules on all responses to one problem: pass rate, distinct solutions, best of n."""

import unicodedata
from collections.abc import Sequence

from ponder.curate.candidate import Candidate, Rejected
from ponder.own import Failure
from ponder.recipe.sample import Keep
from ponder.reward.combine import score

__all__ = ["choose", "normalized", "pass_rate"]


def pass_rate(candidates: Sequence[Candidate]) -> float | None:
    """Share of the replies to a problem that are right; None without gold or without replies."""
    replied = [one for one in candidates if not one.reply.failure]
    if not replied or replied[0].problem.gold is None:
        return None
    return sum(one.verdict is not None and one.verdict.outcome == "right" for one in replied) / len(replied)


def choose(
    candidates: Sequence[Candidate], keep: Keep, rate: float | None, max_tokens: int
) -> tuple[list[Candidate], list[Rejected]]:
    """Which of the candidates of one problem, all kept by the rules on one response, remain; `rate` is the pass rate
    of all its samples."""
    rejected: list[Rejected] = []

    def drop(dropped: Sequence[Candidate], reason: str, detail: str) -> None:
        rejected.extend(Rejected(id=one.id, reason=reason, detail=detail) for one in dropped)

    kept = list(candidates)
    if keep.pass_rate is not None and not (rate is not None and keep.pass_rate[0] <= rate <= keep.pass_rate[1]):
        drop(kept, "pass_rate", "pass rate not known" if rate is None else f"pass rate {rate:.3g}")
        return [], rejected
    if keep.distinct is not None:
        first = {normalized(one): one for one in reversed(kept)}
        different = [one for one in kept if first[normalized(one)] is one]
        drop([one for one in kept if first[normalized(one)] is not one], "repeated", "as an earlier one")
        if keep.best_of is None:
            drop(different[keep.distinct :], "enough", f"more than {keep.distinct} distinct solutions")
            different = different[: keep.distinct]
        kept = different
    if keep.best_of is not None:
        if keep.rewards.get("length"):
            uncounted = [one for one in kept if one.reply.completion_tokens is None]
            drop(uncounted, "length_unknown", "the server did not count the tokens that the reward 'length' is made of")
            kept = [one for one in kept if one.reply.completion_tokens is not None]
        for one in kept:
            if failure := _own_failure(one, keep):
                drop([one], "own_failed", failure.reason)
        kept = [one for one in kept if _own_failure(one, keep) is None]
        scored = {one.number: score(one.judged(max_tokens), keep.rewards, one.own) for one in kept}
        weighed = [name for name, weight in keep.rewards.items() if weight]
        if all(rewards[name] is None for rewards, _ in scored.values() for name in weighed):
            drop(kept, "not_ranked", f"none of the rewards {', '.join(weighed)} applies to the problem")
            return [], rejected
        order = sorted(kept, key=lambda one: (-scored[one.number][1], one.number))
        best = order[: min(keep.best_of, keep.distinct or keep.best_of)]
        drop(order[len(best) :], "not_best", f"not among the best {len(best)} by reward")
        kept = sorted(best, key=lambda one: one.number)
    return kept, rejected


def _own_failure(candidate: Candidate, keep: Keep) -> Failure | None:
    """Why one of the user's own rewards says nothing of the candidate, if one does not."""
    failures = (called.failure for name, called in candidate.own.items() if name in keep.rewards)
    return next((failure for failure in failures if failure is not None), None)


def normalized(candidate: Candidate) -> str:
    """Thinking, answer and calls without blanks, case and punctuation; signs of mathematics stay."""
    said = [f"{one.thinking or ''}\0{one.answer or ''}" for one in candidate.responses]
    said += [f"{call.name}\0{call.arguments}" for step in candidate.steps for call in step.tool_calls]
    text = unicodedata.normalize("NFKC", "\0".join(said)).casefold()
    return "".join(char for char in text if unicodedata.category(char)[0] in "LNSC" and not char.isspace())
