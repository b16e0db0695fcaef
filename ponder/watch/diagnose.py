"""Plain words when a run cannot learn: from the metrics of the last steps to findings, each with what to do.

Pure functions over rows of metrics (see `keys`). A rule speaks only when the numbers it needs are there and the trouble
lasted the whole window (for length: its median, against that of the window before), so one odd step says nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from ponder.watch.metrics import Row

__all__ = ["Finding", "diagnose"]

_USELESS = 0.9  # of the groups alike: nine tenths of the sampling is wasted
_TRUNCATED = 0.5
_LOOPING = 0.3
_CANNOT_TELL = 0.2
_CONSTANT = 1e-6  # standard deviation of the reward
_COLLAPSED_ENTROPY = 0.02  # nats; below it 16 samples of one prompt are nearly always the same text
_LENGTH_FACTOR = 4.0  # R1-Zero's length grows over thousands of steps, not within a window
_COLLAPSED_LENGTH = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One verdict about a run. `name` is stable for tests and filters; `text` says what is seen and what to do."""

    name: str
    level: Literal["cannot learn", "warning"]
    text: str


def diagnose(rows: Sequence[Row], window: int = 10) -> tuple[Finding, ...]:
    """Findings about the last `window` rows, the gravest first; none before there are that many."""
    recent = rows[-window:]
    if len(recent) < window:
        return ()
    rules = (_truncated, _groups_alike, _reward_constant, _cannot_tell, _repetition, _entropy, _length)
    findings = [finding for rule in rules for finding in rule(rows, recent)]
    return tuple(sorted(findings, key=lambda finding: finding.level != "cannot learn"))


def _values(rows: Sequence[Row], key: str) -> list[float]:
    return [value for row in rows if (value := row.get(key)) is not None]


def _lowest(rows: Sequence[Row], key: str) -> float:
    """Lowest value of the window, minus infinity unless every row has one: then no `above` rule can speak."""
    values = _values(rows, key)
    return min(values) if len(values) == len(rows) else float("-inf")


def _highest(rows: Sequence[Row], key: str) -> float:
    """Highest value of the window, infinity unless every row has one: then no `below` rule can speak."""
    values = _values(rows, key)
    return max(values) if len(values) == len(rows) else float("inf")


def _mean(rows: Sequence[Row], key: str) -> float:
    return fmean(_values(rows, key))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _truncated(rows: Sequence[Row], recent: Sequence[Row]) -> list[Finding]:
    if _lowest(recent, "rollout/truncated") < _TRUNCATED:
        return []
    share = _mean(recent, "rollout/truncated")
    text = (
        f"truncated: {_percent(share)} of completions hit the length limit before they answered. Raise "
        "sampling.max_tokens; if the texts are loops (see repetition), lower optimizer.lr or start from a better base."
    )
    return [Finding(name="truncated", level="cannot learn", text=text)]


def _groups_alike(rows: Sequence[Row], recent: Sequence[Row]) -> list[Finding]:
    if _highest(recent, "groups/useful") > 1 - _USELESS:
        return []
    alike = 1 - _mean(recent, "groups/useful")
    wrong, right = (_values(recent, f"groups/all_{side}") for side in ("wrong", "right"))
    if wrong and right and fmean(right) > fmean(wrong):
        text = (
            f"no signal: {_percent(fmean(right))} of groups all right ({_percent(alike)} without any difference in "
            "reward). The problems are solved: stop here, or train on harder ones."
        )
    elif wrong and fmean(wrong) > 0:
        text = (
            f"no signal: {_percent(fmean(wrong))} of groups all wrong ({_percent(alike)} without any difference in "
            "reward). Take easier problems, a larger group_size, or a base that is rarely but not never right; look at "
            "reasons in rollouts/ in case the verifier cannot read the answers."
        )
    else:
        text = (
            f"no signal: {_percent(alike)} of groups have equal rewards. Take problems of mixed difficulty or a larger "
            "group_size."
        )
    return [Finding(name="groups alike", level="cannot learn", text=text)]


def _reward_constant(rows: Sequence[Row], recent: Sequence[Row]) -> list[Finding]:
    if _highest(recent, "reward/std") > _CONSTANT:
        return []
    text = (
        f"reward constant: every completion earned {_mean(recent, 'reward/mean'):.3g}, so no advantage differs from 0. "
        "Look at the rewards and reasons in rollouts/: a reward that everything or nothing earns teaches nothing."
    )
    return [Finding(name="reward constant", level="cannot learn", text=text)]


def _cannot_tell(rows: Sequence[Row], recent: Sequence[Row]) -> list[Finding]:
    if _lowest(recent, "rollout/cannot_tell") < _CANNOT_TELL:
        return []
    text = (
        f"verifier blind: it could not judge {_percent(_mean(recent, 'rollout/cannot_tell'))} of the completions. The "
        "reasons in rollouts/ say whether deadlines were too short or answers unreadable."
    )
    return [Finding(name="verifier blind", level="warning", text=text)]


def _repetition(rows: Sequence[Row], recent: Sequence[Row]) -> list[Finding]:
    if _lowest(recent, "rollout/repetition") < _LOOPING:
        return []
    text = (
        f"repetition: {_percent(_mean(recent, 'rollout/repetition'))} of completions end in a loop. Lower "
        "optimizer.lr, keep a KL term, or go back to an earlier checkpoint."
    )
    return [Finding(name="repetition", level="warning", text=text)]


def _entropy(rows: Sequence[Row], recent: Sequence[Row]) -> list[Finding]:
    if _highest(recent, "policy/entropy") > _COLLAPSED_ENTROPY:
        return []
    first = _values(rows, "policy/entropy")[0]
    text = (
        f"entropy collapse: {_mean(recent, 'policy/entropy'):.3f} nats per token (at the start {first:.3f}), so a "
        "group's completions are copies of each other. Raise clip_high (DAPO), lower optimizer.lr, or stop here if "
        "accuracy is where you want it."
    )
    return [Finding(name="entropy collapse", level="warning", text=text)]


def _length(rows: Sequence[Row], recent: Sequence[Row]) -> list[Finding]:
    key = "rollout/mean_tokens"
    before = rows[: -len(recent)][-len(recent) :]
    if not _values(before, key) or _lowest(recent, key) <= 0:
        return []
    old, new = median(_values(before, key)), median(_values(recent, key))
    if new > _LENGTH_FACTOR * old:
        text = (
            f"length explosion: completions grew from {old:.0f} to {new:.0f} tokens within {len(recent)} steps. Read "
            "some: if they ramble, lower optimizer.lr or add overlong_buffer_ratio to the objective."
        )
        return [Finding(name="length explosion", level="warning", text=text)]
    if new < _COLLAPSED_LENGTH * old:
        text = (
            f"length collapse: completions shrank from {old:.0f} to {new:.0f} tokens within {len(recent)} steps. Read "
            "some: guessing without thinking earns more than it should, or the format reward alone is being farmed."
        )
        return [Finding(name="length collapse", level="warning", text=text)]
    return []
