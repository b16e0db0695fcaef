"""One token per sequence from a batch of logits, with its log-prob under the distribution that sampled it.

Each choice uses one uniform number that derives from (seed of the sample, position in the completion) alone, so it does
not matter which sequences are sampled together, and a resumed run repeats every choice. The number is turned into a
token by inverting the cumulative distribution.

Shapes: N sequences, V vocabulary, B tokens of a block, C candidates.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ponder.recipe.rollout import Sampling
from ponder.rollout.drawing import PLAIN, Drawing, Likeliest
from ponder.rollout.guide import Bias

__all__ = ["add_bias", "allow", "likeliest", "sample", "sample_rows", "tempered", "uniforms"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_BLOCK = 64
"""Tokens whose mass is summed before the cumulative sum, which is slow: V / 64 + 64 terms instead of V."""
_LEAST_TEMPERATURE = 1e-20
_CANDIDATES = 1024
"""Tokens among which a nucleus is looked for first ..."""
_MORE = 16
"""... and how many times more where it is not among these."""


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


def sample_rows(
    logits_NV: torch.Tensor, uniform_N: torch.Tensor, drawings: Sequence[Drawing]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `sample`, each row by its own drawing, whatever stands beside it; `min_p` truncates last. The third is what
    the tokens were drawn from, (N, V), each row times a number of its own; greedy rows are not tempered."""
    device = logits_NV.device
    temperature_N = _temperatures(drawings, device)
    greedy_M = torch.nonzero(temperature_N == 0)[:, 0]
    best = torch.log_softmax(logits_NV[greedy_M], 1).max(1) if len(greedy_M) else None
    mass_NV = logits_NV.div_(temperature_N.masked_fill(temperature_N == 0, 1)[:, None])
    mass_NV = mass_NV.sub_(mass_NV.amax(1, keepdim=True)).exp_()
    drawn = [one if one.temperature else PLAIN for one in drawings]
    _truncate_rows(mass_NV, [(i, one) for i, one in enumerate(drawn) if one.top_k or one.top_p < 1])
    if any(one.min_p for one in drawn):
        mass_NV.mul_(mass_NV >= torch.tensor([one.min_p for one in drawn], device=device)[:, None])
    token_N, logprob_N = _draw(mass_NV, uniform_N)
    if best is not None:
        logprob_N[greedy_M], token_N[greedy_M] = best
    return token_N, logprob_N, mass_NV


def add_bias(logits_NV: torch.Tensor, bias: Bias) -> None:
    """Add it to every row, in place."""
    token_M = torch.tensor([token for token, _ in bias], device=logits_NV.device)
    logits_NV[:, token_M] += torch.tensor([value for _, value in bias], device=logits_NV.device)


def allow(logits_NV: torch.Tensor, rows: Sequence[int], allowed_MV: npt.NDArray[np.bool_]) -> None:
    """Only these tokens keep their logits in these rows, in place."""
    row_M = torch.tensor(rows, device=logits_NV.device)
    banned_MV = torch.from_numpy(~allowed_MV).to(logits_NV.device)
    logits_NV[row_M] = logits_NV[row_M].masked_fill_(banned_MV, float("-inf"))


def _temperatures(drawings: Sequence[Drawing], device: torch.device) -> torch.Tensor:
    """Of each row, float32; one so low that logits would overflow is as good as `_LEAST_TEMPERATURE`."""
    return torch.tensor(
        [one.temperature and max(one.temperature, _LEAST_TEMPERATURE) for one in drawings], device=device
    )


def tempered(logits_NV: torch.Tensor, drawings: Sequence[Drawing]) -> torch.Tensor:
    """Log-probs of all tokens, (N, V), after temperature and before any truncation: what forced tokens are measured by,
    which truncation may have left out."""
    temperature_N = _temperatures(drawings, logits_NV.device)
    return torch.log_softmax(logits_NV / temperature_N.masked_fill(temperature_N == 0, 1)[:, None], 1)


