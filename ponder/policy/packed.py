"""Many sequences in one row of tokens: linear layers see no padding, and no sequence sees another.

The row holds every prompt once and then every response. A response attends to its prompt's keys and to its own, so the
prompt of a group of G responses is computed once instead of G times. Attention itself runs on short padded blocks of
rows of similar length, gathered from the row and scattered back.

Where tokens see the last W of their sequence alone, those before place W, which see all, are laid out like that, and
the others in strips: queries that stand in a row, and the keys that the first to the last of them see. Of all strips
the same places are hidden.

Shapes: T tokens of the row; N rows, Q queries and S keys of one block; H query heads, K key heads, D key size, E value
size.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from ponder.policy.attention import attention_dtype
from ponder.policy.blocks import Arranged, Blocks
from ponder.policy.varlen import WholeSequences, has_varlen

__all__ = ["PackedLayout", "round_up"]

_MAX_MASK_PER_ROW = 1 << 20
"""A response of Q queries and S keys is computed as Q x S with a mask up to this size, and as its whole S x S causal
square above: that needs no mask, and fused kernels skip its upper half."""
_MAX_BLOCK = 1 << 24
"""Rows x queries x keys of one block; bounds the memory of masks and gathered rows."""
_PADDING = 1.25
"""A block takes further rows while its padded size stays below this multiple of what is needed."""

_STRIP = 512
"""Most queries of a strip; each is computed against as many keys more than it sees."""
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

        self._padding = padding
        self._prompts, self._responses, self._owner, self._device = prompts, responses, owner, device
        self._arranged: dict[int | None, Arranged] = {}
        self._whole: WholeSequences | None = None

    def attend(
        self,
        query_BHTD: torch.Tensor,
        key_BKLD: torch.Tensor,
        value_BKLE: torch.Tensor,
        scaling: float,
        reach: int | None = None,
        sinks_H: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Causal attention of every token to its own sequence: (1, H, T, D) and so on to (1, T, H, E)."""
        key_size, value_size = key_BKLD.shape[-1], value_BKLE.shape[-1]
        if value_size < key_size:  # the fused kernels want equal sizes
            value_BKLE = functional.pad(value_BKLE, (0, key_size - value_size))
        dtype = attention_dtype(value_BKLE.device, value_BKLE.dtype)  # rotary embeddings leave float32 queries and keys
        query_THD, key_TKD, value_TKE = (x[0].transpose(0, 1).to(dtype) for x in (query_BHTD, key_BKLD, value_BKLE))
        with torch.autocast(value_BKLE.device.type, enabled=False):
            if sinks_H is None and has_varlen(query_THD):
                mixed_THD = self.whole().attend(query_THD, key_TKD, value_TKE, scaling, reach)
            else:
                mixed_THD = self._arrange(reach).attend(query_THD, key_TKD, value_TKE, scaling, sinks_H)
        return mixed_THD[None, ..., :value_size]

    def plain(self, model: Any, input_ids_1T: torch.Tensor) -> torch.Tensor:
        """Hidden states (T, D) by the model's own attention: every sequence whole, with its prompt, and padded at its
        end, where nothing before sees it. A prompt's are those of its first sequence."""
        alone = np.flatnonzero(np.bincount(self._owner, minlength=len(self._prompts)) == 0)
        alone = alone[alone < len(self._prompts) - bool(self._padding)]
        sequence_N = np.concatenate([alone, len(self._prompts) + np.arange(len(self._owner))])
        length_N = np.concatenate([self._prompts[alone], self._prompts[self._owner] + self._responses])
        place_T, filled, outputs = np.full(self.tokens, -1, np.int64), 0, []
        for rows in _similar_rows(length_N, np.ones_like(length_N)):
            column = np.arange(length_N[rows].max())
            token_NL = self._tokens(sequence_N[rows], np.broadcast_to(column, (len(rows), len(column))))
            ids_NL = input_ids_1T[0, torch.from_numpy(token_NL).to(input_ids_1T.device)]
            outputs.append(model(input_ids=ids_NL, use_cache=False).last_hidden_state.flatten(0, 1))
            there = np.flatnonzero(column < length_N[rows][:, None])
            place_T[token_NL.reshape(-1)[there[::-1]]] = filled + there[::-1]
            filled += token_NL.size
        return torch.cat(outputs).index_select(0, torch.from_numpy(np.maximum(place_T, 0)).to(input_ids_1T.device))

    def whole(self) -> WholeSequences:
        """The sequences for kernels that take them one after the other: prompts, then responses with their prompts."""
        if self._whole is None:
            first_N = np.concatenate([np.zeros_like(self._prompts), self._prompts[self._owner]])
            length_N = np.concatenate([self._prompts, self._prompts[self._owner] + self._responses])
            sequence_S = np.repeat(np.arange(len(length_N)), length_N)
            place_S = np.arange(len(sequence_S)) - np.repeat(np.cumsum(length_N) - length_N, length_N)
            token_S = self._tokens(sequence_S, place_S[:, None])[:, 0]
            self._whole = WholeSequences(token_S, length_N, first_N, self._device)
        return self._whole

    def _arrange(self, reach: int | None) -> Arranged:
        """The blocks in which tokens see the last `reach` of their sequence."""
        if reach is not None and reach >= self.longest:
            reach = None
        if reach not in self._arranged:
            self._arranged[reach] = self._causal() if reach is None else self._sliding(reach)
        return self._arranged[reach]

    def _causal(self) -> Arranged:
        blocks = Blocks(self.tokens, self._device)
        self._add_causal(blocks, self._prompts, self._responses)
        return blocks.arranged()

    def _sliding(self, reach: int) -> Arranged:
        blocks = Blocks(self.tokens, self._device)
        before = self._prompts[self._owner]
        self._add_causal(
            blocks, np.minimum(self._prompts, reach), np.clip(reach - before, 0, self._responses).astype(np.int64)
        )
        # The rest: of prompts alone what follows `reach`, of responses that or the whole of them.
        alone = np.zeros(len(self._prompts), np.int64)
        whole = np.concatenate([self._prompts, before + self._responses])
        begin = np.maximum(np.concatenate([alone, before]), reach)
        counts = -(-np.maximum(whole - begin, 0) // _STRIP)
        sequence = np.repeat(np.arange(len(whole)), counts)
        first = begin[sequence] + _STRIP * (np.arange(len(sequence)) - np.repeat(np.cumsum(counts) - counts, counts))
        lengths = np.minimum(whole[sequence] - first, _STRIP)
        for rows in _similar_rows(lengths, lengths + reach - 1):
            width, places = int(lengths[rows].max()), first[rows][:, None]
            query_NQ = self._tokens(sequence[rows], places + np.arange(width))
            key_NS = self._tokens(sequence[rows], places + np.arange(1 - reach, width))
            blocks.add(query_NQ, lengths[rows], key_NS, blocks.strip_mask(width, reach))
        return blocks.arranged()

    def _tokens(self, sequence_N: _Index, place_NL: _Index) -> _Index:
        """The token at each place of these sequences, of which the prompts come first, then the responses, each with
        its prompt. Places past a sequence's end repeat its last token."""
        owner = np.concatenate([np.arange(len(self._prompts)), self._owner])[sequence_N]
        own_start = np.concatenate([np.zeros_like(self.prompt_starts), self.response_starts])[sequence_N]
        own_length = np.concatenate([np.zeros_like(self._prompts), self._responses])[sequence_N]
        before = self._prompts[owner]
        place_NL = np.minimum(place_NL, (before + own_length)[:, None] - 1)
        start_NL = np.where(
            place_NL < before[:, None], self.prompt_starts[owner][:, None], (own_start - before)[:, None]
        )
        tokens: _Index = start_NL + place_NL
        return tokens

    def _add_causal(self, blocks: "Blocks", prompts: _Index, responses: _Index) -> None:
        """Blocks for the first tokens of each sequence: so many of its prompt, and then so many of its response."""
        owner, prompt_starts, response_starts = self._owner, self.prompt_starts, self.response_starts
        before = prompts[owner]
        for rows in _similar_rows(prompts, prompts):
            index = _row_index(prompt_starts[rows], prompts[rows])
            blocks.add(index, prompts[rows], index, None)

        masked = responses * (before + responses) <= _MAX_MASK_PER_ROW
        short, long = np.flatnonzero(masked & (responses > 0)), np.flatnonzero(~masked)
        for chosen in _similar_rows(responses[short], (before + responses)[short]):
            rows = short[chosen]
            key_NS = _joined_index(prompt_starts[owner[rows]], before[rows], response_starts[rows], responses[rows])
            query_NQ = _row_index(response_starts[rows], responses[rows])
            hidden = np.arange(key_NS.shape[1]) > (before[rows][:, None] + np.arange(query_NQ.shape[1]))[:, :, None]
            blocks.add(query_NQ, responses[rows], key_NS, blocks.mask(hidden))
        for chosen in _similar_rows((before + responses)[long], (before + responses)[long]):
            rows = long[chosen]
            index = _joined_index(prompt_starts[owner[rows]], before[rows], response_starts[rows], responses[rows])
            blocks.add(index, responses[rows], index, None, before[rows])


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
