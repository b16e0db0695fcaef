"""In what order a host wakes, loads and sleeps where its memory is given back.

What only notes what it is asked stands in for vLLM on a GPU, where an update of what is asleep would write to memory
that is not there.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from ponder.errors import ModelError
from ponder.policy import Policy
from ponder.rollout import vllm_host
from ponder.rollout.vllm_host import Host

LOAD = ["start_weight_update", "update_weights", "finish_weight_update"]
READY = ["reset_prefix_cache", "set_weight_version"]


class Notes:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Callable[[str], Any] = lambda verb: True

    def collective_rpc(self, verb: str, **_: Any) -> Any:
        return self._ask(verb)

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda *given, **named: self._ask(" ".join([verb, *named.get("tags", ())]))

    def _ask(self, verb: str) -> Any:
        self.asked.append(verb)
        return self.answer(verb)

    def take(self) -> list[str]:
        asked, self.asked = self.asked, []
        return asked


def opened(policy: Policy, device: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Host, Notes]:
    notes = Notes()
    monkeypatch.setattr(vllm_host, "start", lambda *_: notes)
    return Host(replace(policy, device=torch.device(device)), 4, 64), notes


def test_on_a_gpu_weights_wake_before_they_are_loaded_and_keys_after(
    qwen2: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, notes = opened(qwen2, "cuda", monkeypatch)
    host.load(0, ())
    assert notes.take() == [*LOAD, *READY]  # it starts awake
    host.sleep()
    assert notes.take() == ["sleep"]
    host.load(1, ())
    assert notes.take() == ["wake_up weights", *LOAD, "wake_up kv_cache", *READY]
    host.load(2, ())
    assert notes.take() == [*LOAD, *READY]


def test_on_a_cpu_it_never_sleeps(qwen2: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    host, notes = opened(qwen2, "cpu", monkeypatch)
    host.load(0, ())
    host.sleep()
    host.load(1, ())
    assert notes.take() == [*LOAD, *READY] * 2


@pytest.mark.parametrize("verb", [*LOAD, "reset_prefix_cache"])
def test_what_failed_half_way_is_not_used_again(verb: str, qwen2: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    host, notes = opened(qwen2, "cuda", monkeypatch)

    def answer(asked: str) -> Any:
        if asked == verb == "reset_prefix_cache":
            return False
        if asked == verb:
            raise RuntimeError("CUDA error")
        return True

    notes.answer = answer
    with pytest.raises(ModelError, match="did not take the weights of version 3"):
        host.load(3, ())
    assert host.broken
    assert "set_weight_version" not in notes.take()
    host.sleep()
    assert notes.take() == []
