"""What a model makes of some problems in each prompt form, within a time: a look at it before it is trained.

    problems + forms -> a few completions in each form -> the form that suits -> more of that one -> Probed

A form suits where groups of completions are right and wrong: nothing else has an advantage in GRPO.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from statistics import fmean

from ponder.evaluation.estimate import bootstrap_interval, pass_at_k
from ponder.evaluation.evaluate import evaluate
from ponder.evaluation.results import ProblemResult, read_results
from ponder.policy.policy import Policy
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.records import Problem
from ponder.rollout.open import open_engine
from ponder.text.template import Template
from ponder.verify.pool import VerifierPool

__all__ = ["SAMPLES", "Probe", "Probed", "describe", "probe"]

SAMPLES = 8
"""Completions of a problem: a small group."""
_FIRST, _MORE = 0.4, 0.4
"""Shares of the time for all forms, and for the one that suits."""
_LEAST = 5.0
"""Seconds of the longer look, however late it is."""
_FEWEST_PROBLEMS, _MOST_PROBLEMS = 4, 64
_SHORTEST = 64
_USUAL_LENGTH = 256
_FITTING = 0.95
_ROOM, _LONGER = 1.5, 4
"""The limit of the longer look beside what fitted in the first, or beside its limit where too much was cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """One form. Shares are of the completions, `useful` of the groups of `SAMPLES`. `fitting_tokens` is the length
    within which 95 % of the completions end, None where fewer end within `max_tokens`."""

    template: str
    problems: int
    max_tokens: int
    pass_at_1: float
    interval: tuple[float, float]
    pass_at_8: float
    useful: float
    thinks: float
    well_formed: float
    ends: float
    mean_tokens: float
    fitting_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """All forms by a first look, and the one that suits, `template`, by a longer one, with the mean length of its
    prompts in tokens; `tokens_per_second` of sampling it."""

    forms: tuple[Probed, ...]
    best: Probed
    template: Template
    prompt_tokens: float
    tokens_per_second: float

    @property
    def right(self) -> bool:
        """Whether any completion was right, in whatever form and look."""
        return any(form.pass_at_8 > 0 for form in (*self.forms, self.best))

    @property
    def solved(self) -> bool:
        """Whether all completions of the form that suits were right, in both looks: no group had an advantage."""
        looks = (*(form for form in self.forms if form.template == self.best.template), self.best)
        return all(form.pass_at_1 == 1 for form in looks)


def describe(template: Template, results: Sequence[ProblemResult], max_tokens: int) -> Probed:
    """The numbers of one form."""
    samples = [sample for result in results for sample in result.samples]
    responses = [template.split(one.text, finished=one.finish_reason == "stop") for one in samples]
    right = [sum(one.verdict.outcome == "right" for one in result.samples) for result in results]
    ended = sorted(one.tokens for one in samples if one.finish_reason == "stop")
    needed = ceil(_FITTING * len(samples))
    return Probed(
        template=template.name,
        problems=len(results),
        max_tokens=max_tokens,
        pass_at_1=sum(right) / len(samples),
        interval=bootstrap_interval([count / SAMPLES for count in right]),
        pass_at_8=sum(pass_at_k(SAMPLES, count, SAMPLES) for count in right) / len(results),
        useful=sum(0 < count < SAMPLES for count in right) / len(results),
        thinks=sum(bool(one.thinking) and "thinking" not in one.copied for one in responses) / len(samples),
        well_formed=sum(one.well_formed for one in responses) / len(samples),
        ends=len(ended) / len(samples),
        mean_tokens=sum(one.tokens for one in samples) / len(samples),
        fitting_tokens=ended[needed - 1] if len(ended) >= needed else None,
    )


def probe(
    policy: Policy,
    problems: Sequence[Problem],
    pool: VerifierPool,
    *,
    model: str,
    templates: Sequence[Template],
    max_tokens: int,
    seconds: float,
    seed: int,
    folder: Path,
    say: Callable[[str], None],
) -> Probe:
    """Look at `policy` in every one of `templates` for about `seconds`, with at most `max_tokens` a completion. Every
    completion is stored in `folder`, one file a form and look; the longer look takes the other problems first. At least
    four problems are looked at in every look, however long that takes, or all where there are fewer."""

    def look(template: Template, some: Sequence[Problem], asked: int, name: str) -> tuple[Probed, float]:
        dressed = replace(
            policy,
            template=template.dated(policy.tokenizer),
            stop_ids=template.stop_ids(policy.tokenizer, policy.model.generation_config),
        )
        log, began = folder / f"{name}-{template.name}.jsonl", time.perf_counter()
        evaluate(
            dressed.voice(),
            open_engine(EngineConfig(), dressed),
            some,
            samples=SAMPLES,
            sampling=Sampling(temperature=1.0, top_p=1.0, max_tokens=asked),
            pool=pool,
            seed=seed,
            model=model,
            log=log,
        )
        spent = time.perf_counter() - began
        provenance, results = read_results(log)
        limit = int(provenance["sampling"]["max_tokens"])  # less where the model's window ends before
        rate = sum(one.tokens for result in results for one in result.samples) / spent
        found = describe(template, results, limit)
        say(f"{template.name}: {found.problems} problems x {SAMPLES}, at most {limit} tokens: {rate:,.0f} tokens/s")
        return found, rate

    began = time.perf_counter()
    look(templates[0], problems[:1], 1, "start")  # what is slow once
    _, rate = look(templates[0], problems[:_FEWEST_PROBLEMS], min(_SHORTEST, max_tokens), "warm-up")
    count, limit = _sizes(rate * _FIRST * seconds / len(templates), len(problems), max_tokens)
    looks = [look(template, problems[:count], limit, "first") for template in templates]
    best, rate = max(looks, key=lambda found: _suits(found[0]))
    forms = tuple(form for form, _ in looks)
    left = max(_LEAST, seconds * (_FIRST + _MORE) - (time.perf_counter() - began))
    fits = best.fitting_tokens
    limit = min(max_tokens, _LONGER * limit if fits is None else ceil(_ROOM * fits))
    expected = limit / 2 if fits is None else best.mean_tokens
    count = max(_FEWEST_PROBLEMS, min(_MOST_PROBLEMS, int(rate * left / (SAMPLES * expected))))
    chosen = next(one for one in templates if one.name == best.template)
    others_first = [*problems[best.problems :], *problems[: best.problems]]
    longer, rate = look(chosen, others_first[:count], limit, "more")
    prompts = [len(chosen.encode(policy.tokenizer, problem.messages)) for problem in others_first[:count]]
    return Probe(forms=forms, best=longer, template=chosen, prompt_tokens=fmean(prompts), tokens_per_second=rate)


def _sizes(tokens: float, available: int, max_tokens: int) -> tuple[int, int]:
    """Problems and length limit that use so many tokens."""
    count = min(available, _MOST_PROBLEMS, max(_FEWEST_PROBLEMS, int(tokens / (SAMPLES * _USUAL_LENGTH))))
    return count, min(max_tokens, max(_SHORTEST, int(tokens / (SAMPLES * count))))


def _suits(form: Probed) -> tuple[float, ...]:
    """Useful groups first, then what can be solved at all, then the form and completions that end."""
    return form.useful, form.pass_at_8, form.pass_at_1, form.well_formed, form.ends
