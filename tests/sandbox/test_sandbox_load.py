"""The stream of attacks, right and wrong programs of benchmarks/sandbox_load.py, in small."""

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from sandbox_load import load, mixed


def test_a_stream_of_all_kinds_is_judged_right_and_leaves_nothing() -> None:
    line, faults = load(72, workers=2, deadline_seconds=2.0)
    assert not faults, faults
    assert "right programs 24 right; wrong ones 24 wrong" in line and "0 right; 0 faults" in line
    assert "0 processes left" in line


def test_the_stream_is_a_third_of_each_and_no_text_comes_twice() -> None:
    runs = mixed(600)
    assert Counter(run.kind for run in runs) == {"attack": 200, "right": 200, "wrong": 200}
    assert len({run.text for run in runs}) == 600
    assert len({run.name for run in runs if run.kind == "attack"}) > 80
