"""What a person sees while a stage runs, on a terminal and in a log."""

import io
import re
import time

import pytest
from rich.console import Console

from ponder.watch import Progress
from ponder.watch.pace import seconds_text
from ponder.watch.phases import seconds_spent

METRICS = {
    "rollout/accuracy": 0.41,
    "rollout/mean_tokens": 143.2,
    "rollout/truncated": 0.02,
    "groups/useful": 0.69,
    "policy/entropy": 0.81234,
    "policy/kl": 0.0031,
    "speed/tokens_per_second": 4812.0,
    "seconds/step": 6.1,
    "seconds/generate": 3.9,
    "seconds/update": 1.7,
    "seconds/save": 0.01,
}


def test_plain_lines() -> None:
    out = io.StringIO()
    with Progress("zero", 60, console=Console(file=out, width=80)) as progress:
        progress.say("[not markup] 94 % of groups")
        progress.step(12, METRICS)
        progress.tick("generate", 3, 256)
    first, second = out.getvalue().splitlines()
    assert first == "[not markup] 94 % of groups"
    assert second.startswith(
        "zero step 12/60  accuracy 41 %  length 143  truncated 2 %  useful groups 69 %  entropy 0.812  KL 0.0031  "
        "tokens/s 4,812  6.1 s (generate 3.9, update 1.7, other 0.5)  "
    )
    assert second.endswith(" left")


def test_lines_are_spaced_but_the_last_step_always_has_one() -> None:
    out = io.StringIO()
    with Progress("base", 1000, console=Console(file=out, width=80), line_seconds=3600) as progress:
        for step in range(1, 1001):
            progress.step(step, {"loss/next_token": 1 / step})
    assert [line.split("  ")[:2] for line in out.getvalue().splitlines()] == [
        ["base step 1/1000", "loss 1"],
        ["base step 1000/1000", "loss 0.001"],
    ]


def test_seconds_are_those_of_the_step_shown() -> None:
    out = io.StringIO()
    with Progress("zero", 2, console=Console(file=out), line_seconds=0) as progress:
        progress.step(1, METRICS | {"seconds/evaluate": 80.0, "evaluation/pass@1": 0.5})
        progress.step(2, METRICS)
    first, second = out.getvalue().splitlines()
    assert "evaluate 80.0" in first and "held-out 50 %" in first
    assert "evaluate" not in second and "held-out 50 %" in second


def test_what_passes_beside_training_takes_no_time_of_it() -> None:
    row = {"seconds/generate": 9.0, "seconds/verify": 1.0, "seconds/update": 2.0, "seconds/proximal": 0.5,
           "seconds/critic": 0.25, "seconds/save": 7.0, "seconds/step": 4.0}  # fmt: skip
    assert seconds_spent(row) == {
        "generate": 9, "verify": 1, "proximal": 0.5, "critic": 0.25, "update": 2, "save": 7, "other": 0,
    }  # fmt: skip
    assert seconds_spent(row | {"seconds/wait": 1.0}) == {
        "wait": 1, "proximal": 0.5, "critic": 0.25, "update": 2, "save": 7, "other": 0.25,
    }  # fmt: skip
    assert seconds_spent({"loss/next_token": 1.0}) == {}


def test_what_was_done_before_the_first_step_is_no_part_of_the_time_left() -> None:
    out = io.StringIO()
    with Progress("zero", 11, console=Console(file=out), line_seconds=0) as progress:
        time.sleep(0.5)  # loading and a first measurement
        progress.begin()
        progress.step(1, {})
    left = out.getvalue().split("  ")[-1]
    assert float(left.removesuffix(" s left\n")) < 5  # ten steps, each a tenth of the wait at most


def test_long_work_within_a_step_is_told_with_rate_and_time_left() -> None:
    out = io.StringIO()
    with Progress("zero", 9, console=Console(file=out), tick_seconds=0) as progress:
        progress.tick("evaluate", 0, 96)
        time.sleep(0.01)
        progress.tick("evaluate", 24, 96)
        progress.tick("save")
    begun, later, other = out.getvalue().splitlines()
    assert begun == "zero: evaluate 0 of 96" and other == "zero: save"
    assert re.fullmatch(r"zero: evaluate 24 of 96, [\d.e+]+ a second, 0\.\d s left", later)


def test_work_within_a_step_has_a_line_a_minute() -> None:
    out = io.StringIO()
    with Progress("zero", 9, console=Console(file=out)) as progress:
        for done in range(96):
            progress.tick("evaluate", done, 96)
    assert out.getvalue() == ""


def test_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, width=160, force_terminal=True, color_system=None)
    with Progress("zero", 60, console=console) as progress:
        progress.tick("generate", 120, 256)
        progress.step(12, METRICS)
        progress.say("a line that stays")
    shown = out.getvalue()
    for words in ("zero", "12/60", "accuracy", "41 %", "4,812", "generate 3.9", "a line that stays"):
        assert words in shown


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_number_is_cut_whatever_the_width(width: int) -> None:
    """Each value stands whole in one line, under its label, and no line is longer than the terminal."""
    out = io.StringIO()
    console = Console(file=out, width=width, height=60, force_terminal=True, color_system=None)
    metrics = METRICS | {"rollout/mean_tokens": 32_768.4, "evaluation/pass@1": 0.123, "policy/kl": 1.234567e-05}
    with Progress("the-stage-of-a-very-long-name", 10_000, console=console) as progress:
        progress.step(9_999, metrics)
        progress.tick("evaluate", 1_024_001, 2_048_000)
        progress.say(
            "a line that stays and is longer than eighty columns, as those of measurements are, until 0.123456"
        )
        until = time.monotonic() + 20
        while "1,024,001" not in out.getvalue() and time.monotonic() < until:
            time.sleep(0.02)  # it is redrawn four times a second
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).splitlines()]
    shown = "\n".join(lines)
    assert "\u2026" not in shown and max(map(len, lines)) <= width
    values = "41 %", "12 %", "32,768", "2 %", "69 %", "0.812", "1.23e-05", "4,812", "9999/10000"
    for value in values:
        assert re.search(rf"(?<![\d.,]){re.escape(value)}(?![\d.,])", shown), (value, shown)
    assert "1,024,001" in shown and "2,048,000" in shown and "0.123456" in shown
    assert "useful groups" in shown and "generate 3.9" in shown.replace("\n", " ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (7.44, "7.4 s"), (60, "1m 00s"), (247.4, "4m 07s"), (3600, "1h 00m"), (7_530, "2h 05m")],
)
def test_seconds_text(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text
