"""Credit: rewards of groups become advantages and token weights."""

from dataclasses import replace
from statistics import fmean, stdev

import pytest

from ponder.errors import DataError
from ponder.recipe.objective import Objective
from ponder.records import Completion, Group, MathGold, Message, Problem, Rollout, Verdict
from ponder.text import TEMPLATES
from ponder.train import credit, weigh
from ponder.watch import summarize_groups


def group(name: str, rewards: list[float], length: int = 3) -> Group:
    problem = Problem(id=name, messages=(Message(role="user", content="?"),), gold=MathGold(answer="1"), domain="math")
    return Group(
        rollouts=tuple(
            Rollout(
                problem=problem,
                prompt_ids=(4, 5),
                completion=Completion(
                    token_ids=tuple(range(2, 2 + length + i)),
                    logprobs=(-0.5,) * (length + i),
                    text="",
                    finish_reason="stop",
                    weight_version=0,
                    seed=i,
                ),
                verdict=Verdict(outcome="wrong", reason=""),
                rewards={"accuracy": reward},
                reward=reward,
            )
            for i, reward in enumerate(rewards)
        )
    )


@pytest.mark.parametrize(
    ("rewards", "useful"),
    [((0.0, 1.0), 1), ((1.0, 1.0, 1.0), 0), ((0.3, 0.1 + 0.2), 0), ((2.0,), 0), ((-0.5, -0.4999), 1)],
)
def test_metric_and_trainer_say_alike_which_groups_are_useful(rewards: tuple[float, ...], useful: int) -> None:
    """Weighted sums of the same parts, such as 0.3 and 0.1 + 0.2, are equal rewards to both."""
    groups = [group("a", list(rewards))]
    assert groups[0].useful is bool(useful)
    assert len(credit(groups, Objective())) == useful
    assert summarize_groups(groups, TEMPLATES["r1-zero"])["groups/useful"] == useful


def test_groups_without_a_signal_are_left_out() -> None:
    samples = credit([group("a", [1, 1]), group("b", [0, 2]), group("c", [0, 0])], Objective())
    assert [[s.group for s in own] for own in samples] == [["b", "b"]]
    assert credit([group("a", [1, 1])], Objective()) == []


def test_advantages_are_the_rewards_standing_in_their_group() -> None:
    (own,) = credit([group("a", [0, 0, 3])], Objective(preset="dr_grpo"))
    assert [s.advantage for s in own] == pytest.approx([-1, -1, 2])
    (own,) = credit([group("a", [0, 0, 3])], Objective(std_epsilon=0.0))
    assert [s.advantage for s in own] == pytest.approx([-1 / 3**0.5, -1 / 3**0.5, 2 / 3**0.5])


def test_samples_keep_ids_and_the_log_probs_they_were_sampled_with() -> None:
    (own,) = credit([group("a", [0, 1], length=2)], Objective())
    assert [s.response_ids for s in own] == [(2, 3), (2, 3, 4)]
    assert own[1].behaviour == (-0.5, -0.5, -0.5) and own[1].prompt_ids == (4, 5)


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("sequence_mean", [1 / 6, 1 / 6, 1 / 9]),  # three outputs of 2, 2 and 3 tokens
        ("token_mean", [1 / 7] * 3),
        ("constant", [1 / 30] * 3),
        ("sequence_sum", [1 / 3] * 3),
    ],
)
def test_one_denominator_for_the_whole_step(aggregate: str, expected: list[float]) -> None:
    objective = Objective.model_validate({"aggregate": aggregate})
    samples = credit([group("a", [0, 1], length=2), group("b", [1, 0], length=2)], objective)
    flat = [samples[0][0], samples[1][0], samples[0][1]]
    assert [s.weight for s in weigh(flat, objective, max_tokens=10)] == pytest.approx(expected)


def test_rewards_that_hardly_differ_keep_their_advantages_exact() -> None:
    """Shares of words differ by thousandths, which single precision would round into the mean."""
    rewards = [2.98734] * 15 + [2.98751]
    (own,) = credit([group("a", rewards)], Objective())
    expected = [(one - fmean(rewards)) / (stdev(rewards) + Objective().std_epsilon) for one in rewards]
    assert [sample.advantage for sample in own] == pytest.approx(expected, rel=1e-9)


def test_a_guided_completion_is_never_learnt_from() -> None:
    free = group("free", [0.0, 1.0])
    guided = group("guided", [0.0, 1.0])
    first, second = guided.rollouts
    guided = replace(guided, rollouts=(first, replace(second, completion=replace(second.completion, guided=True))))
    assert len(credit([free], Objective())) == 1
    with pytest.raises(DataError, match="'guided' was guided"):
        credit([free, guided], Objective())
