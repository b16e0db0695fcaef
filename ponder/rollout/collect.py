"""Problems become groups of judged rollouts: sample, judge while sampling goes on, reward.

A completion goes to the verifier's workers, and to judges at endpoints, the moment it is finished, so judging hides
behind sampling. With a refill,
groups whose rewards are all equal are replaced by groups of further problems within a budget (DAPO's dynamic sampling);
what cannot be replaced is simply missing, and a rollout of useless groups is not an error.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from ponder.errors import DataError
from ponder.own import Failure
from ponder.policy.voice import Voice
from ponder.recipe.own import OwnUse
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, Group, Problem, Rollout
from ponder.reward import Judged, overlong_penalty
from ponder.reward.combine import own_rewards, score
from ponder.reward.grade import Graders
from ponder.reward.judging import UNCHECKED, Judgement, judge
from ponder.rollout.engine import Engine, OnProgress, Request
from ponder.rollout.preference import RewardModels
from ponder.seeds import derive_seed
from ponder.verify.pool import VerifierPool

__all__ = ["Collected", "OwnFailure", "Phase", "Refill", "collect"]

Phase = Callable[[str], AbstractContextManager[None]]
"""Times a phase, `generate`, `verify`, `score` or `judge`, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refill:
    """Where further problems come from, and how many may be tried in one rollout."""

    budget: int
    problem: Callable[[int], Problem]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFailure:
    """A call of one of the user's own functions that gave no value, and the completion it was for."""

    problem: str
    seed: int
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """`groups` are all that were sampled, useless ones included, in the order of their problems; `failures` are the
    calls of the user's own functions that gave no value, of as many as `calls` says of each."""

    groups: tuple[Group, ...]
    metrics: Mapping[str, float]
    failures: tuple[OwnFailure, ...] = ()
    calls: Mapping[str, int] = field(default_factory=dict)


def collect(
    engine: Engine,
    voice: Voice,
    problems: Sequence[Problem],
    *,
    group_size: int,
    sampling: Sampling,
    max_tokens: int,
    seed: int,
    weight_version: int,
    pool: VerifierPool,
    rewards: Mapping[str, float],
    reward_models: RewardModels | None = None,
    graders: Graders | None = None,
    overlong_buffer_ratio: float | None = None,
    refill: Refill | None = None,
    phases: Phase,
    on_progress: OnProgress | None = None,
) -> Collected:
    """One group of `group_size` rollouts for each problem, and for further ones where `refill` asks for them.

    The seed of a completion derives from (`seed`, place of the problem, number of the completion). Raises DataError for
    a problem that neither a gold, `reward_models` nor `graders` can judge, and what the engine raises for a prompt that
    does not fit.
    """
    sampler = _Sampler(
        engine,
        voice,
        group_size,
        sampling,
        max_tokens,
        seed,
        weight_version,
        pool,
        phases,
        on_progress,
        reward_models,
        own_rewards(rewards),
        graders,
    )
    groups = [_group(judged, rewards, max_tokens, overlong_buffer_ratio) for judged in sampler.sample(problems)]
    tried = 0
    while refill is not None and tried < refill.budget:
        missing = len(problems) - sum(group.useful for group in groups)
        if missing <= 0:
            break
        seen = {group.problem.id for group in groups}
        further: dict[str, Problem] = {}
        while len(further) < missing and tried < refill.budget:
            problem = refill.problem(tried)
            tried += 1
            if problem.id not in seen:
                further[problem.id] = problem
        judged_further = sampler.sample(list(further.values()))
        groups += [_group(judged, rewards, max_tokens, overlong_buffer_ratio) for judged in judged_further]
    refilled = {"groups/refilled": float(len(groups) - len(problems))}
    return Collected(
        groups=tuple(groups),
        metrics={**refilled, **sampler.metrics},
        failures=tuple(sampler.failures),
        calls=sampler.calls,
    )


@dataclass(frozen=True, slots=True)
class _Sampled:
    problem: Problem
    prompt_ids: tuple[int, ...]
    judged: tuple[tuple[Completion, Judgement], ...]

    def judged_by(self, further: Callable[[Judgement], Judgement]) -> "_Sampled":
        """The same with more known of each completion, which are taken in their order."""
        return replace(self, judged=tuple((completion, further(judgement)) for completion, judgement in self.judged))


