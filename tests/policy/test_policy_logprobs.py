"""Chunked log-probs and entropy against the full computation: values, gradients, memory."""

from typing import Any

import pytest
import torch
from rounding import assert_close_products
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ponder.policy import Head, token_logprobs
from ponder.policy import logprobs as module


def full(
    hidden: torch.Tensor, head: Head, target: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.nn.functional.linear(hidden, head.weight_VD, head.bias_V) * head.scale / temperature
    logprobs = logits.double().log_softmax(-1)
    return logprobs.gather(1, target[:, None])[:, 0].float(), -(logprobs.exp() * logprobs).sum(-1).float()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("parts", ["logprobs", "entropy", "both"])
def test_equals_full_computation(
    bias: bool, temperature: float, scale: float, parts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WORD_ROUND", 8)  # blocks of 8 words, the last one of 2
    torch.manual_seed(0)
    leaves = [torch.randn(37, 16), torch.randn(50, 16), *([torch.randn(50)] if bias else [])]
    target, upstream = torch.randint(0, 50, (37,)), torch.randn(2, 37)
    results = []
    for compute in (full, lambda *a: token_logprobs(*a, chunk=8)):
        inputs = [x.clone().requires_grad_() for x in leaves]
        head = Head(inputs[1], inputs[2] if bias else None, scale)
        logprobs, entropy = compute(inputs[0], head, target, temperature)
        kept = {"logprobs": [logprobs], "entropy": [entropy], "both": [logprobs, entropy]}[parts]
        sum((u * x).sum() for u, x in zip(upstream, kept, strict=False)).backward()
        results.append([logprobs.detach(), entropy.detach(), *(x.grad for x in inputs)])
    for a, b in zip(*results, strict=True):
        assert_close_products(a, b)


def test_a_peak_in_any_block() -> None:
    torch.manual_seed(1)
    hidden, weight, target = torch.randn(9, 4), torch.randn(200, 4), torch.arange(9) * 22
    for word in (0, 63, 64, 150, 199):
        bias = torch.zeros(200)
        bias[word] = 60.0
        found = token_logprobs(hidden, Head(weight, bias, 1.0), target, chunk=1)
        expected = full(hidden, Head(weight, bias, 1.0), target, 1.0)
        for a, b in zip(found, expected, strict=True):
            assert_close_products(a, b)


def test_softmax_is_float32_under_bf16() -> None:
    torch.manual_seed(2)
    hidden, weight, target = torch.randn(20, 32), torch.randn(100, 32), torch.randint(0, 100, (20,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logprobs, entropy = token_logprobs(hidden, Head(weight, None, 1.0), target)
        logits = (hidden @ weight.T).float()
    expected = logits.log_softmax(-1)
    assert logprobs.dtype == entropy.dtype == torch.float32
    assert_close_products(logprobs, expected.gather(1, target[:, None])[:, 0])


def test_extreme_logits_stay_finite() -> None:
    hidden, weight = torch.full((4, 2), 300.0, requires_grad=True), torch.tensor([[300.0, 0.0], [0.0, -300.0]])
    logprobs, entropy = token_logprobs(hidden, Head(weight, None, 1.0), torch.tensor([0, 1, 0, 1]))
    (logprobs.sum() + entropy.sum()).backward()
    assert logprobs.tolist() == [0.0, -180000.0, 0.0, -180000.0]
    assert entropy.tolist() == [0.0] * 4
    assert hidden.grad is not None and hidden.grad.isfinite().all()


class _LargestTensor(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sizes = [x.untyped_storage().nbytes() // 4 for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        self.elements = max([self.elements, *sizes])
        return result


def largest_tensor(compute: Any, tokens: int) -> int:
    hidden, weight = torch.randn(tokens, 8, requires_grad=True), torch.randn(4096, 8, requires_grad=True)
    with _LargestTensor() as largest:
        logprobs, entropy = compute(hidden, Head(weight, None, 1.0), torch.zeros(tokens, dtype=torch.long), 1.0)
        (logprobs.sum() + entropy.sum()).backward()
    return largest.elements


def test_memory_does_not_grow_with_length_times_vocabulary() -> None:
    assert largest_tensor(full, 1024) >= 1024 * 4096  # the measurement can fail
    chunked = [largest_tensor(token_logprobs, tokens) for tokens in (512, 2048)]
    assert chunked[0] == chunked[1] <= module._BLOCK_ELEMENTS
