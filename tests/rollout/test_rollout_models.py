"""Every row of docs/models.md: engine, trainer and the plain model agree, or the model is refused as the row says."""

import re
import warnings
from pathlib import Path

import pytest
import torch
from devices import DEVICE
from tiny_architectures import ARCHITECTURES
from transformers import PreTrainedTokenizerFast

from ponder.errors import ModelError
from ponder.policy import Policy, random_policy
from ponder.recipe.rollout import Sampling
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.rollout import LocalEngine, Request
from ponder.train import Sample, Trainer

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
TABLE = dict(re.findall(r"^\|[^|]+\| `(\w+)` \| ([a-z ]+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
REQUESTS = [
    Request(prompt_ids=(5, 6, 7), seeds=(1, 2), key="p"),
    Request(prompt_ids=tuple(4 + i % 50 for i in range(36)), seeds=(3,), key="q"),
]
TOKENS = 18


def make(name: str, tokenizer: PreTrainedTokenizerFast) -> Policy:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return random_policy(ARCHITECTURES[name], tokenizer, "r1-zero", seed=3, precision="fp32", device=DEVICE)


def samples(sampled: list[tuple[int, ...]]) -> list[Sample]:
    prompts = [request.prompt_ids for request in REQUESTS for _ in request.seeds]
    return [
        Sample(prompt_ids=prompt, response_ids=ids, group=str(prompt[0]), weight=1.0)
        for prompt, ids in zip(prompts, sampled, strict=True)
    ]


@torch.no_grad()
def plain(policy: Policy, one: Sample) -> torch.Tensor:
    """By the model's own code, one sequence alone, without a cache."""
    if policy.fallback is None:
        policy.model.set_attn_implementation("eager")
    ids = torch.tensor([[*one.prompt_ids, *one.response_ids]], device=DEVICE)
    logits = policy.model(ids, use_cache=False).logits[0, len(one.prompt_ids) - 1 : -1]
    if policy.fallback is None:
        policy.model.set_attn_implementation("ponder")
    return logits.log_softmax(-1).gather(1, torch.tensor(one.response_ids, device=DEVICE)[:, None])[:, 0]


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(
        found.cpu(), wanted.cpu(), rtol=0, atol=5e-5
    )  # logits of some ten, through experts and states


def assert_trained_as_computed(policy: Policy, rows: list[Sample]) -> None:
    found = Trainer(policy, Optimizer(), BatchLimits()).logprobs(rows)
    for mine, one in zip(found, rows, strict=True):
        assert_close(mine, plain(policy, one))


@pytest.mark.parametrize("name", TABLE)
def test_the_table_is_true(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    how = TABLE[name]
    if how == "refused":
        with pytest.raises(ModelError):
            make(name, tokenizer)
        return
    policy = make(name, tokenizer)
    assert (policy.fallback is None) == (how == "own layouts")
    engine = LocalEngine(policy, lanes=1)
    if how == "trains only":
        with pytest.raises(ModelError):
            engine.generate(REQUESTS, Sampling(), TOKENS, 0)
        assert_trained_as_computed(policy, samples([tuple(range(59, 39, -1)), (8, 7, 6), tuple(range(4, 30))]))
        return
    assert how in ("own layouts", "fallback")
    done = [one for group in engine.generate(REQUESTS, Sampling(), TOKENS, 0) for one in group]
    rows = samples([tuple(one.token_ids) for one in done])
    assert_trained_as_computed(policy, rows)
    for one, row in zip(done, rows, strict=True):
        assert_close(torch.tensor(one.logprobs, device=DEVICE), plain(policy, row))


def test_the_table_holds_what_its_text_promises() -> None:
    assert len(TABLE) >= 30 and set(TABLE.values()) == {"own layouts", "fallback", "trains only", "refused"}
    assert set(ARCHITECTURES) == set(TABLE)