@dataclass(slots=True)
class _Sampler:
    engine: Engine
    voice: Voice
    group_size: int
    sampling: Sampling
    max_tokens: int
    seed: int
    weight_version: int
    pool: VerifierPool
    phases: Phase
    on_progress: OnProgress | None
    reward_models: RewardModels | None
    own: tuple[OwnUse, ...]
    """The rewards that functions of the user's own give."""
    graders: Graders | None
    metrics: dict[str, float] = field(default_factory=dict)
    """What the reward models and judges showed on the problems that were asked for, those of a refill left out."""
    failures: list[OwnFailure] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    _place: int = 0

    def sample(self, problems: Sequence[Problem]) -> list[_Sampled]:
        """Completions of each problem with their verdicts."""
        if not problems:
            return []
        self._check(problems)
        judgements: dict[tuple[int, int], Future[Judgement]] = {}
        first = self._place
        self._place += len(problems)
        requests = [
            Request(
                prompt_ids=self.voice.prompt(problem.messages),
                seeds=tuple(derive_seed(self.seed, first + i, j) for j in range(self.group_size)),
                key=str(i),
                problem=problem,
            )
            for i, problem in enumerate(problems)
        ]

        def on_finish(key: str, sample: int, completion: Completion) -> None:
            judged = self._judged(problems[int(key)], completion)
            judgements[int(key), sample] = judge(self.pool, judged, self.own)
            if self.graders is not None:
                self.graders.begin(judged)

        with self.phases("generate"):
            completions = self.engine.generate(
                requests, self.sampling, self.max_tokens, self.weight_version, on_finish, self.on_progress
            )
        with self.phases("verify"):
            sampled = [
                _Sampled(
                    problem,
                    request.prompt_ids,
                    tuple((completion, judgements[i, j].result()) for j, completion in enumerate(own)),
                )
                for i, (problem, request, own) in enumerate(zip(problems, requests, completions, strict=True))
            ]
        if self.graders is not None:
            sampled = self._graded(sampled, self.graders, first == 0)
        self.calls.update(name for one in sampled for _, judgement in one.judged for name in judgement.called())
        self.failures += [
            OwnFailure(problem=one.problem.id, seed=completion.seed, failure=failure)
            for one in sampled
            for completion, judgement in one.judged
            for failure in (*judgement.failures(), *_unanswered(completion))
        ]
        return sampled if self.reward_models is None else self._preferred(sampled, self.reward_models, first == 0)

    def _check(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            if self.graders is not None and self.graders.covers(gold=problem.gold is not None):
                continue
            if problem.gold is None and (self.reward_models is None or problem.route == "reasoning"):
                raise DataError(f"Problem {problem.id!r} has no answer to check. Training needs one for every problem.")

    def _preferred(self, sampled: list[_Sampled], models: RewardModels, measured: bool) -> list[_Sampled]:
        """The same with what the reward models make of each completion."""
        flat = [pair for one in sampled for pair in one.judged]
        with self.phases("score"):
            found = models.preferences(
                [judgement.judged for _, judgement in flat],
                [self.voice.template.prefill + completion.text for completion, _ in flat],
            )
        if measured:
            self.metrics |= found.metrics
        rewards = iter(found.rewards)
        return [
            one.judged_by(
                lambda judgement: replace(judgement, judged=replace(judgement.judged, preference=next(rewards)))
            )
            for one in sampled
        ]

    def _graded(self, sampled: list[_Sampled], graders: Graders, measured: bool) -> list[_Sampled]:
        """The same with what judges make of each completion."""
        with self.phases("judge"):
            found = graders.finish([judgement.judged for one in sampled for _, judgement in one.judged])
        if measured:
            self.metrics |= found.metrics
        grades = iter(found.grades)
        return [one.judged_by(lambda judgement: judgement.graded(next(grades))) for one in sampled]

    def _judged(self, problem: Problem, completion: Completion) -> Judged:
        return Judged(
            problem=problem,
            response=self.voice.template.split(completion.text, finished=completion.finish_reason == "stop"),
            verdict=UNCHECKED,
            completion_tokens=len(completion.token_ids),
            finish_reason=completion.finish_reason,
            max_tokens=self.max_tokens,
            turns=() if completion.talk is None else completion.talk.messages,
        )


def _unanswered(completion: Completion) -> tuple[Failure, ...]:
    """The failure of what should have answered a conversation, which says nothing of the model."""
    talk = completion.talk
    if talk is None or not talk.failure:
        return ()
    return (Failure(function=talk.failed_by, cause="exception", reason=talk.failure),)


def _group(
    sampled: _Sampled, weights: Mapping[str, float], max_tokens: int, overlong_buffer_ratio: float | None
) -> Group:
    rollouts = []
    for completion, judgement in sampled.judged:
        judged = judgement.judged
        named, total = score(judged, weights, judgement.own)
        if overlong_buffer_ratio is not None:
            penalty = overlong_penalty(judged.completion_tokens, max_tokens, overlong_buffer_ratio)
            named, total = {**named, "overlong": penalty}, total + penalty
        rollouts.append(
            Rollout(
                problem=sampled.problem,
                prompt_ids=sampled.prompt_ids,
                completion=completion,
                verdict=judged.verdict,
                rewards=named,
                reward=total,
                failed=tuple(failure.function for failure in (*judgement.failures(), *_unanswered(completion))),
            )
        )
    return Group(rollouts=tuple(rollouts))
