"""Attention to stretches of keys, and how what several stretches give becomes what one softmax over all would give.

Shapes: X, Y any two leading sizes, D key size, E value size, S places of keys.
"""

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["attend", "bias", "merge", "with_sinks"]

_FAR = -1e30
"""What is added to scores outside a window: as good as -inf, and a stretch that is all outside stays a number."""


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention (X, Y, ..., E) and the log-sum-exp of its scores (X, Y, ...), from queries (X, Y, ..., D), transposed
    keys (X, Y, D, S), values (X, Y, S, E) and a float32 bias of the last places, which broadcasts to their scores
    (X, Y, ..., S). Scores are float32, as the trainer's: rounded to bf16, those of 8 and more would be off by 1/64."""
    shape = query.shape[:-1]
    flat_query, flat_key = query.flatten(0, 1).flatten(1, -2), key.flatten(0, 1)
    if query.dtype == torch.float32:
        scores = torch.bmm(flat_query, flat_key).view(*shape, -1)
    else:
        scores = torch.bmm(flat_query, flat_key, out_dtype=torch.float32).view(*shape, -1)
    if bias.shape[-1]:
        scores[..., -bias.shape[-1] :] += bias
    weights = torch.softmax(scores, -1)
    lse = scores.amax(-1) - weights.amax(-1).log()  # the largest score minus its log-probability
    mixed = torch.bmm(weights.to(value.dtype).flatten(0, 1).flatten(1, -2), value.flatten(0, 1)).view(*shape, -1)
    return mixed, lse


def bias(
    lengths: npt.NDArray[np.int64],
    first: int,
    places: int,
    device: torch.device,
    starts: npt.NDArray[np.int64] | None = None,
) -> torch.Tensor:
    """0 where a place from `first` on holds a key that is seen and next to nothing where it does not, as
    (len(lengths), places - first). Of `lengths` keys those from `starts` on are seen, where that is given."""
    place = np.arange(first, places)
    hidden = place >= lengths[:, None]
    if starts is not None:
        hidden |= place < starts[:, None]
    mask = torch.from_numpy(hidden).to(device)
    return torch.zeros(mask.shape, device=device).masked_fill_(mask, float("-inf") if starts is None else _FAR)


def merge(
    one: tuple[torch.Tensor, torch.Tensor],
    other: tuple[torch.Tensor, torch.Tensor],
    sinks_H: torch.Tensor | None = None,
) -> torch.Tensor:
    """What a softmax over both stretches gives, float32, of two (attention (..., K, Q, E), log-sum-exp (..., K, Q)),
    and over the heads' sinks, H = K * Q."""
    share = torch.sigmoid(one[1] - other[1])[..., None]
    mixed = torch.lerp(other[0].float(), one[0].float(), share)
    return mixed if sinks_H is None else with_sinks(mixed, torch.logaddexp(one[1], other[1]), sinks_H)


def with_sinks(mixed: torch.Tensor, lse: torch.Tensor, sinks_H: torch.Tensor) -> torch.Tensor:
    """Attention (..., K, Q, E) of log-sum-exp (..., K, Q), less the share that sinks take."""
    return mixed * torch.sigmoid(lse - sinks_H.float().view(lse.shape[-2:]))[..., None]
