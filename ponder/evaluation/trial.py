"""What a function of the user's own gave on stored rollouts, in lines for people: pure, nothing is called here."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from ponder.own import Called
from ponder.records import Rollout

__all__ = ["Tried", "reward_lines", "verifier_lines"]

_BARS, _BAR_WIDTH = 10, 40
_EXAMPLES = 3
_SHOWN = 160
_FAULTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One call, and the rollout of update `step` it was made on."""

    step: int
    rollout: Rollout
    called: Called


def reward_lines(tried: Sequence[Tried]) -> Iterator[str]:
    """How the values are spread, whether they tell completions of one problem apart, who gets most and least."""
    values = sorted(float(one.called.value) for one in tried if one.called.value is not None)
    none = sum(one.called.value is None and one.called.failure is None for one in tried)
    yield from _calls(tried)
    if none:
        yield f"{none} of {len(tried)}: None, where it does not apply"
    if not values:
        return
    yield f"least {values[0]:.4g}, median {median(values):.4g}, mean {fmean(values):.4g}, most {values[-1]:.4g}"
    yield from _histogram(values)
    by_outcome: defaultdict[str, list[float]] = defaultdict(list)
    groups: defaultdict[tuple[int, str], set[float]] = defaultdict(set)
    sizes: Counter[tuple[int, str]] = Counter()
    for one in tried:
        if one.called.value is not None:
            key = one.step, one.rollout.problem.id
            by_outcome[one.rollout.verdict.outcome].append(one.called.value)
            groups[key].add(one.called.value)
            sizes[key] += 1
    yield "mean by verdict: " + ", ".join(
        f"{outcome} {fmean(some):.4g} ({len(some)})" for outcome, some in sorted(by_outcome.items())
    )
    several = [key for key, size in sizes.items() if size > 1]
    if several:
        apart = sum(len(groups[key]) > 1 for key in several) / len(several)
        yield f"differs within {apart:.0%} of the groups with several completions here: only differences teach"
    ranked = sorted((one for one in tried if one.called.value is not None), key=lambda one: -one.called.value)
    for title, some in (("highest", ranked[:_EXAMPLES]), ("lowest", ranked[: -_EXAMPLES - 1 : -1])):
        yield f"{title}:"
        yield from (f"  {one.called.value:.4g}  {_example(one)}" for one in some)


def verifier_lines(tried: Sequence[Tried]) -> Iterator[str]:
    """Its verdicts beside those that are stored, and where the two differ."""
    yield from _calls(tried)
    pairs: Counter[tuple[str, str]] = Counter()
    differing = []
    for one in tried:
        outcome = "failed" if one.called.failure is not None else one.called.value["outcome"]
        pairs[one.rollout.verdict.outcome, outcome] += 1
        if outcome != one.rollout.verdict.outcome:
            differing.append((outcome, one))
    for (stored, now), count in sorted(pairs.items()):
        yield f"stored {stored}, now {now}: {count}"
    if differing:
        yield "where they differ:"
        yield from (f"  {outcome}: {_example(one)}" for outcome, one in differing[:_EXAMPLES])


def _calls(tried: Sequence[Tried]) -> Iterator[str]:
    seconds = [one.called.seconds for one in tried if one.called.failure is None]
    if seconds:
        yield f"time of a call: median {1e3 * median(seconds):.3g} ms, longest {1e3 * max(seconds):.3g} ms"
    failures = [one.called.failure for one in tried if one.called.failure is not None]
    if not failures:
        yield "no call failed"
        return
    yield f"{len(failures)} of {len(tried)} calls failed; nothing would be learnt from these completions:"
    places = Counter(failure.reason.partition(" raises ")[0] for failure in failures)
    for place, count in places.most_common(_FAULTS):
        first = next(failure for failure in failures if failure.reason.partition(" raises ")[0] == place)
        yield f"  {count} times, such as: {first.reason}"
        yield from (f"    {line}" for line in first.traceback.splitlines())


def _histogram(values: Sequence[float]) -> Iterator[str]:
    """Ten equal stretches from the least to the greatest; one line where all are the same."""
    least, width = values[0], (values[-1] - values[0]) / _BARS
    if width == 0:
        yield f"every value is {least:.4g}: nothing can be learnt from it"
        return
    counts = Counter(min(_BARS - 1, int((value - least) / width)) for value in values)
    for bar in range(_BARS):
        marks = "#" * -(-counts[bar] * _BAR_WIDTH // max(counts.values()))
        yield f"  {least + bar * width:>9.3g} to {least + (bar + 1) * width:<9.3g} {counts[bar]:>6}  {marks}".rstrip()


def _example(one: Tried) -> str:
    text = " ".join(one.rollout.completion.text.split())
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} ... {text[-_SHOWN // 2 :]}"
    return f"{one.rollout.problem.id}, step {one.step}, {one.rollout.verdict.outcome}: {shown!r}"
