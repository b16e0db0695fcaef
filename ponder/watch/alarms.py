"""Alarms: what goes wrong in RL while the numbers still look like learning. Each is raised once per stage.

In: the rows of metrics so far and the held-out accuracies. Out: `alarms.jsonl` in the stage's folder, one object with
`step`, `name`, `value`, `threshold` and `text` each, in order of step. A rule speaks only when the trouble lasted a
whole window of rollouts, so one odd step says nothing.

    entropy collapse    policy/entropy throughout the window at most 0.02 nats, or an eighth of the median of the first
                        window
    no signal           groups/useful throughout the window at most a quarter of the median of the first window, while
                        half of the groups or more are all wrong
    length explosion    median rollout/mean_tokens above 4 times that of the window before
    length collapse     median rollout/mean_tokens below a quarter of that of the window before
    language drift      median rollout/language_consistency 0.15 or more below that of the first window
    repetition          rollout/repetition at least 30 % throughout the window
    critic              critic/explained_variance at most 0 throughout the window
    mismatch            one row with policy/mismatch above the tolerance or policy/mismatch_max above 1 nat where the
                        weights are those that sampled (or packed and alone), or scorer/mismatch above 0.1
    reward hacking      held-out accuracy 5 points or more, and more than chance allows, below its best, while the
                        reward rose by 0.05 or more since then: the preference reward where there is one, else the sum
                        since its weights last changed
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist, fmean, median, stdev
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ponder.errors import RunFolderError
from ponder.recipe.rollout import EngineConfig
from ponder.watch.lines import cut_after, dump_line, read_lines, repair
from ponder.watch.metrics import Row, recent

__all__ = [
    "ALARMS_FILE",
    "HACKING",
    "WINDOW",
    "Alarm",
    "AlarmLog",
    "HeldOutAccuracy",
    "could_show_hacking",
    "find_alarms",
    "read_alarms",
]

ALARMS_FILE = "alarms.jsonl"
HACKING = "reward hacking"
"""The alarm about a reward that rises while held-out accuracy falls."""
WINDOW = 10
"""Rollouts that a trouble must last."""

_COLLAPSED_ENTROPY = 0.02  # nats; below it 16 samples of one prompt are nearly always the same text
_ENTROPY_LEFT = 1 / 8  # of the run's start: a large vocabulary begins near 1 nat and stops exploring long before 0.02
_USEFUL_LEFT = 1 / 4
_ALL_WRONG = 0.5
_LENGTH_FACTOR = 4.0  # R1-Zero's length grows over thousands of steps, not within a window
_COLLAPSED_LENGTH = 0.25
_LANGUAGE_FALL = 0.15
_LOOPING = 0.3
_ACCURACY_FALL = 0.05
_REWARD_RISE = 0.05
_MISMATCH_OF_A_TOKEN = 1.0  # nats; rounding to bf16 stays a tenth of that
_MISMATCH_OF_A_SCORE = 0.1
_NEAR = 5  # rollouts on either side whose mean is the reward at an evaluation
_FALSE_ALARMS = 0.05  # of runs whose accuracy stays what it is, however often they are measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm. `value` is what was measured, `threshold` what it passed; `text` says what is seen and what to do."""

    step: int
    name: str
    value: float
    threshold: float
    text: str


_ALARM = TypeAdapter(Alarm)


HeldOutAccuracy = Mapping[int, Mapping[str, float]]
"""Accuracy on each held-out problem, by step: a share of samples."""


def find_alarms(
    step: int,
    rows: Sequence[Row],
    held_out: HeldOutAccuracy,
    window: int = WINDOW,
    tolerance: float = EngineConfig().parity_tolerance,
    weights_since: int = 0,
) -> tuple[Alarm, ...]:
    """What is wrong after `step`, to which `rows` and `held_out` (by step) reach. `tolerance` is that of log-probs;
    rewards have the weights of now in the rows after the step `weights_since`."""
    rules = (_entropy, _signal, _length, _language, _repetition, _critic)
    found = [rule(step, rows, window) for rule in rules]
    found += [_hacking(step, rows, held_out, weights_since), _mismatch(step, rows, tolerance)]
    return tuple(alarm for alarm in found if alarm is not None)


