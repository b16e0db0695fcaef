"""Each alarm fires on a synthetic curve of its trouble and on no healthy one, once, and survives a resume."""

from pathlib import Path
from random import Random
from statistics import fmean

import pytest

from ponder.watch import AlarmLog, read_alarms
from ponder.watch.alarms import ALARMS_FILE, could_show_hacking, find_alarms
from ponder.watch.metrics import Row

HEALTHY = {
    "rollout/tokens": 1000.0,
    "rollout/mean_tokens": 200.0,
    "rollout/repetition": 0.0,
    "rollout/language_consistency": 0.97,
    "reward/mean": 0.8,
    "policy/entropy": 0.7,
    "groups/useful": 0.9,
    "groups/all_wrong": 0.05,
}


def run(count: int = 10, start: int = 1, **changes: float) -> list[Row]:
    changed = {key.replace("__", "/"): value for key, value in changes.items()}
    return [{"step": step, **HEALTHY, **changed} for step in range(start, start + count)]


def names(rows: list[Row]) -> list[str]:
    return [alarm.name for alarm in find_alarms(int(rows[-1]["step"] or 0), rows, {})]


def test_a_healthy_run_is_quiet() -> None:
    assert names(run(40)) == []
    growing = [{**row, "rollout/mean_tokens": 100.0 * 1.05**i} for i, row in enumerate(run(60))]
    assert names(growing) == []  # R1-Zero's growth is no explosion
    assert names(run(10) + run(10, 11, groups__useful=0.1, groups__all_wrong=0.02)) == []  # all solved
    assert names(run(10) + run(10, 11, policy__entropy=0.15)) == []  # surer of itself


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"policy__entropy": 0.004}, "entropy collapse", "0.004 nats per token (at the start 0.700)"),
        ({"policy__entropy": 0.08}, "entropy collapse", "0.080 nats per token (at the start 0.700)"),
        ({"groups__useful": 0.12, "groups__all_wrong": 0.8}, "no signal", "12 % of the groups are useful, after 90 %"),
        ({"rollout__mean_tokens": 900.0}, "length explosion", "from 200 to 900 tokens"),
        ({"rollout__mean_tokens": 20.0}, "length collapse", "from 200 to 20 tokens"),
        ({"rollout__language_consistency": 0.8}, "language drift", "80 % of the thinking's words"),
        ({"rollout__repetition": 0.5}, "repetition", "50 % of completions end in a loop"),
    ],
)
def test_a_lasting_trouble_fires(changes: dict[str, float], name: str, words: str) -> None:
    rows = run(10) + run(10, 11, **changes)
    (alarm,) = find_alarms(20, rows, {})
    assert (alarm.name, alarm.step) == (name, 20) and words in alarm.text
    assert names(run(19) + run(1, 20, **changes)) == []  # one odd step
    assert names(rows[10:]) in ([], [name])  # too few steps to compare with an earlier window


def test_a_critic_that_foresees_nothing_fires() -> None:
    rows = run(10, critic__explained_variance=-0.2)
    (alarm,) = find_alarms(10, rows, {})
    assert (
        alarm.name == "critic" and "foreseen less than a constant" in alarm.text and alarm.value == pytest.approx(-0.2)
    )
    assert names([*rows[:9], *run(1, 10, critic__explained_variance=0.01)]) == []


SAMPLED = {"rollout__tokens": 1000.0, "policy__mismatch": 0.004, "policy__mismatch_max": 0.3}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy__mismatch": 0.03}, "at step 13 policy/mismatch is 0.03 (expected at most 0.02)"),
        ({"policy__mismatch_max": 1.4}, "at step 13 policy/mismatch_max is 1.4 (expected at most 1)"),
        ({"scorer__mismatch": 0.2}, "at step 13 scorer/mismatch is 0.2 (expected at most 0.1)"),
    ],
)
def test_one_mismatch_is_enough(changes: dict[str, float], words: str, tmp_path: Path) -> None:
    assert names(run(20, **SAMPLED)) == []
    rows = run(12, **SAMPLED) + run(1, 13, **SAMPLED | changes) + run(5, 14, **SAMPLED)
    (alarm,) = find_alarms(18, rows, {})
    assert (alarm.name, alarm.step) == ("mismatch", 18) and words in alarm.text and "precision: fp32" in alarm.text
    log = AlarmLog(tmp_path)
    assert log.check_mismatch(18, rows) == (alarm,) == read_alarms(tmp_path) and log.check(19, rows, {}) == ()
    assert AlarmLog(tmp_path, tolerance=0.5).check_mismatch(19, run(3, **SAMPLED, policy__kl=1.0)) == ()


def test_later_updates_of_a_rollout_have_other_weights() -> None:
    rows = run(4, **SAMPLED)
    for row in rows[1:]:
        row |= {"rollout/tokens": None, "policy/mismatch": 0.3, "policy/mismatch_max": 4.0}  # type: ignore[operator]
    assert names(rows) == []
    assert names([{**row, "rollout/tokens": 1000.0} for row in rows]) == ["mismatch"]


