"""Models that run by their own code: engine, trainer and the plain model agree, whatever is kept of the past."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import DEVICE
from test_rollout_live import finish
from tiny_architectures import ARCHITECTURES
from transformers import PreTrainedTokenizerFast

from ponder.policy import PackedLayout, Policy, load_policy, random_policy, save_policy
from ponder.recipe.rollout import Sampling
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.rollout import Bounds, Job, LiveEngine, LocalEngine, Request
from ponder.rollout.cohorts import CohortKeys
from ponder.train import Sample, Trainer

KINDS = ["llama4_text", "qwen3_next", "lfm2", "mamba2", "falcon_h1"]
"""Chunks, a linear attention, a convolution, a state alone, a state beside attention."""


def make(name: str, tokenizer: PreTrainedTokenizerFast) -> Policy:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        policy = random_policy(ARCHITECTURES[name], tokenizer, "r1-zero", seed=3, precision="fp32", device=DEVICE)
    assert policy.fallback
    policy.stop_ids = frozenset(range(1, 5))
    return policy


def asked() -> list[Request]:
    """Prompts of lengths alike and unlike, up to twice the chunks of 16."""
    generator = np.random.default_rng(5)
    return [
        Request(prompt_ids=tuple(generator.integers(4, 60, size=size).tolist()), seeds=tuple(range(count)), key=str(i))
        for i, (size, count) in enumerate([(3, 3), (3, 1), (37, 2), (16, 3)])
    ]


def exact(policy: Policy, request: Request, completion: Any) -> torch.Tensor:
    with torch.no_grad():
        logits = policy.model(torch.tensor([[*request.prompt_ids, *completion.token_ids]], device=DEVICE)).logits[0]
    logprobs = logits[len(request.prompt_ids) - 1 : -1].log_softmax(-1)
    return logprobs.gather(1, torch.tensor(completion.token_ids, device=DEVICE)[:, None])[:, 0]


@pytest.mark.parametrize("name", KINDS)
def test_engine_trainer_and_model_agree(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    policy = make(name, tokenizer)
    requests = asked()
    plain = Sampling()
    for engine in (LocalEngine(policy, max_slots=4, lanes=1), LiveEngine(policy, Bounds(rows=4))):
        done = engine.generate(requests, plain, 24, 0)
        samples, wanted = [], []
        for request, group in zip(requests, done, strict=True):
            for one in group:
                wanted.append(exact(policy, request, one))
                torch.testing.assert_close(torch.tensor(one.logprobs, device=DEVICE), wanted[-1], rtol=0, atol=2e-5)
                samples.append(
                    Sample(prompt_ids=request.prompt_ids, response_ids=one.token_ids, group=request.key, weight=1.0)
                )
        found = Trainer(policy, Optimizer(), BatchLimits(tokens_per_micro_batch=64)).logprobs(samples)
        for mine, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(mine, theirs.cpu(), rtol=0, atol=2e-5)
    lengths = {len(one.token_ids) for group in done for one in group}
    assert len(lengths) > 2, "rows should end apart"


def test_forced_and_cancelled(tokenizer: PreTrainedTokenizerFast) -> None:
    """One position a step; who leaves changes nobody else's answer, and memory is given back."""
    policy = make("lfm2", tokenizer)
    prompt, forced = (5, 6, 7), (20, 21, 22, 23)
    alone = LiveEngine(policy, Bounds(rows=4))
    number = alone.submit(Job(prompt_ids=prompt, seeds=(1, 2), max_tokens=20, key="a", forced=forced))
    expected = finish(alone)[number, 1]
    assert tuple(expected.ids[:4]) == forced and not alone.load_now.held_bytes and not alone.load_now.reserved_bytes
    engine = LiveEngine(policy, Bounds(rows=4))
    number = engine.submit(Job(prompt_ids=prompt, seeds=(1, 2), max_tokens=20, key="a", forced=forced))
    engine.step()
    engine.submit(Job(prompt_ids=(9, 8), seeds=(5,), max_tokens=20, key="b"))
    engine.cancel(number, 0)
    assert 0 < engine.load_now.held_bytes <= engine.load_now.reserved_bytes
    told = finish(engine)
    assert told[number, 1].ids == expected.ids[-len(told[number, 1].ids) :]


def test_what_a_token_takes(tokenizer: PreTrainedTokenizerFast) -> None:
    """A key and a value for each head of the layer that attends, two inputs of the convolution for all time."""
    policy = make("lfm2", tokenizer)
    with torch.no_grad():
        prompt, row = CohortKeys(policy).job_bytes(10, 20)
    each = 2 * 2 * 8 * 4  # keys and values, heads, size, bytes
    assert row - prompt == 20 * each and 0 < prompt - 10 * each < 4 * 32 * 8


def test_updates_and_saved_folders(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """Its gradient is that of each sequence alone; what was trained is what is loaded again."""
    policy = make("llama4_text", tokenizer)
    prompts, responses = [[5, 6, 7], list(range(8, 30))], [[9, 10, 11, 12], [13, 14], [15, 16, 17]]
    layout = PackedLayout([3, 22], [4, 2, 3], [0, 0, 1], DEVICE, padding=4)
    ids = [*prompts[0], *prompts[1], 0, 0, 0, 0, *responses[0], *responses[1], *responses[2]]
    packed = policy.hidden(torch.tensor([ids], device=DEVICE), layout.position_ids_T[None], layout)
    rows = [prompts[0] + responses[0], prompts[0] + responses[1], prompts[1] + responses[2]]
    starts = [int(start) for start in layout.response_starts]
    policy.model.zero_grad()
    sum(packed[start : start + len(r)].square().sum() for start, r in zip(starts, responses, strict=True)).backward()
    found = {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}
    policy.model.zero_grad()
    own = [
        policy.model.model(torch.tensor([row], device=DEVICE)).last_hidden_state[0, -len(r) :]
        for row, r in zip(rows, responses, strict=True)
    ]
    sum(one.square().sum() for one in own).backward()
    for name, parameter in policy.model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-4)
    save_policy(policy, tmp_path)
    with pytest.warns(UserWarning, match="padded and several times slower, since Llama4TextAttention leaves out other"):
        again = load_policy(tmp_path, precision="fp32", device=DEVICE)
    with torch.no_grad():
        same = again.hidden(torch.tensor([ids], device=DEVICE), layout.position_ids_T[None], layout)
    torch.testing.assert_close(same, packed.detach(), rtol=0, atol=1e-5)
