"""What a process takes of the machine: all, or what is left to one of several stages."""

import os

import psutil
import pytest
import torch

from ponder.pipeline.machine import this_device
from ponder.ranks.crew import Crew
from ponder.rollout.room import device_bytes
from ponder.share import environment, stages_at_once, threads_each


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_cores_and_allowed_threads_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [threads_each(count) for count in (1, 2, 3, 8)] == [4, 2, 1, 1]
    assert [stages_at_once(count) for count in (1, 3, 8)] == [1, 3, 4]
    monkeypatch.setenv("OMP_NUM_THREADS", "6,2")
    assert [threads_each(count) for count in (1, 2, 8)] == [6, 3, 1]


def test_memory_is_shared_by_those_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    total = psutil.virtual_memory().total
    planned = [this_device(count) for count in (1, 2, 8)]
    if planned[0].is_cpu:
        assert [one.memory_bytes for one in planned] == [total, total // 2, total // 4]
        assert [one.name for one in planned] == ["CPU, 4 cores", "CPU, 2 cores", "CPU, 1 core"]
        assert planned[0].train_flops / 2 < planned[1].train_flops < planned[0].train_flops
    assert device_bytes(torch.device("cpu")) == total
    for name, value in environment(8).items():
        monkeypatch.setenv(name, value)
    assert device_bytes(torch.device("cpu")) == total // 4


def test_stages_on_one_core_are_no_faster_for_being_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    assert this_device(2) == this_device(1)


def test_ranks_of_a_stage_share_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for name, value in {**environment(2), "OMP_NUM_THREADS": "4"}.items():
        monkeypatch.setenv(name, value)
    crew = Crew("collections:Counter", [("a",), ("b",)])
    found = {psutil.Process(pid).environ()["OMP_NUM_THREADS"] for pid in crew.pids}
    crew.close()
    assert found == {"2"}