def test_a_stage_that_samples_nothing() -> None:
    """Pretraining and fine-tuning compare a sequence packed with the same alone, at some of their steps."""
    rows: list[Row] = [{"step": 1, "loss/next_token": 2.0}, {"step": 2, "loss/next_token": 2.0}]
    assert names(rows) == []
    assert names([*rows, {"step": 3, "policy/mismatch": 0.5, "policy/mismatch_max": 2.0}]) == ["mismatch"]


@pytest.mark.parametrize(
    ("changes", "fires"),
    [
        ({"policy__entropy": 0.0875}, True),
        ({"policy__entropy": 0.0876}, False),
        ({"groups__useful": 0.225, "groups__all_wrong": 0.5}, True),
        ({"groups__useful": 0.226, "groups__all_wrong": 0.5}, False),
        ({"groups__useful": 0.225, "groups__all_wrong": 0.49}, False),
        ({"rollout__mean_tokens": 801.0}, True),
        ({"rollout__mean_tokens": 799.0}, False),
        ({"rollout__mean_tokens": 49.0}, True),
        ({"rollout__mean_tokens": 51.0}, False),
        ({"rollout__language_consistency": 0.81}, True),
        ({"rollout__language_consistency": 0.83}, False),
        ({"rollout__repetition": 0.3}, True),
        ({"rollout__repetition": 0.29}, False),
    ],
)
def test_thresholds(changes: dict[str, float], fires: bool) -> None:
    assert bool(names(run(10) + run(10, 11, **changes))) is fires


@pytest.mark.parametrize(("entropy", "fires"), [(0.02, True), (0.021, False)])
def test_entropy_that_is_low_from_the_start(entropy: float, fires: bool) -> None:
    assert bool(names(run(20, policy__entropy=entropy))) is fires


def test_several_updates_of_a_rollout_are_one_rollout() -> None:
    def updated(row: Row) -> list[Row]:
        return [row, *({"step": row["step"], "policy/entropy": row["policy/entropy"]} for _ in range(3))]

    rows = run(10) + run(9, 11, policy__entropy=0.004)
    assert names([one for row in rows for one in updated(row)]) == []
    rows += run(1, 20, policy__entropy=0.004)
    assert names([one for row in rows for one in updated(row)]) == ["entropy collapse"]


def accuracy(value: float, spread: float = 0.0) -> dict[str, float]:
    """Eight problems with this mean; `spread` moves every other one up and the rest down."""
    return {str(number): value + spread * (-1) ** number for number in range(8)}


def curve(key: str, rise: float, steps: int = 40) -> list[Row]:
    return [{**row, key: 0.4 + rise * i / steps} for i, row in enumerate(run(steps))]


@pytest.mark.parametrize(
    ("rows", "held_out", "fires"),
    [
        (curve("reward/preference", 0.4), {0: accuracy(0.8), 40: accuracy(0.6)}, True),
        (curve("reward/preference", 0.4), {0: accuracy(0.5), 20: accuracy(0.8), 40: accuracy(0.7)}, True),
        (curve("reward/mean", 0.4), {0: accuracy(0.8), 40: accuracy(0.6)}, True),
        (curve("reward/preference", 0.0), {0: accuracy(0.8), 40: accuracy(0.6)}, False),  # the reward did not rise
        (curve("reward/preference", -0.4), {0: accuracy(0.8), 40: accuracy(0.6)}, False),
        (curve("reward/preference", 0.4), {0: accuracy(0.8), 40: accuracy(0.82)}, False),  # nor did accuracy fall
        (curve("reward/preference", 0.4), {0: accuracy(0.8), 40: accuracy(0.77)}, False),  # less than 5 points
        (curve("reward/preference", 0.4), {0: accuracy(0.8, 0.1), 40: accuracy(0.7, -0.1)}, False),  # by chance
        (curve("reward/preference", 0.4), {0: accuracy(0.8, 0.1), 40: accuracy(0.7, 0.1)}, True),  # every one fell
        (curve("reward/preference", 0.4), {0: accuracy(0.8), 30: accuracy(0.6)}, False),  # not measured at this step
        (curve("reward/preference", 0.4, 8), {0: accuracy(0.8), 8: accuracy(0.6)}, False),  # too few rollouts
    ],
)
def test_hacking(rows: list[Row], held_out: dict[int, dict[str, float]], fires: bool) -> None:
    step = int(rows[-1]["step"] or 0)
    found = [alarm for alarm in find_alarms(step, rows, held_out) if alarm.name == "reward hacking"]
    assert bool(found) is fires
    if fires:
        assert found[0].value == pytest.approx(
            max(fmean(a.values()) for a in held_out.values()) - fmean(held_out[step].values())
        )


