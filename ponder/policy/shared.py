"""One packed row shared by several processes: each has a part of its tokens, and for attention a part of its heads.

Outside attention a token meets no other, so a process computes its own tokens and keeps their activations alone: a
sequence may be as many times as long. Before attention the processes exchange: each gives the others their heads of its
tokens and gets its own heads of theirs, attends with them to whole sequences, and the results go back the same way
(Jacobs et al. 2023, arXiv 2309.14509, Ulysses).

Shapes: C processes that share; t = T / C tokens of each; N heads, H query heads, K key heads, D key size, E value size.
"""

import math
from typing import Protocol

import torch

from ponder.policy.attention import Layout, attention_dtype
from ponder.policy.packed import PackedLayout
from ponder.recipe.shape import check_context

__all__ = ["Share", "SharedLayout"]


class Share(Protocol):
    """A process's part of what `parts` of them compute together; `part` counts from 0."""

    @property
    def parts(self) -> int: ...

    @property
    def part(self) -> int: ...

    def exchange(self, x_C: torch.Tensor) -> torch.Tensor:
        """Row c to process c; what comes back is by sender. Gradients go back the way."""
        ...

    def join(self, own: torch.Tensor, place: torch.Tensor, count: int) -> torch.Tensor:
        """The `count` values of all, of which each has those at its places. All make the same loss of them, so a
        process's gradient is that of its own."""
        ...


class SharedLayout:
    """A process's part of the tokens of `whole`, whose number C divides: from `first` to `last`."""

    def __init__(self, whole: PackedLayout, share: Share) -> None:
        if whole.tokens % share.parts:
            raise AssertionError(f"{whole.tokens} tokens for {share.parts} processes")
        self._whole, self._share = whole, share
        tokens = whole.tokens // share.parts
        self.first, self.last = share.part * tokens, (share.part + 1) * tokens

    def attend(
        self,
        query_BHTD: torch.Tensor,
        key_BKLD: torch.Tensor,
        value_BKLE: torch.Tensor,
        scaling: float,
        reach: int | None = None,
        sinks_H: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `Layout.attend`."""
        parts, heads, keys = self._share.parts, query_BHTD.shape[1], key_BKLD.shape[1]
        check_context(heads, "the model", parts)
        if copies := parts // math.gcd(keys, parts) - 1:  # of too few key heads each process gets what its own need
            key_BKLD, value_BKLE = (x.repeat_interleave(copies + 1, 1) for x in (key_BKLD, value_BKLE))
        dtype = attention_dtype(value_BKLE.device, value_BKLE.dtype)
        query, key, value = (self._to_heads(x.to(dtype)) for x in (query_BHTD, key_BKLD, value_BKLE))
        mine = None if sinks_H is None else sinks_H.view(parts, -1)[self._share.part]
        inner: Layout = self._whole
        return self._to_tokens(inner.attend(query, key, value, scaling, reach, mine))

    def _to_heads(self, x_1NtD: torch.Tensor) -> torch.Tensor:
        """All heads of own tokens (1, N, t, D) to own heads of all tokens (1, N / C, T, D)."""
        _, heads, tokens, size = x_1NtD.shape
        parts = self._share.parts
        x_CNtD = self._share.exchange(x_1NtD[0].reshape(parts, heads // parts, tokens, size))
        return x_CNtD.transpose(0, 1).reshape(1, heads // parts, parts * tokens, size)

    def _to_tokens(self, x_1TNE: torch.Tensor) -> torch.Tensor:
        """Own heads of all tokens (1, T, N / C, E) to all heads of own tokens (1, t, N, E)."""
        _, tokens, heads, size = x_1TNE.shape
        parts = self._share.parts
        x_CtNE = self._share.exchange(x_1TNE[0].reshape(parts, tokens // parts, heads, size))
        return x_CtNE.permute(1, 0, 2, 3).reshape(1, tokens // parts, parts * heads, size)
