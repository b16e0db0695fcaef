"""What the rollouts of one step show, as the metrics `rollout/...`, `groups/...` and `reward/...`."""

from collections.abc import Iterable, Sequence
from statistics import fmean, pstdev

from ponder.recipe.judges import JUDGES
from ponder.recipe.own import is_own
from ponder.records import Completion, Group, Rollout
from ponder.text.language import language_share
from ponder.text.reflection import count_reflection
from ponder.text.template import Template
from ponder.watch.loops import ends_in_loop

__all__ = ["summarize_groups"]


def summarize_groups(groups: Sequence[Group], template: Template) -> dict[str, float]:
    """The metrics of one step's groups by key; see docs/metrics.md. Empty for no groups."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    if not rollouts:
        return {}
    return _of_completions(rollouts, template) | _of_groups(groups) | _of_rewards(rollouts) | _of_talks(rollouts)


def _of_completions(rollouts: Sequence[Rollout], template: Template) -> dict[str, float]:
    lengths = [len(r.completion.token_ids) for r in rollouts]
    checked = [r for r in rollouts if r.problem.gold is not None]
    responses = [template.split(r.completion.text, finished=r.completion.finish_reason == "stop") for r in rollouts]
    metrics = {
        "rollout/completions": float(len(rollouts)),
        "rollout/tokens": float(sum(lengths)),
        "rollout/mean_tokens": fmean(lengths),
        "rollout/max_tokens": float(max(lengths)),
        "rollout/truncated": _share(r.completion.finish_reason == "length" for r in rollouts),
        "rollout/format_ok": _share(response.well_formed for response in responses),
        "rollout/empty_answer": _share(not (response.answer or "").strip() for response in responses),
        "rollout/repetition": _share(_loops(r.completion) for r in rollouts),
        "rollout/reflection_per_1k_tokens": 1000
        * sum(count_reflection(r.completion.text) for r in rollouts)
        / sum(lengths),
    }
    if checked:
        metrics["rollout/cannot_tell"] = _share(r.verdict.outcome == "cannot_tell" for r in checked)
    for route in dict.fromkeys(r.problem.route for r in checked):
        key = "rollout/accuracy" if route == "reasoning" else f"rollout/accuracy_{route}"
        metrics[key] = _share(_right(r) for r in checked if r.problem.route == route)
    for name, wanted in (("right", True), ("wrong", False)):
        if some := [len(r.completion.token_ids) for r in checked if _right(r) is wanted]:
            metrics[f"rollout/mean_tokens_{name}"] = fmean(some)
    shares = [
        language_share(
            rollout.completion.text if response.thinking is None else response.thinking, rollout.problem.language
        )
        for response, rollout in zip(responses, rollouts, strict=True)
    ]
    if known := [share for share in shares if share is not None]:
        metrics["rollout/language_consistency"] = fmean(known)
    return metrics


def _of_talks(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Of conversations with an environment; nothing where there was none."""
    talks = [talk for r in rollouts if (talk := r.completion.talk) is not None]
    if not talks:
        return {}
    calls, answered = sum(talk.calls for talk in talks), [talk for talk in talks if not talk.failure]
    metrics = {
        "environment/turns": fmean(talk.turns for talk in talks),
        "environment/calls": calls / len(talks),
        "environment/with_calls": _share(talk.calls > 0 for talk in talks),
        "environment/malformed_calls": sum(talk.malformed for talk in talks) / len(talks),
        "environment/answered": len(answered) / len(talks),
        "environment/given_tokens": fmean(
            len(r.completion.token_ids) - len(r.completion.logprobs) for r in rollouts if r.completion.talk is not None
        ),
        **{
            f"environment/cut_{name}": _share(talk.cut == name for talk in talks)
            for name in ("turns", "tokens", "seconds")
        },
    }
    if calls:
        metrics["environment/failed_calls"] = sum(talk.failed for talk in talks) / calls
    return metrics


def _of_groups(groups: Sequence[Group]) -> dict[str, float]:
    outcomes = [{_right(r) for r in group.rollouts} for group in groups if group.problem.route == "reasoning"]
    metrics = {
        "groups/count": float(len(groups)),
        "groups/useful": _share(group.useful for group in groups),
    }
    if outcomes:
        metrics["groups/all_right"] = _share(seen == {True} for seen in outcomes)
        metrics["groups/all_wrong"] = _share(seen == {False} for seen in outcomes)
    return metrics


def _of_rewards(rollouts: Sequence[Rollout]) -> dict[str, float]:
    totals = [rollout.reward for rollout in rollouts]
    metrics = {"reward/mean": fmean(totals), "reward/std": pstdev(totals)}
    for name in sorted({name for rollout in rollouts for name in rollout.rewards}):
        if applied := [value for r in rollouts if (value := r.rewards.get(name)) is not None]:
            metrics[f"reward/{name}"] = fmean(applied)
    names = {name for rollout in rollouts for name in (*rollout.rewards, *rollout.failed)}
    for name in sorted(name for name in names if is_own(name) or name in JUDGES):
        metrics[f"failed/{name}"] = float(sum(name in rollout.failed for rollout in rollouts))
    return metrics


def _right(rollout: Rollout) -> bool:
    return rollout.verdict.outcome == "right"


def _share(holds: Iterable[bool]) -> float:
    return fmean(map(float, holds))


def _loops(completion: Completion) -> bool:
    ids = completion.token_ids
    return ends_in_loop(ids[:-1] if completion.finish_reason == "stop" else ids)
