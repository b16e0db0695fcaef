"""Attention to keys and values on shelves: of chunks of prompts, and of the next tokens of rows.

Shapes: R rows, W rows with padding, N positions of a row, T tokens, S slots of a shelf, M most readers of a slot,
B = 32 tokens of a chunk, H query heads, K key heads, Q = H / K, D key size, E value size, P places.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ponder.rollout.prefix import BLOCK
from ponder.rollout.shelf import Shelf, places_for
from ponder.rollout.stretch import attend, bias, merge, with_sinks

__all__ = ["Chunk", "ChunkLayout", "Readers", "RowLayout"]

_ROUND = 128
"""Places are read in multiples of this by chunks far into a prompt, so that matrix shapes recur."""

_WIDTH = 8
"""Chunks are padded to multiples of this."""

_Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens `start` to `stop` of a prompt, at most B of them; its keys stand on `shelf`."""

    prompt: int
    shelf: Shelf
    start: int
    stop: int

    @property
    def width(self) -> int:
        """Tokens that are computed, padding included: it depends on the chunk alone, and matrix shapes recur."""
        return -(-(self.stop - self.start) // _WIDTH) * _WIDTH


class ChunkLayout:
    """Chunks side by side, each of its width; a later one of the same prompt sees those before it.

    Each attends by itself, to a number of places that depends on where it stands alone.
    """

    def __init__(
        self, chunks: Sequence[Chunk], dtype: torch.dtype, layer: Callable[[], int], device: torch.device
    ) -> None:
        self._chunks, self._dtype, self._layer, self._device = chunks, dtype, layer, device
        self.first = np.cumsum([0, *(chunk.width for chunk in chunks)]).tolist()
        self._places = [min(_round_up(chunk.start + BLOCK), places_for(chunk.start + BLOCK)) for chunk in chunks]
        self._windows: dict[int | None, list[tuple[int, torch.Tensor]]] = {}

    def _window(self, reach: int | None) -> list[tuple[int, torch.Tensor]]:
        """Of every chunk the first place that is read, and the bias of the last places."""
        if reach not in self._windows:
            self._windows[reach] = []
            for chunk, places in zip(self._chunks, self._places, strict=True):
                length_B = np.arange(chunk.start + 1, chunk.start + 1 + chunk.width)
                first = 0 if reach is None else max(0, chunk.start + 1 - reach) // BLOCK * BLOCK
                start_B = None if reach is None or length_B[-1] <= reach else np.maximum(length_B - reach, 0)
                begin = chunk.start if start_B is None else first
                self._windows[reach].append((first, bias(length_B, begin, places, self._device, start_B)[:, None]))
        return self._windows[reach]

    def attend(
        self,
        query_BHTD: torch.Tensor,
        key_BKLD: torch.Tensor,
        value_BKLE: torch.Tensor,
        scaling: float,
        reach: int | None = None,
        sinks_H: torch.Tensor | None = None,
    ) -> torch.Tensor:
        heads, size = key_BKLD.shape[1], key_BKLD.shape[3]
        layer = self._layer()
        key_KTD, value_KTE = key_BKLD[0].to(self._dtype), value_BKLE[0].to(self._dtype)
        stretches = []
        for first, chunk in zip(self.first, self._chunks, strict=False):
            own = slice(first, first + chunk.stop - chunk.start)
            slot = chunk.shelf.slot(chunk.prompt)
            key_KDP, value_KPE = chunk.shelf.keys[layer][slot], chunk.shelf.values[layer][slot]
            key_KDP[:, :, chunk.start : chunk.stop] = key_KTD[:, own].transpose(1, 2)
            value_KPE[:, chunk.start : chunk.stop] = value_KTE[:, own]
            stretches.append((key_KDP[None], value_KPE[None]))
        query_KQTD = (query_BHTD[0] * scaling).to(self._dtype).view(heads, -1, self.first[-1], size)
        query_KTQD = query_KQTD.transpose(1, 2)
        outputs = []
        with torch.autocast(query_BHTD.device.type, enabled=False):  # products are of the shelves' dtype
            for i, (key, value) in enumerate(stretches):
                query = query_KTQD[None, :, self.first[i] : self.first[i + 1]].contiguous()
                first, bias_B1P = self._window(reach)[i]
                seen = slice(first, self._places[i])
                mixed, lse = attend(query, key[..., seen], value[:, :, seen], bias_B1P)
                mixed_BKQE = mixed[0].transpose(0, 1)
                if sinks_H is not None:
                    mixed_BKQE = with_sinks(mixed_BKQE.float(), lse[0].transpose(0, 1), sinks_H)
                outputs.append(mixed_BKQE.flatten(1, 2))
        return torch.cat(outputs).float()[None]


def _round_up(count: int) -> int:
    return -(-count // _ROUND) * _ROUND


@dataclass(frozen=True, slots=True)
class Readers:
    """Which rows read which slot of a shelf: `row_SM`, -1 where none does, and how many places hold keys: of rows'
    own stretches `length` is by row, of prompts' by slot."""

    shelf: Shelf
    row_SM: _Index
    length: _Index


class _Read:
    """The reading of one shelf: which tokens ask, and what they must not see."""

    def __init__(self, readers: Readers, positions: int, bias_: torch.Tensor, device: torch.device) -> None:
        self.shelf = readers.shelf
        row_SM = np.maximum(readers.row_SM, 0)
        token_SMN = row_SM[..., None] * positions + np.arange(positions)
        self.token = torch.from_numpy(token_SMN.reshape(-1)).to(device)
        self.bias = bias_

    def attend(self, layer: int, query_TKQD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention (S * M * N, K, Q, E) and log-sum-exp (S * M * N, K, Q)."""
        slots = len(self.shelf)
        query = query_TKQD.index_select(0, self.token).view(slots, -1, *query_TKQD.shape[1:]).transpose(1, 2)
        keys, values = self.shelf.keys[layer][:slots], self.shelf.values[layer][:slots]
        mixed, lse = attend(query.contiguous(), keys, values, self.bias)
        return mixed.transpose(1, 2).flatten(0, 1), lse.transpose(1, 2).flatten(0, 1)


class RowLayout:
    """The next `positions` tokens of rows, each of which reads its own stretch and its prompt's.

    `length_R` counts each row's own keys, that of the first new token included. What stands in the padding rows is
    nothing.
    """

    def __init__(
        self,
        own: Sequence[Readers],
        shared: Sequence[Readers],
        length_R: _Index,
        width: int,
        positions: int,
        dtype: torch.dtype,
        layer: Callable[[], int],
        device: torch.device,
    ) -> None:
        self._dtype, self._layer = dtype, layer
        last_N = np.arange(positions)
        self._own, self._shared, self._store = [], [], []
        for readers in own:
            length_SN = length_R[readers.row_SM] + last_N
            filled = int(length_SN.min())
            bias_SN = bias(length_SN.reshape(-1), filled, readers.shelf.places, device)
            bias_S1N1P = bias_SN.view(len(length_SN), 1, positions, 1, -1)
            self._own.append(_Read(readers, positions, bias_S1N1P, device))
            slot = torch.arange(len(length_SN), device=device).repeat_interleave(positions)
            self._store.append((slot, torch.from_numpy(length_SN.reshape(-1) - 1).to(device)))
        for readers in shared:
            filled = int(readers.length.min())
            bias_SP = bias(readers.length, filled, readers.shelf.places, device)
            self._shared.append(_Read(readers, positions, bias_SP[:, None, None, None], device))
        self._own_place_T = _places(own, width, positions, device)
        self._shared_place_T = _places(shared, width, positions, device)
        self._readers, self._length_R, self._positions, self._device = (own, shared), length_R, positions, device
        self._windows: dict[int, tuple[list[_Read], list[_Read]]] = {}

    def _window(self, reach: int | None) -> tuple[list[_Read], list[_Read]]:
        """The reading of rows' own stretches and of prompts where tokens see so far back."""
        if reach is None:
            return self._own, self._shared
        if reach not in self._windows:
            own, shared = self._readers
            last_N = np.arange(self._positions)
            self._windows[reach] = (
                [self._windowed(one, self._length_R[one.row_SM], 0, reach, last_N) for one in own],
                [self._windowed(one, one.length[:, None], 1, reach, last_N) for one in shared],
            )
        return self._windows[reach]

    def _windowed(self, readers: Readers, length_SM: _Index, foreign: int, reach: int, last_N: _Index) -> _Read:
        """One shelf's reading: of rows' own stretches, which grow with each position, or of stretches before them."""
        own_SMN = self._length_R[np.maximum(readers.row_SM, 0)][..., None] + last_N
        if foreign:
            length_SMN = np.broadcast_to(length_SM[..., None], own_SMN.shape)
            start_SMN = length_SMN + own_SMN - reach
        else:
            length_SMN, start_SMN = own_SMN, own_SMN - reach
        places, device = readers.shelf.places, self._device
        bias_TP = bias(length_SMN.reshape(-1), 0, places, device, start_SMN.reshape(-1))
        return _Read(readers, self._positions, bias_TP.view(len(own_SMN), 1, -1, 1, places), device)

    def attend(
        self,
        query_BHTD: torch.Tensor,
        key_BKLD: torch.Tensor,
        value_BKLE: torch.Tensor,
        scaling: float,
        reach: int | None = None,
        sinks_H: torch.Tensor | None = None,
    ) -> torch.Tensor:
        layer = self._layer()
        key_TKD, value_TKE = (x[0].transpose(0, 1).to(self._dtype) for x in (key_BKLD, value_BKLE))
        for read, (slot, place) in zip(self._own, self._store, strict=True):
            read.shelf.keys[layer][slot, :, :, place] = key_TKD.index_select(0, read.token)
            read.shelf.values[layer][slot, :, place] = value_TKE.index_select(0, read.token)
        query_HTD = (query_BHTD[0] * scaling).to(self._dtype)
        query_TKQD = query_HTD.transpose(0, 1).reshape(query_HTD.shape[1], key_TKD.shape[1], -1, query_HTD.shape[2])
        own_reads, shared_reads = self._window(reach)
        with torch.autocast(query_BHTD.device.type, enabled=False):  # products are of the shelves' dtype
            own = _gathered([read.attend(layer, query_TKQD) for read in own_reads], self._own_place_T)
            shared = _gathered([read.attend(layer, query_TKQD) for read in shared_reads], self._shared_place_T)
        return merge(own, shared, sinks_H).flatten(1, 2)[None].contiguous()  # as models have it from other attentions


def _places(all_readers: Sequence[Readers], width: int, positions: int, device: torch.device) -> torch.Tensor:
    """Where each token's result stands among those of all shelves; padding rows get the first."""
    place_W = np.zeros(width, np.int64)
    start = 0
    for readers in all_readers:
        flat = readers.row_SM.reshape(-1)
        there = np.flatnonzero(flat >= 0)
        place_W[flat[there]] = start + there
        start += len(flat)
    return torch.from_numpy((place_W[:, None] * positions + np.arange(positions)).reshape(-1)).to(device)


def _gathered(
    parts: Sequence[tuple[torch.Tensor, torch.Tensor]], place_T: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    mixed = torch.cat([one for one, _ in parts]) if len(parts) > 1 else parts[0][0]
    lse = torch.cat([one for _, one in parts]) if len(parts) > 1 else parts[0][1]
    return mixed.index_select(0, place_T), lse.index_select(0, place_T)
