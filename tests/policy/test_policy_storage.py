"""Weights that nothing trains are kept as products take them: less memory, and the same numbers bit for bit."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from devices import DEVICE
from tiny_architectures import ARCHITECTURES as KINDS
from tiny_models import ARCHITECTURES, tiny_policy
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedTokenizerFast

from ponder.policy import Policy, add_lora, load_policy, random_policy, save_policy
from ponder.policy.scorer import Scored
from ponder.policy.scorer_load import load_scorer, new_scorer, save_scorer
from ponder.recipe import Lora
from ponder.recipe.rollout import Sampling
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.records import Completion
from ponder.rollout import LocalEngine, Request
from ponder.train import Sample, Trainer

PRODUCTS = ("_proj.weight", "_a_proj_with_mqa.weight")
SAMPLES = [
    Sample(prompt_ids=(2, 3, 4), response_ids=tuple(range(5, 40)), group="a", weight=0.1),
    Sample(prompt_ids=(8, 9), response_ids=(10, 11, 12, 13, 14, 1), group="b", weight=0.1),
]
REQUESTS = [Request(prompt_ids=(5, 6, 7), seeds=(1, 2, 3), key="p"), Request(prompt_ids=(9,), seeds=(4, 5), key="q")]


def sampled(policy: Policy) -> list[tuple[Completion, ...]]:
    return LocalEngine(policy, lanes=1).generate(REQUESTS, Sampling(), 24, 0)


def logprobs(policy: Policy) -> list[torch.Tensor]:
    return Trainer(policy, Optimizer(), BatchLimits()).logprobs(SAMPLES)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_a_model_that_only_writes(name: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    save_policy(tiny_policy(name, tokenizer), tmp_path)
    whole, half = (load_policy(tmp_path, precision="bf16", device=DEVICE, trained=trained) for trained in (True, False))
    kept = {p.dtype for n, p in half.model.named_parameters() if "self_attn" in n and n.endswith(PRODUCTS)}
    assert kept == {torch.bfloat16} and not any(p.requires_grad for p in half.model.parameters())
    assert {p.dtype for p in whole.model.parameters()} == {torch.float32}
    assert all(torch.equal(a, b) for a, b in zip(logprobs(whole), logprobs(half), strict=True))
    assert sampled(whole) == sampled(half)
    exact = load_policy(tmp_path, precision="fp32", device=DEVICE, trained=False)
    assert {p.dtype for p in exact.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_reference_model(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    policy = tiny_policy(name, tokenizer, precision="bf16")
    reference = policy.frozen_copy()
    size = sum(p.nbytes for p in reference.model.parameters())
    assert size < 0.85 * sum(p.nbytes for p in policy.model.parameters())  # embeddings are much of so small a model
    assert all(torch.equal(a, b) for a, b in zip(logprobs(policy), logprobs(reference), strict=True))


@pytest.mark.filterwarnings("ignore:Model 'random (mamba|jamba)' runs by its own attention")
@pytest.mark.parametrize("name", ["mamba", "jamba"])
def test_biases_that_no_product_takes(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    policy = random_policy(KINDS[name], tokenizer, "r1-zero", seed=3, precision="bf16", device=DEVICE)
    reference = policy.frozen_copy()
    kinds = {n: p.dtype for n, p in reference.model.named_parameters() if "dt_proj" in n}
    assert {dtype for n, dtype in kinds.items() if n.endswith("weight")} == {torch.bfloat16}
    assert {dtype for n, dtype in kinds.items() if n.endswith("bias")} == {torch.float32}
    assert all(torch.equal(a, b) for a, b in zip(logprobs(policy), logprobs(reference), strict=True))


def test_reward_models(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    policy = tiny_policy("qwen3", tokenizer, precision="bf16")
    scorer = new_scorer(policy, loss="pairwise", scope="answer", base="tiny", max_tokens=64, seed=1)
    save_scorer(scorer, tmp_path)
    loaded = load_scorer(tmp_path, precision="bf16", device=DEVICE)
    assert {p.dtype for n, p in loaded.model.named_parameters() if n.endswith("_proj.weight")} == {torch.bfloat16}
    items = [Scored(prompt_ids=(5, 6), response_ids=((7, 8, 9), (10, 11)))]
    assert loaded.scores(items, 100) == scorer.scores(items, 100)


class Casts(TorchDispatchMode):
    """Counts what is turned from float32 into bfloat16, by shape."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[torch.Size] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func is torch.ops.aten._to_copy.default and (kwargs or {}).get("dtype") == torch.bfloat16:
            self.shapes.append(args[0].shape)
        return func(*args, **(kwargs or {}))


def test_frozen_weights_are_cast_once_while_sampling(tokenizer: PreTrainedTokenizerFast) -> None:
    policy = tiny_policy("qwen3", tokenizer, precision="bf16")
    plain = deepcopy(policy.model)
    add_lora(policy, Lora(rank=2), seed=0)
    frozen = [p for p in policy.model.parameters() if not p.requires_grad]
    with Casts() as casts:
        found = sampled(policy)
    matrices = {p.shape for n, p in plain.named_parameters() if "_proj" in n}
    assert max(len(c.token_ids) for group in found for c in group) > 10
    for shape in matrices:
        assert casts.shapes.count(shape) == sum(p.shape == shape for p in plain.parameters()), shape
    assert not any(p.requires_grad for p in frozen)  # as before
