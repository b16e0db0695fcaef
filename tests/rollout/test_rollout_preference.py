"""Reward models in collecting: scored by route, once per completion, and nothing without an answer is paid."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from rounding import tolerance
from tiny_models import tiny_policy
from transformers import PreTrainedTokenizerFast

from ponder.errors import DataError
from ponder.policy.scorer import Scored, Scorer
from ponder.policy.scorer_load import new_scorer
from ponder.recipe.rollout import Sampling
from ponder.records import MathGold, Message, Problem, Route, Verdict
from ponder.reward import Judged
from ponder.reward.scale import SCALES, Spread
from ponder.rollout import LocalEngine
from ponder.rollout.collect import collect
from ponder.rollout.preference import RewardModels
from ponder.text import TEMPLATES
from ponder.verify.pool import VerifierPool

ROUNDING = tolerance(1.0, layers=2)
"""Of a reward: its model's score, of size 1 here, through a curve that is nowhere steeper than 1."""


@pytest.fixture
def scorers(tokenizer: PreTrainedTokenizerFast) -> dict[str, Scorer]:
    def make(scope: str, seed: int) -> Scorer:
        policy = tiny_policy("qwen3", tokenizer, seed=seed)
        loss = "pairwise" if scope == "answer" else "pointwise"
        scorer = new_scorer(policy, loss=loss, scope=scope, base="tiny", max_tokens=64, seed=seed)  # type: ignore[arg-type]
        return scorer.with_file(mean=0.5, deviation=2.0, even=0.0)

    return {"helpful": make("answer", 1), "safety": make("response", 2)}


def problem(route: Route, name: str = "p", gold: bool = False) -> Problem:
    asked = (Message(role="user", content="w1"),)
    return Problem(id=name, messages=asked, gold=MathGold(answer="7") if gold else None, domain="d", route=route)


def judged(route: Route, text: str) -> Judged:
    return Judged(
        problem=problem(route, f"{route}"),
        response=TEMPLATES["r1-zero"].split(text),
        verdict=Verdict(outcome="cannot_tell", reason=""),
        completion_tokens=1,
        finish_reason="stop",
        max_tokens=9,
    )


def test_each_route_has_its_model_and_each_model_its_scope(scorers: dict[str, Scorer]) -> None:
    models = RewardModels(scorers, "rank", 1000)  # type: ignore[arg-type]
    kind, other = "<think>w5 w6</think> <answer>w9</answer>", "<think>w7 w8</think> <answer>w9</answer>"
    texts = [kind, other, kind, other, kind, "<think>never ends", "<think>w1</think> <answer> </answer>"]
    routes: list[Route] = ["helpful", "helpful", "safety", "safety", "reasoning", "safety", "helpful"]
    found = models.preferences([judged(r, t) for r, t in zip(routes, texts, strict=True)], texts)
    helpful, again, safe, less, nothing, endless, empty = found.rewards
    assert helpful == pytest.approx(again, abs=ROUNDING) and nothing is None and endless == empty == 0.0
    assert safe is not None and less is not None and abs(safe - less) > ROUNDING
    scorer = scorers["helpful"]
    item = Scored(prompt_ids=scorer.prompt_ids(problem("helpful").messages), response_ids=(scorer.text_ids("w9"),))
    expected = SCALES["rank"](scorer.scores([item], 100)[0][0], Spread(mean=0.5, deviation=2.0, even=0.0))
    assert helpful == pytest.approx(expected, abs=ROUNDING)
    assert found.metrics["reward_model/helpful"] == pytest.approx((2 * expected + 0) / 3, abs=ROUNDING)
    assert found.metrics["reward_model/too_long"] == 0


def test_what_is_longer_than_the_window_earns_nothing_and_is_counted(scorers: dict[str, Scorer]) -> None:
    models = RewardModels({"helpful": scorers["helpful"]}, "rank", 1000)
    text = f"<think>w1</think> <answer>{'w5 ' * 300}</answer>"
    found = models.preferences([judged("helpful", text)], [text])
    assert found.rewards == (0.0,) and found.metrics["reward_model/too_long"] == 1


def test_problems_that_nothing_can_judge_are_refused(scorers: dict[str, Scorer]) -> None:
    models = RewardModels({"helpful": scorers["helpful"]}, "rank", 1000)
    models.check_covers([problem("helpful"), problem("reasoning", gold=True)])
    with pytest.raises(DataError, match=r"'s1', are of the route 'safety'.*Set reward_models\.safety"):
        models.check_covers([problem("helpful"), problem("safety", "s1")])
    with pytest.raises(DataError, match="'r1' has no answer to check and is of the route 'reasoning'"):
        models.check_covers([problem("reasoning", "r1")])


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=1) as pool:
        yield pool


def test_collecting_stores_the_preference_of_every_rollout(
    scorers: dict[str, Scorer], tokenizer: PreTrainedTokenizerFast, pool: VerifierPool
) -> None:
    policy = tiny_policy("qwen3", tokenizer)
    problems = [problem("helpful", "h"), problem("reasoning", "r", gold=True)]
    collected = collect(
        LocalEngine(policy, 8, lanes=1),
        policy.voice(),
        problems,
        group_size=3,
        sampling=Sampling(),
        max_tokens=12,
        seed=1,
        weight_version=0,
        pool=pool,
        rewards={"accuracy": 1.0, "preference": 2.0},
        reward_models=RewardModels({"helpful": scorers["helpful"]}, "standard", 1000),
        phases=lambda name: nullcontext(),
    )
    general, reasoning = collected.groups
    for rollout in general.rollouts:
        preference = rollout.rewards["preference"]
        assert preference is not None and -3 <= preference <= 3 and rollout.reward == pytest.approx(2 * preference)
        assert rollout.rewards["accuracy"] is None and rollout.verdict.outcome == "cannot_tell"
    assert all(r.rewards["preference"] is None and r.rewards["accuracy"] == 0 for r in reasoning.rollouts)
    assert "reward_model/helpful" in collected.metrics