def read_alarms(folder: Path) -> tuple[Alarm, ...]:
    """The alarms of a stage folder in the order they were raised, none where there are none; RunFolderError for a
    damaged file."""
    path = folder / ALARMS_FILE
    if not path.exists():
        return ()
    try:
        return tuple(_ALARM.validate_python(value) for _, value in read_lines(path))
    except ValidationError as error:
        raise RunFolderError(
            f"{str(path)!r} is damaged or of another version of ponder: {' '.join(str(error).split())[:200]}. Run the "
            "stage anew with --redo."
        ) from None


class AlarmLog:
    """Keeps `alarms.jsonl` of one stage, each name once."""

    def __init__(self, folder: Path, tolerance: float = EngineConfig().parity_tolerance) -> None:
        self._folder = folder
        self._tolerance = tolerance
        self._path = folder / ALARMS_FILE
        if self._path.exists():
            repair(self._path)
        self._raised = {alarm.name for alarm in read_alarms(folder)}

    def check(
        self, step: int, rows: Sequence[Row], held_out: HeldOutAccuracy, weights_since: int = 0
    ) -> tuple[Alarm, ...]:
        """The alarms that are new, which are on disk when this returns; see `find_alarms`."""
        return self._new(find_alarms(step, rows, held_out, tolerance=self._tolerance, weights_since=weights_since))

    def check_mismatch(self, step: int, rows: Sequence[Row]) -> tuple[Alarm, ...]:
        """The same for a stage that samples nothing: only whether what is trained is computed rightly."""
        alarm = _mismatch(step, rows, self._tolerance)
        return self._new(() if alarm is None else (alarm,))

    def _new(self, found: Sequence[Alarm]) -> tuple[Alarm, ...]:
        new = tuple(alarm for alarm in found if alarm.name not in self._raised)
        for alarm in new:
            value: dict[str, Any] = asdict(alarm)
            with self._path.open("ab") as file:
                file.write(dump_line(value))
            self._raised.add(alarm.name)
        return new

    def truncate_after(self, step: int) -> None:
        """Forget alarms of later steps: these are about to be run again."""
        if self._path.exists():
            cut_after(self._path, step)
            if self._path.stat().st_size == 0:
                self._path.unlink()
        self._raised = {alarm.name for alarm in read_alarms(self._folder)}


def _values(rows: Sequence[Row], key: str) -> list[float]:
    return [value for row in rows if (value := row.get(key)) is not None]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _entropy(step: int, rows: Sequence[Row], window: int) -> Alarm | None:
    first_updates = [row for row in rows if row.get("rollout/tokens") is not None]  # one for each rollout
    values, start = recent(first_updates, "policy/entropy", window), _start(first_updates, "policy/entropy", window)
    threshold = max(_COLLAPSED_ENTROPY, _ENTROPY_LEFT * (start or 0.0))
    if not values or max(values) > threshold:
        return None
    first = _values(first_updates, "policy/entropy")[0]
    text = (
        f"entropy collapse: {fmean(values):.3f} nats per token (at the start {first:.3f}), so a group's completions "
        "are copies of each other. Raise clip_high (DAPO) or entropy_coefficient, lower optimizer.lr, or stop here if "
        "accuracy is where you want it."
    )
    return Alarm(step=step, name="entropy collapse", value=fmean(values), threshold=threshold, text=text)


def _signal(step: int, rows: Sequence[Row], window: int) -> Alarm | None:
    useful, wrong = recent(rows, "groups/useful", window), recent(rows, "groups/all_wrong", window)
    start = _start(rows, "groups/useful", window)
    if not useful or not wrong or not start or min(wrong) < _ALL_WRONG or max(useful) > _USEFUL_LEFT * start:
        return None
    text = (
        f"no signal: {_percent(fmean(useful))} of the groups are useful, after {_percent(start)} at the start; "
        f"{_percent(fmean(wrong))} are all wrong, and nothing is learnt from them. Read some completions: they often "
        "earn a smaller reward, such as the form's, without trying. Take easier problems, larger groups, "
        "`sampler: {by: solve_rate}`, or lower the other rewards' weights."
    )
    return Alarm(step=step, name="no signal", value=fmean(useful), threshold=_USEFUL_LEFT * start, text=text)


