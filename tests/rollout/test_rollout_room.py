"""A bounded memory of keys and values: rows wait until there is room, and what is drawn stays what it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from test_rollout_cohorts import make
from transformers import PreTrainedTokenizerFast

from ponder.errors import ModelError
from ponder.policy import Policy
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.rollout import LocalEngine, Request
from ponder.rollout.cohorts import CohortKeys
from ponder.rollout.room import Room, device_bytes, room_of
from ponder.rollout.schedule import Schedule
from ponder.rollout.slots import SlotCache

MAX_TOKENS = 24


def asked(prompts: int = 4, samples: int = 3) -> list[Request]:
    generator = np.random.default_rng(5)
    return [
        Request(prompt_ids=tuple(generator.integers(4, 56, size=3 + 5 * i).tolist()), seeds=tuple(range(samples)),
                key=str(i))
        for i in range(prompts)
    ]  # fmt: skip


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """The most bytes of the cache and rows of a layout."""
    most = {"bytes": 0, "rows": 0}
    original = SlotCache.make_room

    def measured(cache: SlotCache, rows: int, length: int) -> None:
        original(cache, rows, length)
        most["bytes"], most["rows"] = max(most["bytes"], cache.bytes()), max(most["rows"], rows)

    with monkeypatch.context() as patch:
        patch.setattr(SlotCache, "make_room", measured)
        yield most


def test_a_tight_cache_draws_the_same_tokens_in_its_bytes(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every architecture; two completions fit, each with a prompt of its own."""
    check_tight(policy, 2, monkeypatch)


@pytest.mark.parametrize("rows", [1, 5])
def test_a_cache_of_one_completion_and_of_several(qwen2: Policy, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check_tight(qwen2, rows, monkeypatch)


def check_tight(policy: Policy, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    requests, sampling = asked(), Sampling(temperature=1.3)
    policy.stop_ids = frozenset(range(1, 4))  # some end early
    free = LocalEngine(policy, 256, 1).generate(requests, sampling, MAX_TOKENS, 0)
    longest = max(len(one.prompt_ids) for one in requests)
    bound = rows * sum(room_of(policy, 1).sizes(longest, MAX_TOKENS))
    with watched(monkeypatch) as most:
        tight = LocalEngine(policy, 256, 1, cache_bytes=bound).generate(requests, sampling, MAX_TOKENS, 0)
    assert most["bytes"] <= bound and most["rows"] == rows
    for group, again in zip(free, tight, strict=True):
        assert [one.token_ids for one in group] == [one.token_ids for one in again]
    with watched(monkeypatch) as most:
        LocalEngine(policy, 256, 1, cache_bytes=100 * bound).generate(requests, sampling, MAX_TOKENS, 0)
    assert most["rows"] >= 12


def test_lanes_share_the_bytes(qwen2: Policy) -> None:
    requests = asked(4, 4)
    longest = max(len(one.prompt_ids) for one in requests)
    bound = 2 * sum(room_of(qwen2, 1).sizes(longest, MAX_TOKENS))
    free = LocalEngine(qwen2, 256, 1).generate(requests, Sampling(), MAX_TOKENS, 0)
    tight = LocalEngine(qwen2, 256, 2, cache_bytes=bound).generate(requests, Sampling(), MAX_TOKENS, 0)
    assert [[c.token_ids for c in g] for g in free] == [[c.token_ids for c in g] for g in tight]


def test_models_by_their_own_code_wait_for_room_too(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, requests = make("qwen3_next", tokenizer), asked(4, 2)
    bound = 3 * sum(room_of(policy, 1).sizes(18, 20))
    free = LocalEngine(policy, 256, 1).generate(requests, Sampling(), 20, 0)
    most, original = 0, CohortKeys.layout

    def measured(keys: CohortKeys, *arguments: Any) -> Any:
        nonlocal most
        most = max(most, keys.held_bytes())
        return original(keys, *arguments)

    monkeypatch.setattr(CohortKeys, "layout", measured)
    tight = LocalEngine(policy, 256, 1, cache_bytes=bound).generate(requests, Sampling(), 20, 0)
    assert [[c.token_ids for c in g] for g in free] == [[c.token_ids for c in g] for g in tight]
    assert 0 < most <= bound


def test_too_little_for_one_is_said(qwen2: Policy) -> None:
    needed = sum(room_of(qwen2, 1).sizes(18, MAX_TOKENS))
    LocalEngine(qwen2, 4, 1, cache_bytes=needed).generate(asked(), Sampling(), MAX_TOKENS, 0)
    with pytest.raises(ModelError, match=r"one completion of 24 tokens and its prompt of 18 take .* engine.cache_gib"):
        LocalEngine(qwen2, 4, 1, cache_bytes=needed - 1).generate(asked(), Sampling(), MAX_TOKENS, 0)


def test_sizes_by_hand() -> None:
    assert Room(1000, 2).sizes(17, 16) == (64, 64) and Room(1000, 2).sizes(16, 9) == (32, 32)
    assert Room(1000, 2, fixed_bytes=3, copies=True).sizes(16, 9) == (35, 70)
    assert Room(1001, 2).shared(2) == Room(500, 2)
    assert EngineConfig(cache_gib=1.5).cache_bytes(1) == 3 * 2**29 and EngineConfig().cache_bytes(10) == 5


def test_memory_of_the_device(qwen2: Policy) -> None:
    assert device_bytes(qwen2.device) > 2**28


def test_a_closed_schedule_begins_what_fits() -> None:
    machine = Schedule(10, memory=100)
    for prompt in range(3):
        machine.add(prompt, 5, range(2 * prompt, 2 * prompt + 2), prompt_bytes=20, row_bytes=25)
    assert machine.prompts_to_compute() == [0, 1] and machine.reserved == 90
    machine.computed([0, 1])
    assert machine.seat() == 2 and machine.sample_R.tolist() == [0, 2]
    machine.release(np.array([True, False]))
    assert machine.squeeze() is not None  # idle rows are not kept where anybody waits for memory
    assert machine.seat() == 1 and machine.sample_R.tolist() == [2, 1]
