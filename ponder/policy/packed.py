"""Many sequences in one row of tokens: linear layers see no padding, and no sequence sees another.

The row holds every prompt once and then every response. A response attends to its prompt's keys and to its own, so the
prompt of a group of G responses is computed once instead of G times. Attention itself runs on short padded blocks of
rows of similar length, gathered from the row and scattered back.

Shapes: T tokens of the row; N rows, Q queries and S keys of one block; H query heads, K key heads, D key size, E value
size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from ponder.policy.attention import attention_dtype

__all__ = ["PackedLayout", "round_up"]

_MAX_MASK_PER_ROW = 1 << 20
"""A response of Q queries and S keys is computed as Q x S with a mask up to this size, and as its whole S x S causal
square above: that needs no mask, and fused kernels skip its upper half."""
_MAX_BLOCK = 1 << 24
"""Rows x queries x keys of one block; bounds the memory of masks and gathered rows."""
_PADDING = 1.25
"""A block takes further rows while its padded size stays below this multiple of what is needed."""

_STEPS_PER_OCTAVE = 16
"""Sizes are rounded up to one of so many between a power of two and the next."""
_LEAST_STEP = 64

_Index = npt.NDArray[np.int64]


def round_up(count: int) -> int:
    """The next size at which matrix products are done, at most a sixteenth above `count` or 64 more.

    Kernels are made and kept once per matrix shape; sizes that never recur would cost time and, without end, memory.
    """
    step = max(_LEAST_STEP, (1 << (count - 1).bit_length()) // (2 * _STEPS_PER_OCTAVE))
    return -(-count // step) * step


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Rows attended to together. `mask_N1QS` is added to the scores; None means causal with Q = S."""

    query_NQ: torch.Tensor
    key_NS: torch.Tensor
    mask_N1QS: torch.Tensor | None


