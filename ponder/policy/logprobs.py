"""Log-probs and entropy of tokens, straight from hidden states, without ever holding all logits.

Hidden states and targets go in, one log-prob and one entropy per token come out. Logits exist for one chunk of tokens
at a time, forward and backward (where they are computed again), so peak memory does not depend on tokens x vocabulary.
The matrix products use the autocast dtype; softmax and its gradient are float32.

Shapes: N tokens, C tokens of a chunk, D hidden size, V vocabulary.
"""

from typing import Any, NamedTuple

import torch

__all__ = ["Head", "token_logprobs"]

_CHUNK_ELEMENTS = 1 << 20
"""Logits of a chunk on a CPU: 4 MiB of float32 stay in its cache through the passes of a softmax."""


class Head(NamedTuple):
    """The output projection: logits = scale * (hidden @ weight.T + bias)."""

    weight_VD: torch.Tensor
    bias_V: torch.Tensor | None
    scale: float


def token_logprobs(
    hidden_ND: torch.Tensor, head: Head, target_N: torch.Tensor, temperature: float = 1.0, chunk: int = 2048
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-prob of each target under softmax(logits / temperature), and that distribution's entropy, in nats, float32.

    Both outputs carry gradients to the hidden states and to the head. At most `chunk` tokens have logits at a time.
    """
    device = hidden_ND.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_ND.dtype
    if device == "cpu":
        chunk = min(chunk, max(64, _CHUNK_ELEMENTS // head.weight_VD.shape[0] // 64 * 64))
    compute: Any = _TokenLogprobs.apply
    logprobs_N, entropy_N = compute(
        hidden_ND, head.weight_VD, head.bias_V, target_N, head.scale / temperature, chunk, dtype
    )
    return logprobs_N, entropy_N


def _logits(
    hidden_CD: torch.Tensor, weight_VD: torch.Tensor, bias_V: torch.Tensor | None, scale: float
) -> torch.Tensor:
    logits_CV = torch.mm(hidden_CD, weight_VD.T).float()
    if bias_V is not None:
        logits_CV += bias_V
    return logits_CV if scale == 1.0 else logits_CV.mul_(scale)


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: torch.Tensor,
        weight_VD: torch.Tensor,
        bias_V: torch.Tensor | None,
        target_N: torch.Tensor,
        scale: float,
        chunk: int,
        dtype: torch.dtype,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(hidden_ND)
        logprobs_N = torch.empty(count, device=hidden_ND.device)
        entropy_N = torch.empty_like(logprobs_N)
        log_normalizer_N = torch.empty_like(logprobs_N)
        with torch.autocast(hidden_ND.device.type, enabled=False):
            weight = weight_VD.to(dtype)
            for start in range(0, count, chunk):
                rows = slice(start, start + chunk)
                logits_CV = _logits(hidden_ND[rows].to(dtype), weight, bias_V, scale)
                chosen_C = logits_CV.gather(1, target_N[rows, None])[:, 0]
                peak_C1 = logits_CV.amax(1, keepdim=True)
                logits_CV -= peak_C1
                exp_CV = logits_CV.exp()
                total_C = exp_CV.sum(1)
                log_total_C = total_C.log()
                log_normalizer_N[rows] = peak_C1[:, 0] + log_total_C
                logprobs_N[rows] = chosen_C - log_normalizer_N[rows]
                entropy_N[rows] = log_total_C - exp_CV.mul_(logits_CV).sum(1) / total_C
        ctx.save_for_backward(hidden_ND, weight_VD, bias_V, target_N, log_normalizer_N, entropy_N)
        ctx.scale, ctx.chunk, ctx.dtype = scale, chunk, dtype
        ctx.set_materialize_grads(False)
        return logprobs_N, entropy_N

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        """With p = softmax(z): d logprob / dz = onehot - p and d entropy / dz = -p (log p + entropy)."""
        grad_logprobs_N, grad_entropy_N = gradients
        hidden_ND, weight_VD, bias_V, target_N, log_normalizer_N, entropy_N = ctx.saved_tensors
        need_hidden, need_weight, need_bias = ctx.needs_input_grad[:3]
        grad_hidden_ND = torch.empty_like(hidden_ND) if need_hidden else None
        grad_weight_VD = torch.zeros_like(weight_VD) if need_weight else None
        grad_bias_V = torch.zeros_like(bias_V) if need_bias else None
        with torch.autocast(hidden_ND.device.type, enabled=False):
            weight = weight_VD.to(ctx.dtype)
            for start in range(0, len(hidden_ND), ctx.chunk):
                rows = slice(start, start + ctx.chunk)
                hidden_CD = hidden_ND[rows].to(ctx.dtype)
                grad_CV = _logits(hidden_CD, weight, bias_V, ctx.scale)
                grad_CV -= log_normalizer_N[rows, None]
                factor_C1 = 0.0 if grad_logprobs_N is None else -grad_logprobs_N[rows, None]
                if grad_entropy_N is None:
                    grad_CV = grad_CV.exp_().mul_(factor_C1)
                else:
                    probs_CV = grad_CV.exp()
                    grad_CV = grad_CV.add_(entropy_N[rows, None]).mul_(-grad_entropy_N[rows, None]).add_(factor_C1)
                    grad_CV = grad_CV.mul_(probs_CV)
                if grad_logprobs_N is not None:
                    grad_CV.scatter_add_(1, target_N[rows, None], grad_logprobs_N[rows, None])
                if ctx.scale != 1.0:
                    grad_CV.mul_(ctx.scale)
                if grad_bias_V is not None:
                    grad_bias_V += grad_CV.sum(0)
                low_CV = grad_CV.to(ctx.dtype)
                if grad_hidden_ND is not None:
                    grad_hidden_ND[rows] = torch.mm(low_CV, weight)
                if grad_weight_VD is not None:
                    _add_product(grad_weight_VD, low_CV.T, hidden_CD)
        return grad_hidden_ND, grad_weight_VD, grad_bias_V, None, None, None, None


def _add_product(sum_VD: torch.Tensor, left_VC: torch.Tensor, right_CD: torch.Tensor) -> None:
    """sum += left @ right, added in float32 whatever the factors' dtype."""
    if left_VC.dtype == sum_VD.dtype:
        sum_VD.addmm_(left_VC, right_CD)
    else:
        sum_VD += torch.mm(left_VC, right_CD)
