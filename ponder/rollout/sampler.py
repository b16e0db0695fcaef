"""One token per sequence from a batch of logits, with its log-prob under the distribution that sampled it.

Each choice uses one uniform number that derives from (seed of the sample, position in the completion) alone, so it does
not matter which sequences are sampled together, and a resumed run repeats every choice. The number is turned into a
token by inverting the cumulative distribution.

Shapes: N sequences, V vocabulary, B tokens of a block, C candidates.
"""

import numpy as np
import numpy.typing as npt
import torch

from ponder.recipe.rollout import Sampling

__all__ = ["sample", "uniforms"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_BLOCK = 64
"""Tokens whose mass is summed before the cumulative sum, which is slow: V / 64 + 64 terms instead of V."""


def uniforms(seed_N: npt.NDArray[np.uint64], position_N: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1), a pure function of (seed, position): the splitmix64 generator (Steele et al. 2014) used as a
    hash, once over the seed and once over the seed's stream at the position."""
    state_N = _mix(seed_N + _GOLDEN)
    bits_N = _mix(state_N + _GOLDEN * (position_N.astype(np.uint64) + np.uint64(1)))
    return (bits_N >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(bits_N: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    bits_N = (bits_N ^ (bits_N >> np.uint64(30))) * _MIX[0]
    bits_N = (bits_N ^ (bits_N >> np.uint64(27))) * _MIX[1]
    return bits_N ^ (bits_N >> np.uint64(31))


def sample(logits_NV: torch.Tensor, uniform_N: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """(tokens, log-probs) of one draw per row. `logits_NV` is float32 and is overwritten; `uniform_N` float64.

    The log-prob is that of the token under the distribution after temperature and truncation, normalised again. With
    temperature 0 the token is the most likely one and its log-prob that of the untempered softmax. Truncation keeps
    the `top_k` most likely tokens, then of these the fewest whose share of their mass reaches `top_p`; tokens exactly
    as likely as the least likely one kept are kept too.
    """
    if sampling.temperature == 0:
        logprob_N, token_N = torch.log_softmax(logits_NV, 1).max(1)
        return token_N, logprob_N
    if sampling.temperature != 1:
        logits_NV.div_(sampling.temperature)
    mass_NV = logits_NV.sub_(logits_NV.amax(1, keepdim=True)).exp_()
    if sampling.top_k or sampling.top_p < 1:
        _truncate(mass_NV, sampling.top_k, sampling.top_p)
    return _draw(mass_NV, uniform_N)


def _draw(mass_NV: torch.Tensor, uniform_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens in proportion to `mass_NV` >= 0: first a block by the blocks' sums, then a token within it."""
    size = mass_NV.shape[1]
    whole = size - size % _BLOCK
    block_sums = mass_NV[:, :whole].view(len(mass_NV), -1, _BLOCK).sum(2) if whole else mass_NV[:, :0]
    if whole < size:
        block_sums = torch.cat([block_sums, mass_NV[:, whole:].sum(1, keepdim=True)], 1)
    block_N, rest_N, total_N = _invert(block_sums, uniform_N)
    column_NB = block_N[:, None] * _BLOCK + torch.arange(_BLOCK, device=mass_NV.device)
    block_NB = mass_NV.gather(1, column_NB.clamp(max=size - 1)).masked_fill_(column_NB >= size, 0)
    offset_N, _, _ = _invert(block_NB, None, rest_N)
    token_N = block_N * _BLOCK + offset_N
    chosen_N = mass_NV.gather(1, token_N[:, None])[:, 0]
    return token_N, (chosen_N.double() / total_N).log().float()


def _invert(
    mass_NC: torch.Tensor, uniform_N: torch.Tensor | None, target_N: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The first column whose cumulative mass exceeds the target, what of the target falls into it, and the total mass.

    The target is `target_N` or the uniform share of the total. It is kept below the total, so that rounding never
    leads past the last column that has mass; a column without mass never exceeds anything first.
    """
    cumulative_NC = mass_NC.double().cumsum(1)
    total_N = cumulative_NC[:, -1]
    if uniform_N is not None:
        target_N = uniform_N * total_N
    assert target_N is not None
    target_N = torch.minimum(target_N, torch.nextafter(total_N, torch.zeros_like(total_N)))
    column_N = (cumulative_NC <= target_N[:, None]).sum(1).clamp_(max=mass_NC.shape[1] - 1)
    before_N = cumulative_NC.gather(1, (column_N - 1).clamp_(min=0)[:, None])[:, 0].masked_fill_(column_N == 0, 0)
    return column_N, target_N - before_N, total_N


def _truncate(mass_NV: torch.Tensor, top_k: int, top_p: float) -> None:
    """Zero the mass of tokens outside the `top_k` and, of these, outside the nucleus."""
    if mass_NV.device.type == "cpu":  # numpy sorts float32 several times faster there
        sorted_NV = torch.from_numpy(np.sort(mass_NV.numpy(), 1)).flip(1)
    else:
        sorted_NV = mass_NV.sort(1, descending=True).values
    best_NC = sorted_NV[:, :top_k] if top_k else sorted_NV
    least_N1 = best_NC[:, -1:]
    if top_p < 1:
        cumulative_NC = best_NC.cumsum(1)
        last_N1 = (cumulative_NC < top_p * cumulative_NC[:, -1:]).sum(1, keepdim=True)
        least_N1 = best_NC.gather(1, last_N1)
    mass_NV.masked_fill_(mass_NV < least_N1, 0)
