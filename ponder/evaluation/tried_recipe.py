"""The recipe that `ponder try` leaves: the form that suits, the length that fits, a batch that takes minutes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import yaml

from ponder.evaluation.benchmark import Benchmark
from ponder.evaluation.probe import SAMPLES, Probe, Probed
from ponder.recipe.problems import FileProblems, GymProblems, MicroProblems, ProblemSource
from ponder.text.template import TEMPLATES

__all__ = ["recipe_text"]

_ROUND = 32
_UPDATE_SECONDS = 180.0
_SIZES = (4, 8, 16, 32)
_GROUP = 16
_STEPS = 100
_GENERATED, _HELD_OUT = 4000, 64


def recipe_text(model: str, found: Benchmark, seen: Probe, trained: float | None, name: str) -> str:
    """A stage of reinforcement learning with comments that say what was seen; `trained` tokens a second are learnt,
    None where that is not known."""
    best = seen.best
    ships = replace(seen.template, clock=None) == TEMPLATES.get(best.template)
    held_out = _held_out(found.problems)
    stage: dict[str, Any] = {
        "kind": "rl",
        "model": model,
        **({"template": best.template} if ships else {}),
        "problems": [_to_train(one) for one in found.problems],
        **({"held_out": held_out} if held_out else {}),
        "rewards": {"accuracy": 1, "format": 0.2} if seen.template.thinking else {"accuracy": 1},
        "objective": "dr_grpo",
        "steps": _STEPS,
        "problems_per_step": _batch(seen, trained),
        "group_size": _GROUP,
        "sampling": {"temperature": 1.0, "max_tokens": _limit(best)},
        "checkpoint_every": 10,
    }
    value = {"name": name, "seed": 0, "stages": {"zero": stage}}
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    lines = _seen(model, found, seen, bool(held_out))
    if trained is None:
        lines.append("How long an update takes was not measured: its gradients do not fit the machine of the look.")
    return "".join(f"# {line}\n" for line in lines) + text


def _seen(model: str, found: Benchmark, seen: Probe, held_out: bool) -> list[str]:
    best = seen.best
    low, high = best.interval
    lines = [
        f"Reinforcement learning of {model} on {found.name}, from what `ponder try` saw of {best.problems} problems:",
        f"pass@1 {best.pass_at_1:.3f} ({low:.3f} to {high:.3f}), pass@{SAMPLES} {best.pass_at_8:.2f}, "
        f"{100 * best.useful:.0f} % of the groups useful, {best.mean_tokens:.0f} tokens a completion.",
    ]
    if best.pass_at_8 == 0:
        first = next(form for form in seen.forms if form.template == best.template)
        lines.append(
            f"None of these was right, only some in a first look at {first.problems} problems (pass@1 "
            f"{first.pass_at_1:.3f}): learning will begin slowly, if at all. Easier problems would help."
        )
    elif best.useful == 0:
        lines.append(
            "No group held right and wrong completions; from others GRPO learns nothing: mix in other problems."
        )
    if best.fitting_tokens is None:
        cut = f"{100 * (1 - best.ends):.0f} % were cut off at {best.max_tokens} tokens"
        lines.append(f"{cut}: raise max_tokens where there is time.")
    if not all(isinstance(one, FileProblems | GymProblems | MicroProblems) for one in found.problems):
        lines.append("These are the problems of a benchmark: train on others, or its scores say nothing afterwards.")
    if not held_out:
        lines.append("Name other problems under held_out (docs/recipe.md), to see what is learnt and not remembered.")
    return lines


def _limit(best: Probed) -> int:
    tokens = best.max_tokens if best.fitting_tokens is None else best.fitting_tokens
    return min(-(-tokens // _ROUND) * _ROUND, best.max_tokens)


def _batch(seen: Probe, trained: float | None) -> int:
    """Problems of an update that takes three minutes at most; the fewest where even they take longer, or it is not
    known how long learning takes."""
    if trained is None:
        return _SIZES[0]
    one = (seen.prompt_tokens + _GROUP * seen.best.mean_tokens) * (1 / seen.tokens_per_second + 1 / trained)
    return max((size for size in _SIZES if size * one <= _UPDATE_SECONDS), default=_SIZES[0])


def _held_out(sources: Sequence[ProblemSource]) -> dict[str, Any] | None:
    """Where every source makes its problems: others that it keeps for tests."""
    made = [one for one in sources if isinstance(one, GymProblems | MicroProblems)]
    if len(made) < len(sources):
        return None
    problems = [_plain(one) | {"split": "test", "count": _HELD_OUT} for one in made]
    return {"problems": problems, "samples": 8, "every": 25, "samples_during": 4}


def _to_train(source: ProblemSource) -> dict[str, Any]:
    made = isinstance(source, GymProblems | MicroProblems)
    return _plain(source) | ({"split": "train", "count": _GENERATED} if made else {})


def _plain(source: ProblemSource) -> dict[str, Any]:
    return {"source": source.source} | source.model_dump(mode="json", exclude_defaults=True)
