"""Each rule speaks when its trouble lasts, and is silent about a healthy run."""

import pytest

from ponder.watch import diagnose, why_hopeless
from ponder.watch.metrics import Row

HEALTHY = {
    "rollout/truncated": 0.02,
    "rollout/mean_tokens": 200.0,
    "rollout/repetition": 0.0,
    "rollout/cannot_tell": 0.0,
    "groups/useful": 0.6,
    "groups/all_wrong": 0.3,
    "groups/all_right": 0.1,
    "reward/mean": 0.8,
    "reward/std": 0.4,
    "policy/entropy": 0.7,
}


def run(count: int = 10, **changes: float) -> list[Row]:
    changed = {key.replace("__", "/"): value for key, value in changes.items()}
    return [{"step": step, **HEALTHY, **changed} for step in range(count)]


def test_a_healthy_run_has_no_findings() -> None:
    assert diagnose(run(40)) == ()


def test_a_short_run_is_judged_once_it_has_ended() -> None:
    dead = run(3, rollout__truncated=1.0, reward__std=0.0, groups__useful=0.0, groups__all_wrong=1.0)
    assert diagnose(dead) == ()
    assert {f.name for f in diagnose(dead, ended=True)} == {"truncated", "groups alike", "reward constant"}
    assert diagnose(run(3), ended=True) == diagnose([], ended=True) == ()
    late = [*run(20), *run(3, rollout__truncated=1.0)]
    assert diagnose(late, ended=True) == ()  # of a long run the whole window counts


def hopeless_run(steps: int, completions: float, **changes: float) -> list[Row]:
    """Rows as a stage writes them: the first tells of the held-out problems, no update was made."""
    changed = {key.replace("__", "/"): value for key, value in changes.items()}
    rollout = {"rollout/completions": completions, "rollout/accuracy": 0.0, "groups/useful": 0.0}
    first: Row = {"step": 0, "evaluation/pass@1": 0.0}
    return [first, *({"step": step, **rollout, **changed} for step in range(1, steps + 1))]


def test_a_base_that_is_never_right_is_told_once() -> None:
    said = why_hopeless(hopeless_run(4, 64.0), 3)
    assert said is not None and "of 256 completions none was right" in said and "cold-start" in said
    assert why_hopeless(hopeless_run(3, 64.0), 2) is None, "192 completions are too few"
    assert why_hopeless(hopeless_run(5, 64.0), 4) is None, "who goes on knows it"
    assert why_hopeless(hopeless_run(1, 1024.0), 0) is not None
    several = [*hopeless_run(1, 256.0), {"step": 2, "rollout/completions": None}]  # two updates of one rollout
    assert why_hopeless(several, 0) is not None and why_hopeless(several, 2) is None


@pytest.mark.parametrize("sign", [{"rollout__accuracy": 0.004}, {"optimizer__lr": 1e-6}])
def test_a_base_that_is_rarely_right_or_earns_by_form_goes_on(sign: dict[str, float]) -> None:
    assert why_hopeless(hopeless_run(4, 64.0, **sign), 3) is None


def test_held_out_problems_that_are_right_are_hope() -> None:
    rows = hopeless_run(4, 64.0)
    assert why_hopeless([{"step": 0, "evaluation/pass@1": 0.01}, *rows[1:]], 3) is None


def test_with_a_critic_no_group_is_needed() -> None:
    alike = {"groups__useful": 0.0, "groups__all_wrong": 1.0}
    assert [finding.name for finding in diagnose(run(**alike))] == ["groups alike"]
    assert diagnose(run(**alike, loss__value=0.1)) == ()


@pytest.mark.parametrize(
    ("rows", "name", "level", "words"),
    [
        (
            run(groups__useful=0.04, groups__all_wrong=0.94, groups__all_right=0.02),
            "groups alike",
            "cannot learn",
            "no signal: 94 % of groups all wrong",
        ),
        (
            run(groups__useful=0.0, groups__all_wrong=0.01, groups__all_right=0.99),
            "groups alike",
            "cannot learn",
            "no signal: 99 % of groups all right",
        ),
        (
            run(groups__useful=0.0, groups__all_wrong=0.0, groups__all_right=0.0),
            "groups alike",
            "cannot learn",
            "100 %",
        ),
        (run(rollout__truncated=0.97), "truncated", "cannot learn", "97 % of completions hit the length limit"),
        (run(rollout__truncated=0.9, environment__cut_turns=0.8), "endless", "cannot learn", "limit environment.turns"),
        (run(rollout__truncated=0.9, environment__cut_seconds=0.6), "endless", "cannot learn", "environment.seconds"),
        (run(rollout__truncated=0.9, environment__cut_turns=0.1), "truncated", "cannot learn", "length limit"),
        (run(reward__std=0.0, reward__mean=1.0), "reward constant", "cannot learn", "every completion earned 1,"),
        (run(rollout__cannot_tell=0.4), "verifier blind", "warning", "40 % of the completions"),
    ],
)
def test_a_lasting_trouble_is_named(rows: list[Row], name: str, level: str, words: str) -> None:
    (finding,) = diagnose(rows)
    assert (finding.name, finding.level) == (name, level)
    assert words in finding.text
    # One good step within the window, or too few steps, say nothing.
    assert diagnose([*rows[:-3], run(1)[0], *rows[-2:]]) == ()
    assert diagnose(rows[:5]) == ()


def test_numbers_that_are_missing_or_null_say_nothing() -> None:
    assert diagnose([{"step": step} for step in range(20)]) == ()
    assert diagnose([{**row, "reward/std": None} for row in run(20)]) == ()


def test_steps_without_rollouts_are_passed_over() -> None:
    """Sixteen updates from one rollout: only the first of each sixteen rows tells of rollouts."""
    rows: list[Row] = []
    for row in run(12, rollout__truncated=0.9):
        rows += [row, *({"step": 0, "policy/entropy": 0.5} for _ in range(15))]
    assert [finding.name for finding in diagnose(rows)] == ["truncated"]


def test_the_gravest_comes_first() -> None:
    findings = diagnose(run(rollout__cannot_tell=0.9, rollout__truncated=1.0))
    assert [f.name for f in findings] == ["truncated", "verifier blind"]
