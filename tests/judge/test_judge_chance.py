"""Chance as judge and as reward: drawn from the text, alike each time, fair on the whole."""

from ponder.judge import Answered, ChanceJudge, Pair
from ponder.recipe.problems import MicroProblems
from ponder.records import Verdict
from ponder.reward import REWARDS, Judged
from ponder.task import load_problems
from ponder.text.think import Response

PROBLEMS = load_problems((MicroProblems(count=400),)).problems


def test_half_of_all_is_judged_right_and_alike_each_time() -> None:
    items = [Answered(problem=one, answer="4", response="<think>2 + 2</think> 4") for one in PROBLEMS]
    pairs = [Pair(problem=one, first="4", second="5") for one in PROBLEMS]
    judge = ChanceJudge(3)
    for shares in (
        [one.outcome == "right" for one in judge.correct(items)],
        [one.outcome == "right" for one in judge.safe(items)],
        [one.difference == 2.0 for one in judge.compare(pairs)],
    ):
        assert 140 < sum(shares) < 260  # six standard deviations of 10
    assert {one.difference for one in judge.compare(pairs)} == {2.0, -2.0}
    assert ChanceJudge(3).safe(items) == judge.safe(items) != ChanceJudge(4).safe(items)


def test_the_reward_is_spread_evenly_over_texts() -> None:
    drawn = [
        REWARDS["chance"](
            Judged(
                problem=PROBLEMS[0],
                response=Response(thinking=f"{i}", answer=None, well_formed=False, problem="cut"),
                verdict=Verdict(outcome="wrong", reason=""),
                completion_tokens=16,
                finish_reason="length",
                max_tokens=16,
            )
        )
        for i in range(400)
    ]
    values = [one for one in drawn if one is not None]
    assert len(set(values)) == 400 and min(values) >= 0 and max(values) < 1
    assert all(60 < sum(quarter <= 4 * one < quarter + 1 for one in values) < 140 for quarter in range(4))
