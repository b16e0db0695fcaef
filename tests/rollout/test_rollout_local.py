"""The engine against the models' own code: one full forward pass per token, eager attention, no cache."""

import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest
import torch
from devices import DEVICE
from rounding import assert_close_logprobs, tolerance

from ponder.errors import DataError, ModelError, PonderError
from ponder.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.records import Completion
from ponder.rollout import GenerationState, LocalEngine, Request, local, recorded, slots
from ponder.rollout.lane import Lane, Step
from ponder.rollout.sampler import sample, uniforms

MAX_TOKENS = 40


def requests(count: int = 7, samples: int = 3, seed: int = 0) -> list[Request]:
    generator = np.random.default_rng(seed)
    return [
        Request(
            prompt_ids=tuple(generator.integers(4, 60, size=1 + (i * 7) % 23).tolist()),
            seeds=tuple(range(100 * i, 100 * i + samples - (i % 2))),
            key=f"p{i}",
        )
        for i in range(count)
    ]


@torch.no_grad()
def full_logits(policy: Policy, prompt_ids: tuple[int, ...], completion: Completion) -> torch.Tensor:
    """The logits each token of the completion was chosen from, by the model's own attention."""
    policy.model.set_attn_implementation("eager")
    ids = torch.tensor([[*prompt_ids, *completion.token_ids]], device=DEVICE)
    logits = policy.model(ids).logits[0, len(prompt_ids) - 1 : -1].float()
    policy.model.set_attn_implementation("ponder")
    return logits


