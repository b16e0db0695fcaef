"""Blocks of rows of similar length, gathered from a packed row of tokens, attended to together and scattered back.

Shapes: T tokens of the row; N rows, Q queries and S keys of one block; H query heads, K key heads, D key size.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

__all__ = ["Arranged", "Blocks"]

_SINK_SIZE = 8
"""By how much keys are lengthened where there are sinks: fused kernels want multiples of this."""

_Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows attended to together. `mask_N1QS` (N may be 1) is added to the scores; None means causal with Q = S."""

    query_NQ: torch.Tensor
    key_NS: torch.Tensor
    mask_N1QS: torch.Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """The blocks of one reach, and where each token's output stands in their concatenated outputs."""

    blocks: list[Block]
    place_T: torch.Tensor

    def attend(
        self,
        query_THD: torch.Tensor,
        key_TKD: torch.Tensor,
        value_TKD: torch.Tensor,
        scaling: float,
        sinks_H: torch.Tensor | None,
    ) -> torch.Tensor:
        """The attention (T, H, D) of every token; see `Layout.attend`."""
        outputs = [
            _mixed(
                _gather(query_THD, block.query_NQ),
                _gather(key_TKD, block.key_NS),
                _gather(value_TKD, block.key_NS),
                None if block.mask_N1QS is None else block.mask_N1QS.to(query_THD.dtype),
                scaling,
                sinks_H,
            )
            .transpose(1, 2)
            .flatten(0, 1)
            for block in self.blocks
        ]
        return torch.cat(outputs).index_select(0, self.place_T)


class Blocks:
    """Blocks of a row of so many tokens, as they are added."""

    def __init__(self, tokens: int, device: torch.device | str) -> None:
        self._blocks: list[Block] = []
        self._place_T = np.zeros(tokens, np.int64)
        self._filled = 0
        self._device = device

    def add(
        self,
        query_NQ: _Index,
        own_N: _Index,
        key_NS: _Index,
        mask: torch.Tensor | None,
        first_N: _Index | None = None,
    ) -> None:
        """Rows of which the `own_N` queries from `first_N` on (0) are wanted."""
        column = np.arange(query_NQ.shape[1])
        first = np.zeros(len(own_N), np.int64) if first_N is None else first_N
        mine = (column >= first[:, None]) & (column < (first + own_N)[:, None])
        self._place_T[query_NQ[mine]] = self._filled + np.flatnonzero(mine)
        self._filled += query_NQ.size
        self._blocks.append(
            Block(
                query_NQ=torch.from_numpy(query_NQ).to(self._device),
                key_NS=torch.from_numpy(key_NS).to(self._device),
                mask_N1QS=mask,
            )
        )

    def mask(self, hidden_NQS: npt.NDArray[np.bool_]) -> torch.Tensor:
        mask = torch.zeros(hidden_NQS.shape, device=self._device)
        mask.masked_fill_(torch.from_numpy(hidden_NQS).to(self._device), float("-inf"))
        return mask[:, None]

    def strip_mask(self, width: int, reach: int) -> torch.Tensor:
        """Query i of a strip sees the keys i to i + reach - 1."""
        behind = np.arange(width + reach - 1) - np.arange(width)[:, None]
        return self.mask(((behind < 0) | (behind >= reach))[None])

    def arranged(self) -> Arranged:
        return Arranged(blocks=self._blocks, place_T=torch.from_numpy(self._place_T).to(self._device))


def _mixed(
    query_NHQD: torch.Tensor,
    key_NKSD: torch.Tensor,
    value_NKSD: torch.Tensor,
    mask_N1QS: torch.Tensor | None,
    scaling: float,
    sinks_H: torch.Tensor | None,
) -> torch.Tensor:
    """One block's attention (N, H, Q, D); without a mask causal."""
    causal = mask_N1QS is None
    if sinks_H is not None:
        # A first key that is 1 in a dimension of its own, where queries hold the head's score over the scaling.
        more = (0, _SINK_SIZE, 1, 0)
        share = (sinks_H.to(query_NHQD.dtype) / scaling)[None, :, None, None].expand(*query_NHQD.shape[:3], 1)
        query_NHQD = functional.pad(torch.cat([query_NHQD, share], -1), (0, _SINK_SIZE - 1, int(causal), 0))
        key_NKSD, value_NKSD = functional.pad(key_NKSD, more), functional.pad(value_NKSD, more)
        key_NKSD[:, :, 0, -_SINK_SIZE] = 1
        mask_N1QS = None if mask_N1QS is None else functional.pad(mask_N1QS, (1, 0))
    mixed = functional.scaled_dot_product_attention(
        query_NHQD,
        key_NKSD,
        value_NKSD,
        attn_mask=mask_N1QS,
        is_causal=causal,
        scale=scaling,
        enable_gqa=query_NHQD.shape[1] != key_NKSD.shape[1],
    )
    return mixed if sinks_H is None else mixed[:, :, int(causal) :, :-_SINK_SIZE]


def _gather(x_THD: torch.Tensor, index_NL: torch.Tensor) -> torch.Tensor:
    """Rows of tokens as (N, H, L, D). The backward of index_select is much faster than that of indexing."""
    flat = x_THD.index_select(0, index_NL.flatten())
    return flat.view(*index_NL.shape, *x_THD.shape[1:]).transpose(1, 2)
