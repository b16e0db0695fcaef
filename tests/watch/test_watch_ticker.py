"""Lines on how far a long piece of work is."""

import re
import time

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