@pytest.mark.gpu
def test_recorded_steps_are_the_steps(qwen2: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens and log-probs bit for bit, with rows that end at different lengths, and new ones that take their place."""
    played: list[int] = []
    play = recorded._Recording.play
    monkeypatch.setattr(recorded._Recording, "play", lambda *given: (played.append(1), play(*given))[1])
    with_recordings = LocalEngine(qwen2, max_slots=6).generate(requests(), Sampling(), 200, 0)
    assert len(played) > 100
    monkeypatch.setattr(recorded, "_recordable", lambda policy: False)
    assert LocalEngine(qwen2, max_slots=6).generate(requests(), Sampling(), 200, 0) == with_recordings


def assert_right(policy: Policy, request: Request, group: tuple[Completion, ...], sampling: Sampling) -> None:
    """Each token is the draw of its seed and place from the full computation's logits, with that draw's log-prob.

    A number that falls between two tokens, as near to their border as rounding may move it, may draw either.
    """
    layers = policy.model.config.num_hidden_layers
    assert tuple(c.seed for c in group) == request.seeds
    for completion in group:
        count = len(completion.token_ids)
        token_T = torch.tensor(completion.token_ids, device=DEVICE)
        uniform_T = torch.from_numpy(uniforms(np.full(count, completion.seed, np.uint64), np.arange(count))).to(DEVICE)
        logits_TV = full_logits(policy, request.prompt_ids, completion)
        border = tolerance(float(logits_TV.abs().max()), layers, sampling.temperature or 1.0)
        near_3T = [(uniform_T + side * border).clamp(0, 1 - 2.0**-53) for side in (0, -1, 1)]
        draws_3T = [sample(logits_TV.clone(), near_T, sampling) for near_T in near_3T]
        drawn_3T = torch.stack([drawn_T for drawn_T, _ in draws_3T]) == token_T
        assert drawn_3T.any(0).all()
        logprobs_3T = torch.stack([logprobs_T for _, logprobs_T in draws_3T])
        wanted_T = logprobs_3T.gather(0, drawn_3T.int().argmax(0, keepdim=True))[0]
        got_T = torch.tensor(completion.logprobs, device=DEVICE)
        assert_close_logprobs(got_T, wanted_T, logits_TV, layers, sampling.temperature or 1.0)
        assert not policy.stop_ids.intersection(completion.token_ids[:-1])


def assert_same_samples(
    policy: Policy,
    asked: list[Request],
    one: list[tuple[Completion, ...]],
    other: list[tuple[Completion, ...]],
    sampling: Sampling,
) -> None:
    """The same tokens. Where two samples part, each is right all the same: a number at the border of two tokens."""
    for request, group, again in zip(asked, one, other, strict=True):
        if [c.token_ids for c in group] != [c.token_ids for c in again]:
            assert_right(policy, request, group, sampling)
            assert_right(policy, request, again, sampling)


def ids_of(completions: list[tuple[Completion, ...]]) -> list[list[list[int]]]:
    return [[list(c.token_ids) for c in group] for group in completions]


@pytest.mark.parametrize(("max_slots", "lanes"), [(256, 1), (5, 1), (6, 2)])
def test_sampled_equals_the_full_computation(policy: Policy, max_slots: int, lanes: int) -> None:
    """More sequences than slots: refilling, squeezing, growth of the cache; and all at once."""
    asked, sampling = requests(), Sampling(temperature=1.3)
    completions = LocalEngine(policy, max_slots, lanes).generate(asked, sampling, MAX_TOKENS, weight_version=4)
    for request, group in zip(asked, completions, strict=True):
        assert_right(policy, request, group, sampling)
        for completion in group:
            assert completion.weight_version == 4
            stopped = completion.token_ids[-1] in policy.stop_ids
            assert completion.finish_reason == ("stop" if stopped else "length")
            assert stopped or len(completion.token_ids) == MAX_TOKENS
    reasons = {c.finish_reason for group in completions for c in group}
    assert reasons == {"stop", "length"}, "the case should hold both"


def test_many_short_samples(qwen2: Policy) -> None:
    """Rows come and go at every step, some after a single token."""
    qwen2.stop_ids = frozenset(range(1, 20))
    asked = requests(40, 3)
    for request, group in zip(asked, LocalEngine(qwen2, 30, 1).generate(asked, Sampling(), 20, 0), strict=True):
        assert_right(qwen2, request, group, Sampling())


def test_greedy_equals_generate(policy: Policy) -> None:
    asked = [Request(prompt_ids=r.prompt_ids, seeds=(0,), key=r.key) for r in requests()]
    ours = LocalEngine(policy, 3, 1).generate(asked, Sampling(temperature=0), 24, 0)
    for request, group in zip(asked, ours, strict=True):
        assert_right(policy, request, group, Sampling(temperature=0))
        policy.model.set_attn_implementation("eager")
        theirs = policy.model.generate(
            torch.tensor([request.prompt_ids], device=DEVICE),
            attention_mask=torch.ones(1, len(request.prompt_ids), dtype=torch.long, device=DEVICE),
            max_new_tokens=24,
            do_sample=False,
            eos_token_id=sorted(policy.stop_ids),
            pad_token_id=policy.pad_id,
        )
        policy.model.set_attn_implementation("ponder")
        assert list(group[0].token_ids) == theirs[0, len(request.prompt_ids) :].tolist()


@pytest.mark.parametrize("sampling", [Sampling(top_k=3), Sampling(temperature=0.7, top_p=0.8)])
def test_truncated_sampling_equals_the_full_computation(qwen2: Policy, sampling: Sampling) -> None:
    asked = requests(4, 2)
    for request, group in zip(asked, LocalEngine(qwen2, 4, 1).generate(asked, sampling, 20, 0), strict=True):
        assert_right(qwen2, request, group, sampling)


@pytest.mark.parametrize(("max_slots", "lanes"), [(1, 1), (3, 1), (11, 1), (64, 3), (3, 3), (7, 2)])
def test_slots_and_lanes_do_not_change_samples(qwen2: Policy, max_slots: int, lanes: int) -> None:
    asked = requests(8, 4)
    expected = LocalEngine(qwen2, 256, 1).generate(asked, Sampling(), 16, 0)
    found = LocalEngine(qwen2, max_slots, lanes).generate(asked, Sampling(), 16, 0)
    assert_same_samples(qwen2, asked, found, expected, Sampling())


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_repeated_call_is_bit_identical(bf16: Policy, lanes: int) -> None:
    engine = LocalEngine(bf16, 12, lanes)
    assert engine.generate(requests(), Sampling(), 30, 0) == engine.generate(requests(), Sampling(), 30, 0)


def test_spans_of_unequal_rows(qwen2: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of few rows, each read to its own length, give the same samples as one stretch."""
    asked = requests(12, 3)
    whole = LocalEngine(qwen2, 7, 1).generate(asked, Sampling(), 60, 0)
    monkeypatch.setattr(slots, "_SPAN_ROWS", 1)
    monkeypatch.setattr(slots, "_SPAN_SAVING", 16)
    monkeypatch.setattr(slots, "_ROUND", 1)
    found = LocalEngine(qwen2, 7, 1).generate(asked, Sampling(), 60, 0)
    assert_same_samples(qwen2, asked, found, whole, Sampling())


def test_weights_in_training_are_those_sampled(qwen2: Policy) -> None:
    engine, asked = LocalEngine(qwen2, 16, 2), requests(8, 4)
    before = engine.generate(asked, Sampling(), 8, 0)
    with torch.no_grad():
        for parameter in qwen2.model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    after = engine.generate(asked, Sampling(), 8, 1)
    assert ids_of(after) != ids_of(before)
    for request, group in zip(asked, after, strict=True):
        assert_right(qwen2, request, group, Sampling())


def test_bf16_is_close_to_float32(bf16: Policy) -> None:
    (request,) = requests(1, 8)
    (completions,) = LocalEngine(bf16, 8, 1).generate([request], Sampling(), 30, 0)
    for completion in completions:
        exact = full_logits(bf16, request.prompt_ids, completion).log_softmax(-1)
        exact = exact.gather(1, torch.tensor(completion.token_ids, device=DEVICE)[:, None])[:, 0]
        assert 0 < (torch.tensor(completion.logprobs, device=DEVICE) - exact).abs().mean() < 0.1


@pytest.mark.parametrize("lanes", [1, 2])
def test_callbacks(qwen2: Policy, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_REPORT_SECONDS", 0.0)
    asked, seen, reports = requests(8, 4), {}, list[GenerationState]()
    result = LocalEngine(qwen2, 4, lanes).generate(
        asked, Sampling(), 30, 0, lambda key, i, c: seen.__setitem__((key, i), c), reports.append
    )
    assert seen == {(r.key, i): c for r, group in zip(asked, result, strict=True) for i, c in enumerate(group)}
    assert reports[-1].tokens == sum(len(c.token_ids) for c in seen.values())
    assert reports[-1].finished == reports[-1].total == len(seen)
    assert [r.tokens for r in reports] == sorted(r.tokens for r in reports)


def test_an_error_in_a_callback_ends_every_lane(qwen2: Policy) -> None:
    def fail(key: str, index: int, completion: Completion) -> None:
        raise KeyError(key)

    threads = torch.get_num_threads()
    children = {child.pid for child in psutil.Process().children()}
    with pytest.raises(KeyError):
        LocalEngine(qwen2, 8, 2).generate(requests(8, 4), Sampling(), 30, 0, fail)
    assert {child.pid for child in psutil.Process().children()} <= children
    assert torch.get_num_threads() == threads


def test_lanes_after_threads_were_used(qwen2: Policy) -> None:
    """A fork has none of its parent's threads; one that waited for them would wait for ever."""
    expected = ids_of(LocalEngine(qwen2, 8, 1).generate(requests(4, 4), Sampling(), 5, 0))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        large = torch.randn(600, 600)
        torch.mm(large, large).exp_().sum()
        assert ids_of(LocalEngine(qwen2, 8, 2).generate(requests(4, 4), Sampling(), 5, 0)) == expected
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.cpu
def test_a_killed_lane_is_an_error(qwen2: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Lane.steps

    def killed(self: Lane, stop: Callable[[], bool] | None = None) -> Iterator[Step]:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return steps(self, stop)

    parent = os.getpid()
    monkeypatch.setattr(Lane, "steps", killed)
    with pytest.raises(PonderError, match="SIGKILL"):
        LocalEngine(qwen2, 8, 2).generate(requests(8, 4), Sampling(), 5, 0)


@pytest.mark.cpu
def test_lanes_in_a_daemonic_process(qwen2: Policy) -> None:
    """As a worker of some pool would be: such processes may not start others through multiprocessing."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        torch.set_num_threads(1)
        sender.send(ids_of(LocalEngine(qwen2, 8, 2).generate(requests(8, 4), Sampling(), 5, 0)))

    process = context.Process(target=work, daemon=True)
    process.start()
    assert receiver.recv() == ids_of(LocalEngine(qwen2, 8, 1).generate(requests(8, 4), Sampling(), 5, 0))
    process.join()


def test_text_keeps_special_tags_and_drops_ends(qwen2: Policy) -> None:
    completions = LocalEngine(qwen2, 64, 1).generate(requests(10, 6), Sampling(temperature=3.0), 30, 0)
    flat = [c for group in completions for c in group]
    names = ["<pad>", "<eos>", "<bos>", "<think>", *(f"w{i}" for i in range(56))]
    for completion in flat:
        assert completion.text.split() == [names[i] for i in completion.token_ids if i > 2]
    assert any("<think>" in c.text for c in flat) and any(2 in c.token_ids for c in flat)


def test_memory_is_freed_and_grows_with_length_only(qwen2: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    original = slots.SlotCache.make_room

    def measured(self: slots.SlotCache, rows: int, length: int) -> None:
        original(self, rows, length)
        sizes.append((length, self.bytes()))

    monkeypatch.setattr(slots.SlotCache, "make_room", measured)
    qwen2.stop_ids = frozenset()
    LocalEngine(qwen2, 8, 1).generate(requests(2, 4), Sampling(), 200, 0)
    per_token = 2 * 2 * 2 * 8 * 4 * 8  # layers x (key, value) x heads x size x bytes x rows
    assert sizes[0][1] < 200 * per_token / 2
    assert all(size <= per_token * (1.5 * length + 64 + 48) for length, size in sizes)


def test_nan_weights_are_refused(qwen2: Policy) -> None:
    with torch.no_grad():
        qwen2.model.model.norm.weight.fill_(float("nan"))
    for lanes in (1, 2):
        with pytest.raises(ModelError, match="not finite"):
            LocalEngine(qwen2, 8, lanes).generate(requests(8, 4), Sampling(), 5, 0)


@pytest.mark.parametrize(
    ("length", "max_tokens", "error", "words"),
    [
        (256, 1, DataError, ["'long'", "256 tokens", "never cut"]),
        (250, 7, ModelError, ["'long'", "250 tokens", "257", "at most 6"]),
        (0, 7, DataError, ["'long'", "no tokens"]),
    ],
)
def test_prompts_that_do_not_fit(qwen2: Policy, length: int, max_tokens: int, error: type, words: list[str]) -> None:
    asked = [*requests(2), Request(prompt_ids=(5,) * length, seeds=(1,), key="long")]
    with pytest.raises(error) as caught:
        LocalEngine(qwen2).generate(asked, Sampling(), max_tokens, 0)
    assert all(word in str(caught.value) for word in words)


def test_a_prompt_that_just_fits(qwen2: Policy) -> None:
    qwen2.stop_ids = frozenset()
    ((completion,),) = LocalEngine(qwen2).generate(
        [Request(prompt_ids=(5,) * 250, seeds=(1,), key="long")], Sampling(), 6, 0
    )
    assert len(completion.token_ids) == 6


def test_nothing_asked(qwen2: Policy) -> None:
    assert LocalEngine(qwen2).generate([], Sampling(), 5, 0) == []
    empty = Request(prompt_ids=(5,), seeds=(), key="none")
    assert LocalEngine(qwen2).generate([empty, requests(1)[0]], Sampling(), 5, 0)[0] == ()


@pytest.mark.parametrize("lanes", [1, 2])
def test_where_memory_runs_out_fewer_are_sampled_at_a_time(
    qwen2: Policy, lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs out twice here; what was finished before is neither lost nor told twice."""
    monkeypatch.setattr(recorded, "_recordable", lambda policy: False)  # hooks are not called by what is recorded
    asked, sampling = requests(samples=9), Sampling(temperature=1.0)
    expected = LocalEngine(qwen2, 64, 1).generate(asked, sampling, MAX_TOKENS, 0)
    told: list[tuple[str, int]] = []
    passes = 0

    def full(module: torch.nn.Module, args: object) -> None:
        nonlocal passes
        passes += 1
        if passes in (8, 20):
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    engine = LocalEngine(qwen2, 64, lanes)
    with qwen2.model.base_model.register_forward_pre_hook(full), pytest.warns(UserWarning) as warned:
        found = engine.generate(asked, sampling, MAX_TOKENS, 0, on_finish=lambda key, i, _: told.append((key, i)))
    most = [int(text[1]) for one in warned if (text := re.search(r"(\d+) completions at a time", str(one.message)))]
    assert len(most) >= 2 and most[0] <= 32 and most[1] <= most[0] // 2
    assert ids_of(found) == ids_of(expected)
    assert len(told) == len(set(told)) == sum(len(request.seeds) for request in asked)
    for request, group in zip(asked, found, strict=True):
        assert_right(qwen2, request, group, sampling)


def test_memory_that_holds_no_completion_is_an_error(qwen2: Policy) -> None:
    def full(module: torch.nn.Module, args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    qwen2.model.base_model.register_forward_pre_hook(full)
    with pytest.warns(UserWarning, match="at a time"), pytest.raises(ModelError, match="a single completion was"):
        LocalEngine(qwen2, 4, 1).generate(requests(2), Sampling(), MAX_TOKENS, 0)


def test_memory_short_for_a_few_leaves_later_calls_half_at_least(
    qwen2: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, tried, short = LocalEngine(qwen2, 16, 1), list[int](), [True, True, False, True, False, False]
    original = LocalEngine._sample

    def sampled(self: LocalEngine, call: local._Call, *given: object) -> None:
        tried.append(given[2])  # type: ignore[arg-type]
        if short.pop(0):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        original(self, call, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalEngine, "_sample", sampled)
    with pytest.warns(UserWarning, match="at most 1 completions at a time"):
        engine.generate(requests(2), Sampling(), 8, 0)
    with pytest.warns(UserWarning, match="at most 4 completions at a time"):
        engine.generate(requests(), Sampling(), 8, 0)
    engine.generate(requests(), Sampling(), 8, 0)
    assert tried == [16, 2, 1, 8, 4, 4]
