"""An engine in a process of its own draws with the weights of its beginning, and says when it is gone."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from test_rollout_local import requests

from ponder.errors import DataError, RankError
from ponder.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.rollout import LocalEngine, Request
from ponder.rollout.snapshot import Snapshot

pytestmark = pytest.mark.cpu

PARENT = """
import time
from ponder.policy import load_policy
from ponder.rollout.snapshot import Snapshot
print(Snapshot(load_policy("micro-student"), 4, 1).pid, flush=True)
time.sleep(100)
"""


def test_it_draws_what_the_weights_of_its_beginning_draw(qwen2: Policy) -> None:
    asked = requests(3, 2)
    expected = LocalEngine(qwen2, 8, 1).generate(asked, Sampling(), 12, 5)
    snapshot = Snapshot(qwen2, 8, 1)
    with torch.no_grad():
        for parameter in qwen2.model.parameters():
            parameter.mul_(-2)
    finished: list[tuple[str, int]] = []
    got = snapshot.generate(asked, Sampling(), 12, 5, lambda key, sample, _: finished.append((key, sample)))
    assert got == expected and got[0][0].weight_version == 5
    assert sorted(finished) == [(request.key, j) for request in asked for j in range(len(request.seeds))]
    assert snapshot.generate(asked, Sampling(), 12, 5) == expected  # as often as one likes
    snapshot.close()
    assert LocalEngine(qwen2, 8, 1).generate(asked, Sampling(), 12, 5) != expected
    assert not psutil.pid_exists(snapshot.pid)


def test_what_is_wrong_with_a_request_is_raised_here_and_the_process_stays(qwen2: Policy) -> None:
    snapshot = Snapshot(qwen2, 8, 1)
    with pytest.raises(DataError, match="has no tokens"):
        snapshot.generate([Request(prompt_ids=(), seeds=(1,), key="empty")], Sampling(), 4, 0)
    assert len(snapshot.generate(requests(2, 1), Sampling(), 4, 0)) == 2
    snapshot.close()


def test_a_process_that_was_killed_is_told(qwen2: Policy) -> None:
    snapshot = Snapshot(qwen2, 8, 1)
    os.kill(snapshot.pid, signal.SIGKILL)
    with pytest.raises(RankError, match="ended by the signal SIGKILL before it was done") as caught:
        snapshot.generate(requests(2, 1), Sampling(), 4, 0)
    assert caught.value.cause == "gone"
    snapshot.close()


def test_it_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    process = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