def likeliest(mass_NV: torch.Tensor, counts: Sequence[int]) -> list[Likeliest]:
    """The `counts` most likely tokens of each row that can be drawn at all, most likely first, of equals the lower id,
    with their log-probs. Rows of `mass_NV` are distributions times a number each."""
    total_N1 = mass_NV.sum(1, keepdim=True, dtype=torch.float64)
    mass_NC, token_NC = mass_NV.topk(min(max(counts), mass_NV.shape[1]), 1)
    logprob_NC = (mass_NC.double() / total_N1).log()
    found = []
    for count, tokens, logprobs in zip(counts, token_NC.tolist(), logprob_NC.tolist(), strict=True):
        pairs = [(token, logprob) for token, logprob in zip(tokens, logprobs, strict=True) if logprob > -math.inf]
        found.append(tuple(sorted(pairs[:count], key=lambda pair: (-pair[1], pair[0]))))
    return found


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
    if top_k:
        best_NC = _largest(mass_NV, min(top_k, mass_NV.shape[1]))
        least_N1 = best_NC[:, -1:]
        if top_p < 1:
            least_N1 = _reaching(best_NC, top_p * best_NC.cumsum(1)[:, -1])[0][:, None]
    else:
        least_N1 = _least_of_nucleus(mass_NV, top_p)
    if mass_NV.device.type == "cpu":  # numpy compares, selects and sorts float32 several times faster there
        mass = mass_NV.numpy()
        np.multiply(mass, mass >= least_N1.numpy(), out=mass)
    else:
        mass_NV.mul_(mass_NV >= least_N1)


def _truncate_rows(mass_NV: torch.Tensor, rows: Sequence[tuple[int, Drawing]]) -> None:
    """As `_truncate`, each of these rows by its own drawing."""
    for chosen in ([one for one in rows if one[1].top_k], [one for one in rows if not one[1].top_k]):
        if not chosen:
            continue
        row_M = torch.tensor([row for row, _ in chosen], device=mass_NV.device)
        top_p_M = torch.tensor([one.top_p for _, one in chosen], device=mass_NV.device)
        mass_MV = mass_NV[row_M]
        if chosen[0][1].top_k:
            count = torch.tensor([min(one.top_k, mass_NV.shape[1]) for _, one in chosen], device=mass_NV.device)
            best_MC = _largest(mass_MV, int(count.max()))
            best_MC = best_MC.masked_fill(torch.arange(best_MC.shape[1], device=mass_NV.device) >= count[:, None], 0)
            least_M = best_MC.gather(1, count[:, None] - 1)[:, 0]
            nucleus_M, _ = _reaching(best_MC, top_p_M * best_MC.cumsum(1)[:, -1])
            least_M1 = torch.where(top_p_M < 1, nucleus_M, least_M)[:, None]
        else:
            least_M1 = _least_of_nucleus(mass_MV, top_p_M)
        mass_NV[row_M] = mass_MV.mul_(mass_MV >= least_M1)


def _least_of_nucleus(mass_NV: torch.Tensor, top_p: float | torch.Tensor) -> torch.Tensor:
    """The least mass in each row's nucleus. A nucleus of a language model is mostly a few tokens of a large vocabulary,
    so the largest ones alone are sorted, and more of them for the rows where these do not reach `top_p`.

    That is what sorting whole rows gives, bit for bit: the sums of a row's largest masses are the first of the sums of
    all. Only the total is added up in another order, in float64, before it is rounded to float32: another number for
    one row in millions, and then another nucleus only if its border lies within that last bit.
    """
    size = mass_NV.shape[1]
    wanted_N = top_p * mass_NV.sum(1, dtype=torch.float64).float()
    least_N = torch.empty_like(wanted_N)
    needed_N = wanted_N.clone()  # so many tokens at least, since the largest mass is 1
    count = 0
    while count < size:
        count = _CANDIDATES if count == 0 else count * _MORE
        count = size if count * _MORE > size else count
        tried = torch.nonzero(needed_N <= count if count < size else ~(needed_N < 0))[:, 0]
        if len(tried):
            best_NC = _largest(mass_NV if len(tried) == len(mass_NV) else mass_NV[tried], count)
            least_N[tried], sum_N = _reaching(best_NC, wanted_N[tried])
            # The tokens that follow have less mass each; where the wanted mass is reached, nothing is needed any more.
            more_N = count * wanted_N[tried] / sum_N
            needed_N[tried] = more_N.masked_fill(~(sum_N < wanted_N[tried]), -1)
    return least_N[:, None]


def _largest(mass_NV: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` largest of each row, largest first."""
    if mass_NV.device.type != "cpu":
        return mass_NV.topk(count, 1).values
    mass = mass_NV.numpy()
    first = mass.shape[1] - count
    return torch.from_numpy(np.sort(np.partition(mass, first, 1)[:, first:] if first else mass, 1)).flip(1)


def _reaching(best_NC: torch.Tensor, wanted_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The first of each row's falling masses that brings their sum to `wanted_N`, or the last, and the sum of all."""
    cumulative_NC = best_NC.cumsum(1)
    last_N = (cumulative_NC < wanted_N[:, None]).sum(1).clamp_(max=best_NC.shape[1] - 1)
    return best_NC.gather(1, last_N[:, None])[:, 0], cumulative_NC[:, -1]