def _length(step: int, rows: Sequence[Row], window: int) -> Alarm | None:
    values = recent(rows, "rollout/mean_tokens", 2 * window)
    if not values or min(values) <= 0:
        return None
    old, new = median(values[:window]), median(values[window:])
    if new > _LENGTH_FACTOR * old:
        text = (
            f"length explosion: completions grew from {old:.0f} to {new:.0f} tokens within {window} rollouts. Read "
            "some: if they ramble, lower optimizer.lr or add overlong_buffer_ratio to the objective."
        )
        return Alarm(step=step, name="length explosion", value=new / old, threshold=_LENGTH_FACTOR, text=text)
    if new < _COLLAPSED_LENGTH * old:
        text = (
            f"length collapse: completions shrank from {old:.0f} to {new:.0f} tokens within {window} rollouts. Read "
            "some: guessing without thinking earns more than it should, or the format reward alone is being farmed."
        )
        return Alarm(step=step, name="length collapse", value=new / old, threshold=_COLLAPSED_LENGTH, text=text)
    return None


def _language(step: int, rows: Sequence[Row], window: int) -> Alarm | None:
    values = recent(rows, "rollout/language_consistency", window)
    first = _first(rows, "rollout/language_consistency", 2 * window)
    if not values or not first:
        return None
    old, new = median(first[:window]), median(values)
    if old - new < _LANGUAGE_FALL:
        return None
    text = (
        f"language drift: {_percent(new)} of the thinking's words are in the question's language, after "
        f"{_percent(old)} at the start. Give the reward 'language' a weight if the thinking is to be read."
    )
    return Alarm(step=step, name="language drift", value=old - new, threshold=_LANGUAGE_FALL, text=text)


def _start(rows: Sequence[Row], key: str, window: int) -> float | None:
    """The median of a metric over the first window, once a second window has passed."""
    first = _first(rows, key, 2 * window)
    return median(first[:window]) if first else None


def _critic(step: int, rows: Sequence[Row], window: int) -> Alarm | None:
    values = recent(rows, "critic/explained_variance", window)
    if not values or max(values) > 0:
        return None
    text = (
        f"critic: for {window} rollouts it has foreseen less than a constant would (explained variance "
        f"{fmean(values):.2f} on average): it lowers no variance, and with gae_lambda below 1 it misleads. Change "
        "critic.optimizer.lr, let it begin as a reward model (critic.model), or take `objective: grpo`."
    )
    return Alarm(step=step, name="critic", value=fmean(values), threshold=0.0, text=text)


def _first(rows: Sequence[Row], key: str, count: int) -> list[float]:
    """The first `count` values of a metric; empty where there are fewer."""
    found: list[float] = []
    for row in rows:
        if (value := row.get(key)) is not None:
            found.append(value)
            if len(found) == count:
                return found
    return []


def _repetition(step: int, rows: Sequence[Row], window: int) -> Alarm | None:
    shares = recent(rows, "rollout/repetition", window)
    if not shares or min(shares) < _LOOPING:
        return None
    text = (
        f"repetition: {_percent(fmean(shares))} of completions end in a loop. Lower optimizer.lr, keep a KL term, give "
        "the reward 'repetition' a weight, or go back to an earlier checkpoint."
    )
    return Alarm(step=step, name="repetition", value=fmean(shares), threshold=_LOOPING, text=text)


def _mismatch(step: int, rows: Sequence[Row], tolerance: float) -> Alarm | None:
    """Later updates of a rollout differ because the weights have changed since; the first one must not."""
    measured = [row for row in rows if row.get("policy/mismatch") is not None or row.get("scorer/mismatch") is not None]
    measured = [row for row in measured if not row.get("policy/staleness")]  # other weights drew it
    for row in [row for row in measured if row.get("rollout/tokens") is not None] or measured:
        for key, limit in (
            ("policy/mismatch", tolerance),
            ("policy/mismatch_max", _MISMATCH_OF_A_TOKEN),
            ("scorer/mismatch", _MISMATCH_OF_A_SCORE),
        ):
            value = row.get(key)
            if value is None or value <= limit:
                continue
            text = (
                f"mismatch: at step {row['step'] or 0:.0f} {key} is {value:.3g} (expected at most {limit:g}), although "
                f"both sides have the same weights, so what is trained is not what is sampled and measured. Set "
                f"`precision: fp32`; if that does not help, the model computes something ponder does not: stop, and "
                f"use another."
            )
            return Alarm(step=step, name="mismatch", value=value, threshold=limit, text=text)
    return None


