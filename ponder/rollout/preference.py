"""Reward models at work in RL: judged completions in, the reward `preference` of each out.

Every problem of the route `helpful` or `safety` is scored by that route's model, after generation, in batches, without
gradient (Nature eq. 10 and its Methods). What is seen is the scorer's own business: the final answer only, or the
prefill and everything the model wrote. A completion without an answer earns the least there is: a thought that never
ends would be perfectly safe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from ponder.errors import DataError
from ponder.policy.scorer import Scored, Scorer
from ponder.records import Problem
from ponder.reward.grade import Graders
from ponder.reward.judged import Judged
from ponder.reward.scale import SCALES, Spread

__all__ = ["Preferences", "RewardModels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """The rewards in the order of the completions, None where no reward model is asked, and their metrics."""

    rewards: tuple[float | None, ...]
    metrics: Mapping[str, float]


class RewardModels:
    """The scorers by route, and how their scores become rewards."""

    def __init__(self, scorers: Mapping[Literal["helpful", "safety"], Scorer], scale: str, token_budget: int) -> None:
        self._scorers = scorers
        self._scale = SCALES[scale]
        self._budget = token_budget

    def check_covers(self, problems: Sequence[Problem], graders: Graders | None = None) -> None:
        """DataError for problems that neither a rule, a reward model nor a judge can judge."""
        problems = [one for one in problems if graders is None or not graders.covers(gold=one.gold is not None)]
        for route in dict.fromkeys(problem.route for problem in problems if problem.route != "reasoning"):
            mine = [problem for problem in problems if problem.route == route]
            if route not in self._scorers:
                raise DataError(
                    f"{len(mine):,} problems, such as {mine[0].id!r}, are of the route {route!r}, which only a reward "
                    f"model can judge, and reward_models names none for it. Set reward_models.{route} and give the "
                    f"reward 'preference' a weight, let a judge go through criteria (`rubric`), or leave these out."
                )
        for problem in problems:
            if problem.route == "reasoning" and problem.gold is None:
                raise DataError(
                    f"Problem {problem.id!r} has no answer to check and is of the route 'reasoning', where nothing "
                    f"else is paid. Give it an answer, or the route 'helpful' or 'safety' and a reward model."
                )

    def preferences(self, judged: Sequence[Judged], texts: Sequence[str]) -> Preferences:
        """The rewards of completions whose whole texts, prefill included, are `texts`."""
        rewards: list[float | None] = [None] * len(judged)
        metrics: dict[str, float] = {}
        too_long = 0
        for route, scorer in self._scorers.items():
            spread = Spread(mean=scorer.file.mean, deviation=scorer.file.deviation, even=scorer.file.even)
            mine = [i for i, one in enumerate(judged) if one.problem.route == route]
            scores = self._scores(scorer, [(judged[i], texts[i]) for i in mine])
            for i, score in zip(mine, scores, strict=True):
                known = score if isinstance(score, float) else None
                rewards[i] = self._scale(known, spread)
            too_long += sum(score == "too long" for score in scores)
            if known_scores := [score for score in scores if isinstance(score, float)]:
                metrics[f"reward_model/{route}_score"] = fmean(known_scores)
            if mine:
                metrics[f"reward_model/{route}"] = fmean(reward for i in mine if (reward := rewards[i]) is not None)
        if any(one is not None for one in rewards):
            metrics["reward_model/too_long"] = float(too_long)
        return Preferences(rewards=tuple(rewards), metrics=metrics)

    def _scores(self, scorer: Scorer, written: Sequence[tuple[Judged, str]]) -> list[float | str]:
        """The score of each completion, or why there is none: `no answer` or `too long` for the scorer's window."""
        found: list[float | str] = ["no answer"] * len(written)
        groups: dict[str, list[tuple[int, tuple[int, ...]]]] = {}
        prompts: dict[str, tuple[int, ...]] = {}
        for place, (judged, text) in enumerate(written):
            problem, answer = judged.problem, judged.response.answer
            seen = answer if scorer.file.scope == "answer" else scorer.seen(text)
            if answer is None or not answer.strip() or seen is None:
                continue
            if problem.id not in prompts:
                prompts[problem.id] = scorer.prompt_ids(problem.messages)
            ids = scorer.text_ids(seen)
            if len(prompts[problem.id]) + len(ids) > scorer.window:
                found[place] = "too long"
            else:
                groups.setdefault(problem.id, []).append((place, ids))
        items = [
            Scored(prompt_ids=prompts[name], response_ids=tuple(ids for _, ids in members))
            for name, members in groups.items()
        ]
        for members, scores in zip(groups.values(), scorer.scores(items, self._budget), strict=True):
            for (place, _), score in zip(members, scores, strict=True):
                found[place] = score
        return found
