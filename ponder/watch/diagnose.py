"""Plain words when a run cannot learn: from the metrics of the last steps to findings, each with what to do.

Pure functions over rows of metrics (see `keys`). A rule speaks only when the numbers it needs are there and the trouble
lasted the whole window, so one odd step says nothing. What goes wrong while a run does learn is in `alarms`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from ponder.watch.metrics import Row, recent

__all__ = ["Finding", "diagnose", "why_hopeless"]

_USELESS = 0.9  # of the groups alike: nine tenths of the sampling is wasted
_TRUNCATED = 0.5
_CANNOT_TELL = 0.2
_CONSTANT = 1e-6  # standard deviation of the reward
_PROBED = 256
"""Completions of which one is right with a probability of 92 %, where one in a hundred is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One verdict about a run. `name` is stable for tests and filters; `text` says what is seen and what to do."""

    name: str
    level: Literal["cannot learn", "warning"]
    text: str


def diagnose(rows: Sequence[Row], window: int = 10, *, ended: bool = False) -> tuple[Finding, ...]:
    """Findings about the last `window` measurements, the gravest first; none before there are that many, but a run
    that has `ended` with fewer is judged by those it has.

    Steps without a metric are passed over: with several updates per rollout only the first of them tells of rollouts.
    """
    if ended:
        window = min(window, sum(row.get("rollout/truncated") is not None for row in rows)) or window
    rules = (_endless, _truncated, _groups_alike, _reward_constant, _cannot_tell)
    findings = [finding for rule in rules for finding in rule(rows, window)]
    return tuple(sorted(findings, key=lambda finding: finding.level != "cannot learn"))


def why_hopeless(rows: Sequence[Row], before: int) -> str | None:
    """Why a run from its first step on learns nothing and does not begin to, said once: by the first rollout with which
    256 completions were sampled, where not one update was made and nothing was right, held-out problems included.
    `before` is the step at which the newest rollout began."""
    sampled = {int(row["step"] or 0): row.get("rollout/completions") or 0.0 for row in rows}
    earlier = sum(count for step, count in sampled.items() if step <= before)
    if not earlier < _PROBED <= sum(sampled.values()):
        return None
    updated = any(row.get("optimizer/lr") is not None for row in rows)
    if updated or any(row.get(key) for row in rows for key in ("rollout/accuracy", "evaluation/pass@1")):
        return None
    return (
        f"nothing to learn from: of {sum(sampled.values()):,.0f} completions none was right, and no group earned "
        "different rewards, so that no update was made. Take easier problems, show some worked ones in the question "
        "(`prompt_suffix` of the source), or teach the form first by a stage `sft` with `preset: cold-start`; "
        "`ponder try MODEL --problems ...` looks at others in two minutes. The same command goes on all the same"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _endless(rows: Sequence[Row], window: int) -> list[Finding]:
    shares = {name: recent(rows, f"environment/cut_{name}", window) for name in ("turns", "seconds")}
    name, cut = max(shares.items(), key=lambda one: fmean(one[1] or [0.0]))
    if not cut or min(cut) < _TRUNCATED:
        return []
    text = (
        f"endless: {_percent(fmean(cut))} of conversations are ended by the limit environment.{name}, so that none of "
        f"their answers counts. Where a class of your own answers, its `answer` has to give None at the end; where the "
        f"model calls tools without end, raise environment.{name}, or start from a model that answers."
    )
    return [Finding(name="endless", level="cannot learn", text=text)]


def _truncated(rows: Sequence[Row], window: int) -> list[Finding]:
    shares = recent(rows, "rollout/truncated", window)
    if not shares or min(shares) < _TRUNCATED or _endless(rows, window):
        return []
    text = (
        f"truncated: {_percent(fmean(shares))} of completions hit the length limit before they answered. Raise "
        "sampling.max_tokens; if the texts are loops (see repetition), lower optimizer.lr or start from a better base."
    )
    return [Finding(name="truncated", level="cannot learn", text=text)]


def _groups_alike(rows: Sequence[Row], window: int) -> list[Finding]:
    useful = recent(rows, "groups/useful", window)
    by_critic = bool(recent(rows, "loss/value", 1))  # which tells good from bad without a group
    if not useful or max(useful) > 1 - _USELESS or by_critic:
        return []
    alike = 1 - fmean(useful)
    wrong, right = (fmean(recent(rows, f"groups/all_{side}", window) or [0.0]) for side in ("wrong", "right"))
    if right > wrong:
        text = (
            f"no signal: {_percent(right)} of groups all right ({_percent(alike)} without any difference in reward). "
            "The problems are solved: stop here, or train on harder ones."
        )
    elif wrong > 0:
        text = (
            f"no signal: {_percent(wrong)} of groups all wrong ({_percent(alike)} without any difference in reward). "
            "Take easier problems, a larger group_size, or a base that is rarely but not never right; look at reasons "
            "in rollouts/ in case the verifier cannot read the answers."
        )
    else:
        text = (
            f"no signal: {_percent(alike)} of groups have equal rewards. Take problems of mixed difficulty or a larger "
            "group_size."
        )
    return [Finding(name="groups alike", level="cannot learn", text=text)]


def _reward_constant(rows: Sequence[Row], window: int) -> list[Finding]:
    spreads, means = recent(rows, "reward/std", window), recent(rows, "reward/mean", window)
    if not spreads or not means or max(spreads) > _CONSTANT:
        return []
    text = (
        f"reward constant: every completion earned {fmean(means):.3g}, so no advantage differs from 0. Look at the "
        "rewards and reasons in rollouts/: a reward that everything or nothing earns teaches nothing."
    )
    return [Finding(name="reward constant", level="cannot learn", text=text)]


def _cannot_tell(rows: Sequence[Row], window: int) -> list[Finding]:
    shares = recent(rows, "rollout/cannot_tell", window)
    if not shares or min(shares) < _CANNOT_TELL:
        return []
    text = (
        f"verifier blind: it could not judge {_percent(fmean(shares))} of the completions. The reasons in rollouts/ "
        "say whether deadlines were too short or answers unreadable."
    )
    return [Finding(name="verifier blind", level="warning", text=text)]
