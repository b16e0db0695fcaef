"""Log-probs and entropy of tokens, straight from hidden states, without ever holding all logits.

Hidden states and targets go in, one log-prob and one entropy per token come out. Logits exist for all tokens and one
block of the vocabulary at a time, forward and backward (where they are computed again), so peak memory does not depend
on tokens x vocabulary. Going by the vocabulary, the head and its gradient, the largest matrices there are (272 MB with
152k words of 896 bfloat16), are each read and written once per pass; going by tokens, once per chunk of tokens. The
matrix products use the autocast dtype; softmax and its gradient are float32.

Shapes: N tokens, D hidden size, V vocabulary, W words of a block.
"""

from typing import Any, NamedTuple

import torch

__all__ = ["Head", "token_logprobs"]

_BLOCK_ELEMENTS = 1 << 20
"""Logits of a block on a CPU: 4 MiB of float32 stay in its cache through the passes of a softmax."""
_WORD_ROUND = 64
"""Words of a block are a multiple of this, which matrix products are fast with, and no fewer."""


class Head(NamedTuple):
    """The output projection: logits = scale * (hidden @ weight.T + bias)."""

    weight_VD: torch.Tensor
    bias_V: torch.Tensor | None
    scale: float


def token_logprobs(
    hidden_ND: torch.Tensor, head: Head, target_N: torch.Tensor, temperature: float = 1.0, chunk: int = 2048
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-prob of each target under softmax(logits / temperature), and that distribution's entropy, in nats, float32.

    Both outputs carry gradients to the hidden states and to the head. At most as many logits exist at a time as
    `chunk` tokens have.
    """
    device = hidden_ND.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_ND.dtype
    elements = chunk * len(head.weight_VD)
    if device == "cpu":
        elements = min(elements, _BLOCK_ELEMENTS)
    words = max(_WORD_ROUND, elements // max(1, len(hidden_ND)) // _WORD_ROUND * _WORD_ROUND)
    compute: Any = _TokenLogprobs.apply
    logprobs_N, entropy_N = compute(
        hidden_ND, head.weight_VD, head.bias_V, target_N, head.scale / temperature, words, dtype
    )
    return logprobs_N, entropy_N


def _logits(
    hidden_ND: torch.Tensor, weight_WD: torch.Tensor, bias_W: torch.Tensor | None, scale: float
) -> torch.Tensor:
    logits_NW = torch.mm(hidden_ND, weight_WD.T).float()
    if bias_W is not None:
        logits_NW += bias_W
    return logits_NW if scale == 1.0 else logits_NW.mul_(scale)


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: torch.Tensor,
        weight_VD: torch.Tensor,
        bias_V: torch.Tensor | None,
        target_N: torch.Tensor,
        scale: float,
        words: int,
        dtype: torch.dtype,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Over the blocks, of z - peak: the sum of exp, and the sum of exp weighted by itself, rescaled whenever the
        peak rises (online softmax, Milakov and Gimelshein 2018)."""
        peak_N = torch.full((len(hidden_ND),), float("-inf"), device=hidden_ND.device)
        total_N, moment_N, chosen_N = (torch.zeros_like(peak_N) for _ in range(3))
        with torch.autocast(hidden_ND.device.type, enabled=False):
            hidden = hidden_ND.to(dtype)
            for block in _blocks(len(weight_VD), words):
                bias_W = None if bias_V is None else bias_V[block]
                logits_NW = _logits(hidden, weight_VD[block].to(dtype), bias_W, scale)
                here, column = _inside(target_N, block)
                chosen_N[here] = logits_NW[here, column]
                risen_N = torch.maximum(peak_N, logits_NW.amax(1))
                fall_N = (peak_N - risen_N).nan_to_num(neginf=0.0)  # the first block: nothing is there to rescale
                moment_N = (moment_N + fall_N * total_N) * fall_N.exp()
                total_N = total_N * fall_N.exp()
                logits_NW -= risen_N[:, None]
                exp_NW = logits_NW.exp()
                total_N += exp_NW.sum(1)
                moment_N += exp_NW.mul_(logits_NW).sum(1)
                peak_N = risen_N
        log_total_N = total_N.log()
        log_normalizer_N = peak_N + log_total_N
        entropy_N = log_total_N - moment_N / total_N
        ctx.save_for_backward(hidden_ND, weight_VD, bias_V, target_N, log_normalizer_N, entropy_N)
        ctx.scale, ctx.words, ctx.dtype = scale, words, dtype
        ctx.set_materialize_grads(False)
        return chosen_N - log_normalizer_N, entropy_N

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        """With p = softmax(z): d logprob / dz = onehot - p and d entropy / dz = -p (log p + entropy)."""
        grad_logprobs_N, grad_entropy_N = gradients
        hidden_ND, weight_VD, bias_V, target_N, log_normalizer_N, entropy_N = ctx.saved_tensors
        need_hidden, need_weight, need_bias = ctx.needs_input_grad[:3]
        grad_hidden_ND = torch.zeros_like(hidden_ND, dtype=torch.float32) if need_hidden else None
        grad_weight_VD = torch.empty_like(weight_VD) if need_weight else None
        grad_bias_V = torch.empty_like(bias_V) if need_bias else None
        factor_N1 = 0.0 if grad_logprobs_N is None else -grad_logprobs_N[:, None]
        with torch.autocast(hidden_ND.device.type, enabled=False):
            hidden = hidden_ND.to(ctx.dtype)
            for block in _blocks(len(weight_VD), ctx.words):
                weight_WD = weight_VD[block].to(ctx.dtype)
                grad_NW = _logits(hidden, weight_WD, None if bias_V is None else bias_V[block], ctx.scale)
                grad_NW -= log_normalizer_N[:, None]
                if grad_entropy_N is None:
                    grad_NW = grad_NW.exp_().mul_(factor_N1)
                else:
                    probs_NW = grad_NW.exp()
                    grad_NW = grad_NW.add_(entropy_N[:, None]).mul_(-grad_entropy_N[:, None]).add_(factor_N1)
                    grad_NW = grad_NW.mul_(probs_NW)
                if grad_logprobs_N is not None:
                    here, column = _inside(target_N, block)
                    grad_NW[here, column] += grad_logprobs_N[here]
                if ctx.scale != 1.0:
                    grad_NW.mul_(ctx.scale)
                if grad_bias_V is not None:
                    grad_bias_V[block] = grad_NW.sum(0)
                low_NW = grad_NW.to(ctx.dtype)
                if grad_hidden_ND is not None:
                    _add_product(grad_hidden_ND, low_NW, weight_WD)
                if grad_weight_VD is not None:
                    grad_weight_VD[block] = torch.mm(low_NW.T, hidden)
        if grad_hidden_ND is not None:
            grad_hidden_ND = grad_hidden_ND.to(hidden_ND.dtype)
        return grad_hidden_ND, grad_weight_VD, grad_bias_V, None, None, None, None


def _blocks(vocabulary: int, words: int) -> list[slice]:
    return [slice(start, min(start + words, vocabulary)) for start in range(0, vocabulary, words)]


def _inside(target_N: torch.Tensor, block: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens whose target is a word of the block, and its column there."""
    here = ((target_N >= block.start) & (target_N < block.stop)).nonzero()[:, 0]
    return here, target_N[here] - block.start


def _add_product(sum_ND: torch.Tensor, left_NW: torch.Tensor, right_WD: torch.Tensor) -> None:
    """sum += left @ right, added in float32 whatever the factors' dtype."""
    if left_NW.dtype == sum_ND.dtype:
        sum_ND.addmm_(left_NW, right_WD)
    else:
        sum_ND += torch.mm(left_NW, right_WD)
