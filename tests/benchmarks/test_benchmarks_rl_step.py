"""The comparison with TRL: what it says where TRL is missing, and that it counts work as a hand count does."""

import subprocess
import sys
from pathlib import Path

import pytest

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_without_trl_it_names_the_extra():
    # -S: an interpreter without installed packages
    run = subprocess.run([sys.executable, "-S", _BENCHMARKS / "rl_step.py"], capture_output=True, text=True)
    assert run.returncode == 1
    assert "'bench'" in run.stderr
    assert "Traceback" not in run.stderr


def test_work_by_hand(monkeypatch):
    monkeypatch.syspath_prepend(str(_BENCHMARKS))
    from machine import work
    from shapes import GROUP_SIZE, SHAPES
    from sides import StepTime
    from transformers import Qwen2Config

    config = Qwen2Config(
        vocab_size=10,
        hidden_size=4,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=3,
    )
    # one group: a prompt of 6 tokens, each output 2 tokens
    step = StepTime(seconds=2.0, generate_seconds=1.0, lengths=(2,) * GROUP_SIZE, prompts=(6,) * GROUP_SIZE)
    needed = work(config, SHAPES["uniform"], step)
    matrices = 4 * 4 + 4 * 2 + 4 * 2 + 4 * 4 + 3 * 4 * 3  # q, k, v, o, and three of the MLP
    positions, outputs = 6 + 32, 32
    read = GROUP_SIZE * (2 * 6 + 2)
    attention = 4 * 2 * 4 * (18 + read)
    forward = 2 * 2 * matrices * positions + 2 * 4 * 10 * outputs + attention
    assert needed.generate_flops == pytest.approx(forward)
    assert needed.update_flops == pytest.approx(3 * forward)
    assert needed.generate_bytes == pytest.approx(4 * ((2 * matrices + 40) * 2 + 2 * 2 * 2 * read))
