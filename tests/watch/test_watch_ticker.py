"""Lines on how far a long piece of work is."""

import re
import time

from ponder.watch.pace import drawing_pace
from ponder.watch.ticker import Ticker

LINE = re.compile(r"base on gsm8k: (\d+) of 1,200 completions, (\S+) a second, (\S.*) left")


def test_it_says_how_many_are_done_how_fast_and_how_long_it_takes() -> None:
    lines: list[str] = []
    tick = Ticker("base on gsm8k", lines.append, seconds=0.0)
    time.sleep(0.02)
    for done in (901, 902, 1200):  # 900 were there from an earlier session, and say nothing about the rate
        tick(done, 1200)
    found = [LINE.fullmatch(line) for line in lines]
    assert [one and one[1] for one in found] == ["901", "902"]
    assert all(one is not None and float(one[2]) <= 2 / 0.02 for one in found)


def test_it_is_silent_until_the_time_has_passed() -> None:
    lines: list[str] = []
    tick = Ticker("base on gsm8k", lines.append, seconds=3600)
    for done in range(1, 1201):
        tick(done, 1200)
    assert lines == []


def test_completions_drawn_beside_each_other_have_the_time_that_their_limit_leaves() -> None:
    """None of a hundred is finished after half of the tokens that there can be: it takes as long again at most."""
    pace = drawing_pace(tokens=5_000, finished=0, total=100, seconds=50, max_tokens=100)
    assert pace == ", 100 tokens/s, at most 50.0 s left"
    assert drawing_pace(tokens=6_000, finished=90, total=100, seconds=60, max_tokens=100).endswith("most 10.0 s left")
    assert drawing_pace(tokens=0, finished=0, total=100, seconds=1, max_tokens=100) == ""
    assert drawing_pace(tokens=999, finished=100, total=100, seconds=1, max_tokens=5).endswith("most 0.0 s left")
    lines: list[str] = []
    tick = Ticker("it", lines.append, seconds=0.0)
    tick(0, 100, pace)
    tick(1, 100)
    assert lines[0] == "it: 0 of 100 completions" + pace and "a second" in lines[1]