def could_show_hacking(rows: Sequence[Row], held_out: HeldOutAccuracy) -> bool:
    """Whether the alarm about reward hacking could have been raised at the last evaluation: two evaluations of the same
    problems, two or more of which have a gold, and rollouts enough since the best one, or since the first where the
    last is the best."""
    mean = _means(held_out)
    if len(mean) < 2:
        return False
    last, best = max(mean), _best(mean)
    before = best if best < last else min(mean)
    _, values = _paid([row for row in rows if (row["step"] or 0) <= last], before, 0)
    return len(held_out[before].keys() & held_out[last].keys()) >= 2 and len(values) >= 2 * _NEAR


def _hacking(step: int, rows: Sequence[Row], held_out: HeldOutAccuracy, weights_since: int) -> Alarm | None:
    """R1 v2, B.5: with preference rewards for long, the reward rises while accuracy falls."""
    mean = _means(held_out)
    if step not in mean:
        return None
    best_step = _best(mean)
    best, now = held_out[best_step], held_out[step]
    # Problem by problem, so that how hard each one is does not count as chance.
    falls = [best[problem] - now[problem] for problem in now if problem in best]
    if best_step >= step or len(falls) < 2:
        return None
    fall, error = fmean(falls), stdev(falls) / math.sqrt(len(falls))
    if fall < _ACCURACY_FALL or fall <= _errors(len(mean), len(falls)) * error:
        return None
    named, values = _paid(rows, best_step, weights_since)
    if len(values) < 2 * _NEAR:
        return None
    rise = fmean(values[-_NEAR:]) - fmean(values[:_NEAR])
    if rise < _REWARD_RISE:
        return None
    text = (
        f"reward hacking: {named} rose by {rise:.2f} since step {best_step}, while held-out accuracy fell from "
        f"{_percent(mean[best_step])} to {_percent(mean[step])}. Take the best checkpoint, let preference rewards "
        "enter later or weigh less (reward_schedule), or read what is paid in rollouts/."
    )
    return Alarm(step=step, name=HACKING, value=fall, threshold=_ACCURACY_FALL, text=text)


def _means(held_out: HeldOutAccuracy) -> dict[int, float]:
    """Accuracy by step, where anything has a gold."""
    return {at: fmean(by_problem.values()) for at, by_problem in held_out.items() if by_problem}


def _best(mean: Mapping[int, float]) -> int:
    """The step with the highest accuracy, the latest of equals."""
    return max(mean, key=lambda at: (mean[at], at))


def _errors(evaluations: int, problems: int) -> float:
    """How many standard errors below the best of all `evaluations` the last one must lie.

    The best is picked by its luck, and that anew at every evaluation. So the n-th may spend 0.05 / (n (n - 1)) of the
    false alarms, which add up to 0.05 over any number, and shares that among the n - 1 it may be compared with. The
    normal quantile z becomes Student's with v = problems - 1 degrees of freedom to first order: z + (z^3 + z) / (4 v).
    """
    z = NormalDist().inv_cdf(1 - _FALSE_ALARMS / (evaluations * (evaluations - 1) ** 2))
    return z + (z**3 + z) / (4 * (problems - 1))


def _paid(rows: Sequence[Row], after: int, weights_since: int) -> tuple[str, list[float]]:
    """What a reward that may be hacked is called, and its values after a step. The sum of rewards jumps where a weight
    changes, so that its values before say nothing; the preference reward itself does not."""
    if _values(rows, "reward/preference"):
        return "the preference reward", _values(_later(rows, after), "reward/preference")
    return "the reward", _values(_later(rows, max(after, weights_since)), "reward/mean")


def _later(rows: Sequence[Row], step: int) -> list[Row]:
    return [row for row in rows if (row["step"] or 0) > step]