def test_a_sum_that_jumps_when_a_reward_enters_is_not_the_preference_reward() -> None:
    """The sum rises because preference rewards entered at step 21; these themselves do not rise."""
    rows = [{**row, "reward/mean": 0.8 if i < 20 else 1.6} for i, row in enumerate(run(40))]
    rows = [{**row, "reward/preference": 0.5} if i >= 20 else row for i, row in enumerate(rows)]
    assert find_alarms(40, rows, {0: accuracy(0.8), 40: accuracy(0.6)}) == ()


def test_few_values_of_the_preference_reward_say_nothing_and_the_sum_not_in_their_place() -> None:
    """Preference rewards entered at step 35, too late to be judged, and the sum jumped with them."""
    rows = [{**row, "reward/mean": 0.8 if i < 34 else 1.6} for i, row in enumerate(run(40))]
    rows = [{**row, "reward/preference": 0.5 + 0.1 * i} if i >= 34 else row for i, row in enumerate(rows)]
    assert find_alarms(40, rows, {0: accuracy(0.8), 40: accuracy(0.6)}) == ()


@pytest.mark.parametrize(
    ("rise", "weights_since", "fires"),
    [
        (0.0, 0, True),  # nobody says that the jump is one of a weight
        (0.0, 20, False),
        (0.02, 20, True),  # for each of the steps after it
        (0.02, 31, False),  # which are too few
    ],
)
def test_a_sum_counts_from_the_last_change_of_its_weights(rise: float, weights_since: int, fires: bool) -> None:
    rows = [{**row, "reward/mean": 0.8 if i < 20 else 1.6 + rise * i} for i, row in enumerate(run(40))]
    held_out = {0: accuracy(0.8), 40: accuracy(0.6)}
    assert bool(find_alarms(40, rows, held_out, weights_since=weights_since)) is fires


@pytest.mark.parametrize("problems", [12, 48])
def test_accuracy_that_stays_what_it_is_rarely_rings(problems: int) -> None:
    """The best of many evaluations is so by luck: of 400 runs with ten each, about one in twenty may ring."""
    draw, rows, rung = Random(0), curve("reward/preference", 4.0, 100), 0
    for _ in range(400):
        skill = [draw.random() for _ in range(problems)]
        held_out: dict[int, dict[str, float]] = {}
        for step in range(10, 101, 10):
            held_out[step] = {str(i): sum(draw.random() < one for _ in range(2)) / 2 for i, one in enumerate(skill)}
            if find_alarms(step, rows[:step], held_out):
                rung += 1
                break
    assert rung <= 24


FALL = {0: accuracy(0.8), 20: accuracy(0.6)}


@pytest.mark.parametrize(
    ("steps", "held_out", "could"),
    [
        (20, FALL, True),
        (9, {0: accuracy(0.8), 9: accuracy(0.6)}, False),  # too few rollouts
        (20, FALL | {15: accuracy(0.9)}, False),  # since the best
        (20, {0: accuracy(0.6), 15: accuracy(0.7), 20: accuracy(0.8)}, True),  # the last is the best
        (20, {20: accuracy(0.8)}, False),  # measured once
        (20, {0: {}, 20: {}}, False),  # nothing has a gold
        (20, {0: {"a": 0.8}, 20: {"a": 0.6}}, False),  # one problem
        (20, {}, False),
    ],
)
def test_whether_hacking_could_show(steps: int, held_out: dict[int, dict[str, float]], could: bool) -> None:
    assert could_show_hacking(run(steps), held_out) is could


def test_numbers_that_are_missing_say_nothing() -> None:
    assert find_alarms(20, [{"step": step} for step in range(1, 21)], {20: accuracy(0.5)}) == ()
    assert names([{**row, "policy/entropy": None} for row in run(20)]) == []


def test_each_alarm_is_raised_once_and_found_again_after_a_resume(tmp_path: Path) -> None:
    rows = run(10) + run(10, 11, rollout__repetition=0.5)
    log = AlarmLog(tmp_path)
    assert log.check(10, rows[:10], {}) == () and not (tmp_path / ALARMS_FILE).exists()
    (first,) = log.check(20, rows, {})
    assert log.check(21, [*rows, *run(1, 21, rollout__repetition=0.5)], {}) == ()
    assert read_alarms(tmp_path) == (first,) and AlarmLog(tmp_path).check(20, rows, {}) == ()
    whole = (tmp_path / ALARMS_FILE).read_bytes()

    (tmp_path / ALARMS_FILE).write_bytes(whole + b'{"step": 2')  # killed while writing
    log = AlarmLog(tmp_path)
    log.truncate_after(15)
    assert read_alarms(tmp_path) == ()
    assert log.check(20, rows, {}) == (first,) and (tmp_path / ALARMS_FILE).read_bytes() == whole