class PackedLayout:
    """The layout of one packed row: all prompts in order, then all responses in order.

    Response i has `response_lengths[i]` tokens in the row and follows prompt `prompt_of[i]`; a length of 0 is allowed.
    `position_ids_T` counts each response on from the end of its prompt. `padding` tokens follow the prompts as one
    more, all at position 0: none stands where no sequence does. `longest` is the most tokens of a sequence.
    Example: PackedLayout([2], [3, 1], [0, 0]) lays out p0 p1 | a0 a1 a2 | b0 with positions 0 1 | 2 3 4 | 2.
    """

    def __init__(
        self,
        prompt_lengths: Sequence[int],
        response_lengths: Sequence[int],
        prompt_of: Sequence[int],
        device: torch.device | str = "cpu",
        padding: int = 0,
    ) -> None:
        prompts, responses = np.asarray(prompt_lengths, np.int64), np.asarray(response_lengths, np.int64)
        owner = np.asarray(prompt_of, np.int64)
        if prompts.size == 0 or prompts.min() < 1 or len(responses) != len(owner):
            raise AssertionError(f"prompts of lengths {prompt_lengths}, {len(responses)} responses of {len(owner)}")
        before = prompts[owner]
        self.longest = int(max(prompts.max(), (before + responses).max(initial=0)))
        if padding:
            prompts = np.append(prompts, padding)
        prompt_starts = np.cumsum(prompts) - prompts
        response_starts = prompts.sum() + np.cumsum(responses) - responses
        self.tokens = int(prompts.sum() + responses.sum())
        self.prompt_starts, self.response_starts = prompt_starts, response_starts
        starts = np.concatenate([prompt_starts, response_starts])
        offsets = np.concatenate([np.zeros_like(prompts), before])
        lengths = np.concatenate([prompts, responses])
        position_T = np.arange(self.tokens) + np.repeat(offsets - starts, lengths)
        position_T[prompts.sum() - padding : prompts.sum()] = 0
        self.position_ids_T = torch.from_numpy(position_T).to(device)

        self._blocks: list[_Block] = []
        place_T = np.zeros(self.tokens, np.int64)  # where each token's output stands in the concatenated blocks
        filled = 0

        def add(query_NQ: _Index, own_N: _Index, key_NS: _Index, mask: torch.Tensor | None, first: _Index) -> None:
            nonlocal filled
            column = np.arange(query_NQ.shape[1])
            mine = (column >= first[:, None]) & (column < (first + own_N)[:, None])
            place_T[query_NQ[mine]] = filled + np.flatnonzero(mine)
            filled += query_NQ.size
            self._blocks.append(
                _Block(
                    query_NQ=torch.from_numpy(query_NQ).to(device),
                    key_NS=torch.from_numpy(key_NS).to(device),
                    mask_N1QS=mask,
                )
            )

        for rows in _similar_rows(prompts, prompts):
            index = _row_index(prompt_starts[rows], prompts[rows])
            add(index, prompts[rows], index, None, np.zeros(len(rows), np.int64))

        masked = responses * (before + responses) <= _MAX_MASK_PER_ROW
        short, long = np.flatnonzero(masked & (responses > 0)), np.flatnonzero(~masked)
        for chosen in _similar_rows(responses[short], (before + responses)[short]):
            rows = short[chosen]
            key_NS = _joined_index(prompt_starts[owner[rows]], before[rows], response_starts[rows], responses[rows])
            query_NQ = _row_index(response_starts[rows], responses[rows])
            hidden = np.arange(key_NS.shape[1]) > (before[rows][:, None] + np.arange(query_NQ.shape[1]))[:, :, None]
            mask = torch.zeros(hidden.shape, device=device)
            mask.masked_fill_(torch.from_numpy(hidden).to(device), float("-inf"))
            add(query_NQ, responses[rows], key_NS, mask[:, None], np.zeros(len(rows), np.int64))
        for chosen in _similar_rows((before + responses)[long], (before + responses)[long]):
            rows = long[chosen]
            index = _joined_index(prompt_starts[owner[rows]], before[rows], response_starts[rows], responses[rows])
            add(index, responses[rows], index, None, before[rows])
        self._place_T = torch.from_numpy(place_T).to(device)

    def attend(
        self, query_BHTD: torch.Tensor, key_BKLD: torch.Tensor, value_BKLE: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Causal attention of every token to its own sequence: (1, H, T, D) and so on to (1, T, H, E)."""
        key_size, value_size = key_BKLD.shape[-1], value_BKLE.shape[-1]
        if value_size < key_size:  # the fused kernels want equal sizes
            value_BKLE = functional.pad(value_BKLE, (0, key_size - value_size))
        dtype = attention_dtype(value_BKLE.device, value_BKLE.dtype)  # rotary embeddings leave float32 queries and keys
        query_THD, key_TKD, value_TKE = (x[0].transpose(0, 1).to(dtype) for x in (query_BHTD, key_BKLD, value_BKLE))
        grouped = query_THD.shape[1] != key_TKD.shape[1]
        with torch.autocast(value_BKLE.device.type, enabled=False):
            outputs = [
                functional.scaled_dot_product_attention(
                    _gather(query_THD, block.query_NQ),
                    _gather(key_TKD, block.key_NS),
                    _gather(value_TKE, block.key_NS),
                    attn_mask=None if block.mask_N1QS is None else block.mask_N1QS.to(dtype),
                    is_causal=block.mask_N1QS is None,
                    scale=scaling,
                    enable_gqa=grouped,
                )
                .transpose(1, 2)
                .flatten(0, 1)
                for block in self._blocks
            ]
        return torch.cat(outputs).index_select(0, self._place_T)[None, ..., :value_size]


def _gather(x_THD: torch.Tensor, index_NL: torch.Tensor) -> torch.Tensor:
    """Rows of tokens as (N, H, L, D). The backward of index_select is much faster than that of indexing."""
    flat = x_THD.index_select(0, index_NL.flatten())
    return flat.view(*index_NL.shape, *x_THD.shape[1:]).transpose(1, 2)


def _row_index(starts: _Index, lengths: _Index) -> _Index:
    """Token of each row and column; columns past a row's end repeat its last token."""
    column = np.arange(lengths.max())
    index: _Index = starts[:, None] + np.minimum(column, lengths[:, None] - 1)
    return index


def _joined_index(prompt_starts: _Index, prompts: _Index, starts: _Index, lengths: _Index) -> _Index:
    """As `_row_index`, for rows of a prompt followed by a response that stands elsewhere."""
    column = np.minimum(np.arange((prompts + lengths).max()), (prompts + lengths)[:, None] - 1)
    in_prompt = column < prompts[:, None]
    index: _Index = np.where(in_prompt, prompt_starts[:, None], (starts - prompts)[:, None]) + column
    return index


def _similar_rows(queries: _Index, keys: _Index) -> list[_Index]:
    """The rows in blocks, each of rows so alike that little of it is padding."""
    blocks: list[list[int]] = []
    width, depth, needed = 0, 0, 0
    for row in np.lexsort((-keys, -queries)).tolist():
        q, k = int(queries[row]), int(keys[row])
        count = len(blocks[-1]) + 1 if blocks else 1
        padded = count * max(width, q) * max(depth, k)
        if blocks and padded <= _PADDING * (needed + q * k) and padded <= _MAX_BLOCK:
            blocks[-1].append(row)
            width, depth, needed = max(width, q), max(depth, k), needed + q * k
        else:
            blocks.append([row])
            width, depth, needed = q, k, q * k
    return [np.asarray(block, np.int64) for block in blocks]
