"""Loops, the summary of a step's groups, the stopwatch, the table of keys."""

import time
from pathlib import Path

import pytest

from ponder.records import Completion, FinishReason, Group, MathGold, Message, Outcome, Problem, Rollout, Verdict
from ponder.text import TEMPLATES
from ponder.watch import KEYS, MetricsLog, Phases, summarize_groups
from ponder.watch.keys import find_key, markdown
from ponder.watch.loops import ends_in_loop


@pytest.mark.parametrize(
    ("ids", "loops"),
    [
        ([], False),
        ([7] * 23, False),
        ([7] * 24, True),
        ([1, 2, 3] * 8, True),
        ([9, 9] + [1, 2, 3] * 8, True),
        ([1, 2, 3] * 8 + [9], False),
        ([1, 2, 3] * 7 + [1, 2, 4], False),
        (list(range(100)) * 4, True),
        (list(range(100)) * 3 + list(range(99)), False),
        (list(range(129)) * 6, False),
        (list(range(500)), False),
    ],
)
def test_ends_in_loop(ids: list[int], loops: bool) -> None:
    assert ends_in_loop(ids) is loops


def rollout(problem: str, text: str, tokens: int, outcome: Outcome, reward: float, finish: FinishReason) -> Rollout:
    return Rollout(
        problem=Problem(
            id=problem, messages=(Message(role="user", content="?"),), gold=MathGold(answer="5"), domain="math"
        ),
        prompt_ids=(1,),
        completion=Completion(
            token_ids=tuple(range(tokens)),
            logprobs=(0.0,) * tokens,
            text=text,
            finish_reason=finish,
            weight_version=0,
            seed=0,
        ),
        verdict=Verdict(outcome=outcome, reason=""),
        rewards={"accuracy": float(outcome == "right"), "language": 0.5 if problem == "a" else None},
        reward=reward,
    )


def test_summary_by_hand() -> None:
    good = "<think>Wait, that is wrong</think> <answer>5</answer>"
    groups = [
        Group(rollouts=(rollout("a", good, 10, "right", 2.0, "stop"), rollout("a", good, 10, "wrong", 1.0, "stop"))),
        Group(
            rollouts=(
                rollout("b", "<think>so", 50, "wrong", 0.0, "length"),
                rollout("b", "<think>so", 30, "cannot_tell", 0.0, "length"),
            )
        ),
    ]
    assert summarize_groups(groups, TEMPLATES["r1-zero"]) == pytest.approx(
        {
            "rollout/completions": 4,
            "rollout/tokens": 100,
            "rollout/mean_tokens": 25,
            "rollout/max_tokens": 50,
            "rollout/mean_tokens_right": 10,
            "rollout/mean_tokens_wrong": 30,
            "rollout/accuracy": 0.25,
            "rollout/cannot_tell": 0.25,
            "rollout/truncated": 0.5,
            "rollout/format_ok": 0.5,
            "rollout/empty_answer": 0.5,
            "rollout/repetition": 0.0,
            "rollout/reflection_per_1k_tokens": 40,  # wait and wrong, twice, in 100 tokens
            "rollout/language_consistency": 1.0,
            "groups/count": 2,
            "groups/useful": 0.5,
            "groups/all_right": 0.0,
            "groups/all_wrong": 0.5,
            "reward/mean": 0.75,
            "reward/std": (((2 - 0.75) ** 2 + 0.25**2 + 2 * 0.75**2) / 4) ** 0.5,
            "reward/accuracy": 0.25,
            "reward/language": 0.5,  # applies to problem a only
        }
    )
    assert summarize_groups([], TEMPLATES["r1-zero"]) == {}


def test_every_summarized_metric_is_in_the_table() -> None:
    groups = [Group(rollouts=(rollout("a", "x", 5, "right", 1.0, "stop"),))]
    for key in summarize_groups(groups, TEMPLATES["r1-zero"]):
        assert key in KEYS or f"{key.split('/')[0]}/<name>" in KEYS


def test_the_page_of_metrics_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text() == markdown(), "write ponder.watch.keys.markdown() to docs/metrics.md"


def test_phases_add_up_and_start_again() -> None:
    phases = Phases()
    for _ in range(2):
        with phases("generate"):
            pass
    with phases("update"):
        pass
    seconds = phases.take()
    assert list(seconds) == ["generate", "update", "step"]
    assert 0 < seconds["generate"] + seconds["update"] < seconds["step"]
    assert list(phases.take()) == ["step"]
    with pytest.raises(AssertionError, match="'save' opened inside phase 'update'"), phases("update"), phases("save"):
        pass
    with phases("save"):  # a failed phase is closed
        pass


def test_measuring_and_saving_are_no_part_of_a_step() -> None:
    phases = Phases()
    with phases("evaluate"):
        time.sleep(0.05)
    with phases("save"):
        time.sleep(0.05)
    seconds = phases.take()
    assert seconds["evaluate"] >= 0.05 and seconds["save"] >= 0.05 and 0 <= seconds["step"] < 0.04


def test_members_of_families_are_found() -> None:
    names = {"reward/mine": "reward/<name>", "reward_model/helpful": "reward_model/<route>"}
    names |= {"reward_model/helpful_score": "reward_model/<route>_score", "rollout/accuracy": "rollout/accuracy"}
    assert {name: key and key.name for name in names if (key := find_key(name)) or True} == names
    assert find_key("policy/unheard_of") is None and find_key("reward/") is None


def test_a_metric_without_an_explanation_is_not_written(tmp_path: Path) -> None:
    with MetricsLog(tmp_path) as log, pytest.raises(AssertionError, match="unheard_of"):
        log.write(1, {"policy/unheard_of": 1.0})
