"""The key-value cache of sampling, and the attention that reads it.

A row attends to two stretches of keys: those of its prompt, stored once for all samples of the prompt, and its own,
one per sampled token. Both give a softmax over their part; the two are merged by their log-sum-exp, which equals the
softmax over the whole. So the prompt's keys are read once per prompt instead of once per row.

Keys and values are stored as attention gets them, after whatever a model does to them (latents of DeepSeek-V3 are
expanded once, not again at every step). Nothing is allocated before it is needed.

Shapes: R rows, G prompts, M most rows of one prompt, H query heads, K key heads, Q = H / K, D key size, E value size,
N positions of one row, T = R * N tokens, P prompt places, L places of own keys.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import Cache

from ponder.errors import ModelError
from ponder.policy.packed import PackedLayout
from ponder.rollout.stretch import attend, bias, merge, with_sinks

__all__ = ["PromptLayout", "SlotCache", "SlotLayout", "place_step"]

_ROUND, _GPU_ROUND = 16, 64
"""Places are read and allocated in multiples of this, so that matrix shapes recur: kernels are made once per shape, and
on a GPU whole steps recorded."""
_GROWTH = 1.5
"""Factor by which places for own keys grow; rows grow by half of it."""
_LEAST_PLACES = 64
_SPAN_ROWS = 32
"""Least rows of a stretch that is read to a length of its own."""
_SPAN_SAVING, _GPU_SPAN_SAVING = 64, 1024
"""Places a stretch must save to be worth its own matrix products."""
_Index = npt.NDArray[np.int64]


def place_step(device: torch.device) -> int:
    """Places come in multiples of this."""
    return _ROUND if device.type == "cpu" else _GPU_ROUND


def _round_up(count: int, device: torch.device) -> int:
    return -(-count // place_step(device)) * place_step(device)


@dataclass(slots=True)
class _Layer:
    """One layer's keys and values. Keys stand transposed, the faster form for products with few queries."""

    prompt_key_KGDP: torch.Tensor
    prompt_value_KGPE: torch.Tensor
    key_RKDL: torch.Tensor
    value_RKLE: torch.Tensor


class SlotCache(Cache):
    """Keys and values of all prompts and rows of one lane, in `dtype`, which is that of attention's products.

    To transformers it is a cache that stores nothing: `update` hands key and value through and remembers the layer, so
    that the layout that follows knows where to store what the model made of them.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, most: tuple[int, int] | None = None) -> None:
        """`most` are rows and places up to which it grows ahead of need."""
        super().__init__(layers=[])
        self._most_rows, self._most_places = most or (sys.maxsize, sys.maxsize)
        self.dtype, self.device = dtype, device
        self.generation = 0
        self.prompt_lengths_G = np.zeros(0, np.int64)
        self.prompt_bias_G1P = torch.zeros(0, 1, 0, device=device)
        self._stored: dict[int, _Layer] = {}
        self._computed: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._layer_idx = 0
        self._rows = self._places = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self._layer_idx = layer_idx
        return key_states, value_states

    def bytes(self) -> int:
        """Memory held."""
        tensors = (
            t for s in self._stored.values() for t in (s.prompt_key_KGDP, s.prompt_value_KGPE, s.key_RKDL, s.value_RKLE)
        )
        return sum(t.nbytes for t in tensors)

    def store_prompts(self, key_1KTD: torch.Tensor, value_1KTE: torch.Tensor) -> None:
        """Note the packed prompts' keys and values of the current layer; `add_prompts` files them. ModelError for a
        model that attends twice in a layer, of which one would be forgotten."""
        if self._layer_idx in self._computed:
            raise ModelError(
                f"The model attends more than once in layer {self._layer_idx}, so that it cannot be sampled from here. "
                f"Use Qwen2, Qwen3, Llama, DeepSeek-V3 or a relative of them."
            )
        self._computed[self._layer_idx] = key_1KTD[0].to(self.dtype), value_1KTE[0].to(self.dtype)

    def add_prompts(self, kept_G: _Index, lengths: Sequence[int]) -> None:
        """Keep the prompts at places `kept_G`, in this order, and put the packed ones just computed behind them."""
        new = np.asarray(lengths, np.int64)
        self.prompt_lengths_G = np.concatenate([self.prompt_lengths_G[kept_G], new])
        places = _round_up(int(self.prompt_lengths_G.max()), self.device)
        self.generation += 1
        column_GP = np.minimum(np.arange(places), new[:, None] - 1) + (np.cumsum(new) - new)[:, None]
        for layer_idx, (key_KTD, value_KTE) in self._computed.items():
            index = torch.from_numpy(column_GP.reshape(-1)).to(key_KTD.device)
            heads, shape = len(key_KTD), (len(new), places, -1)
            key_KGDP = key_KTD.index_select(1, index).view(heads, *shape).transpose(2, 3).contiguous()
            value_KGPE = value_KTE.index_select(1, index).view(heads, *shape)
            layer = self._stored.get(layer_idx)
            if layer is None:
                key_RKDL = key_KGDP.new_zeros(0, heads, key_KGDP.shape[2], 0)
                value_RKLE = value_KGPE.new_zeros(0, heads, 0, value_KGPE.shape[3])
                self._stored[layer_idx] = _Layer(key_KGDP, value_KGPE, key_RKDL, value_RKLE)
            else:
                kept = torch.from_numpy(kept_G).to(index.device)
                layer.prompt_key_KGDP = _behind(layer.prompt_key_KGDP.index_select(1, kept), key_KGDP, 3)
                layer.prompt_value_KGPE = _behind(layer.prompt_value_KGPE.index_select(1, kept), value_KGPE, 2)
        fewest, device = int(self.prompt_lengths_G.min()), self.prompt_bias_G1P.device
        self.prompt_bias_G1P = bias(self.prompt_lengths_G, fewest, places, device)[:, None]
        self._computed.clear()

    def keep_rows(self, kept_R: _Index, length: int) -> None:
        """Move the rows `kept_R` (rising) to the front, `length` places of each. New rows, which have no keys yet and
        stand behind all others, may be among them."""
        stored_R = kept_R[kept_R < self._rows]
        first = int((stored_R == np.arange(len(stored_R))).sum())  # those before stay where they are
        moved = slice(first, len(stored_R))
        for layer in self._stored.values():
            source = torch.from_numpy(stored_R[moved]).to(layer.key_RKDL.device)
            layer.key_RKDL[moved, ..., :length] = layer.key_RKDL[..., :length].index_select(0, source)
            layer.value_RKLE[moved, :, :length] = layer.value_RKLE[:, :, :length].index_select(0, source)

    def make_room(self, rows: int, length: int) -> None:
        """Places for `rows` rows of `length` own keys, growing by a factor; what is stored stays."""
        if rows <= self._rows and length <= self._places:
            return
        if rows > self._rows:
            self._rows = max(rows, min(int(self._rows * (1 + _GROWTH) / 2), self._most_rows))
        if length > self._places:
            ahead = min(max(int(self._places * _GROWTH), _LEAST_PLACES), self._most_places)
            self._places = _round_up(max(length, ahead), self.device)
        self.generation += 1
        for layer in self._stored.values():
            layer.key_RKDL = _enlarged(layer.key_RKDL, self._rows, 3, self._places)
            layer.value_RKLE = _enlarged(layer.value_RKLE, self._rows, 2, self._places)

    @property
    def layer(self) -> _Layer:
        """The layer whose attention runs now."""
        return self._stored[self._layer_idx]


def _enlarged(old: torch.Tensor, rows: int, places_dim: int, places: int) -> torch.Tensor:
    """A larger tensor with `old` in its corner and zeros elsewhere: a masked place must not hold a NaN."""
    shape = list(old.shape)
    shape[0], shape[places_dim] = rows, places
    new = old.new_empty(shape)
    corner = new[: len(old)]
    corner.narrow(places_dim, 0, old.shape[places_dim]).copy_(old)
    corner.narrow(places_dim, old.shape[places_dim], places - old.shape[places_dim]).zero_()
    new[len(old) :].zero_()
    return new


def _behind(kept: torch.Tensor, new: torch.Tensor, places_dim: int) -> torch.Tensor:
    """Prompts `new` behind prompts `kept`, all with the places of `new` or more."""
    wanted = new.shape[places_dim]
    old = kept.shape[places_dim]
    if old > wanted:
        kept = kept.narrow(places_dim, 0, wanted)
    elif old < wanted:
        shape = list(kept.shape)
        shape[places_dim] = wanted - old
        kept = torch.cat([kept, kept.new_zeros(shape)], places_dim)
    return torch.cat([kept, new], 1)


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of rows, of which the places from `first` to `places` are read; `bias_R1N1P` is that of the last of
    these."""

    rows: slice
    places: int
    bias_R1N1P: torch.Tensor
    first: int = 0


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read of one sliding window. Of prompts it is the places from `first` on, each token with its bias;
    nothing where no token sees any prompt."""

    spans: list[_Span]
    first: int
    prompt_bias_GMP: torch.Tensor | None


class PromptLayout:
    """Computes packed prompts once and hands their keys and values to the cache."""

    def __init__(self, cache: SlotCache, lengths: Sequence[int], device: torch.device) -> None:
        self._cache = cache
        self._packed = PackedLayout(lengths, [], [], device)
        self.position_ids_T = self._packed.position_ids_T

    def attend(
        self,
        query_BHTD: torch.Tensor,
        key_BKLD: torch.Tensor,
        value_BKLE: torch.Tensor,
        scaling: float,
        reach: int | None = None,
        sinks_H: torch.Tensor | None = None,
    ) -> torch.Tensor:
        self._cache.store_prompts(key_BKLD, value_BKLE)
        return self._packed.attend(query_BHTD, key_BKLD, value_BKLE, scaling, reach, sinks_H)


class SlotLayout:
    """The next tokens of rows 0..R-1, `positions` of each, whose prompts stand at places `prompt_R` of the cache.

    `length_R` counts each row's own keys, that of the first new token included; it should descend, which is faster but
    not required. Rows that are not in `live_R` are computed along, and what they give is nothing. A row's further
    tokens (guesses at what comes next) see those before them. Tokens stand row by row: T = R * positions.
    """

    def __init__(
        self,
        cache: SlotCache,
        prompt_R: _Index,
        length_R: _Index,
        live_R: npt.NDArray[np.bool_],
        device: torch.device,
        positions: int = 1,
    ) -> None:
        self._cache = cache
        rows = len(prompt_R)
        length_RN = length_R[:, None] + np.arange(positions)
        cache.make_room(rows, int(length_RN.max()))
        self._row: slice | torch.Tensor = slice(rows)
        self._place: int | torch.Tensor = int(length_R[0]) - 1
        recorded = device.type != "cpu"  # a number would be recorded with the step
        if recorded or positions > 1 or (length_R != length_R[0]).any():  # the slice for equal lengths is faster
            self._row = torch.arange(rows, device=device).repeat_interleave(positions)
            self._place = torch.from_numpy(length_RN.reshape(-1) - 1).to(device)
        self._positions = positions
        self._spans = [
            _Span(rows=slice(start, stop), places=places, bias_R1N1P=_own_bias(span_RN, span_live_R, places, device))
            for start, stop, places in _spans(length_RN[:, -1], device)
            for span_RN, span_live_R in [(length_RN[start:stop], live_R[start:stop])]
        ]
        member_GM, seat_T = _members(np.repeat(prompt_R, positions), len(cache.prompt_lengths_G))
        self._member_GM = torch.from_numpy(member_GM.reshape(-1)).to(device)
        self._seat_T = torch.from_numpy(seat_T).to(device)
        self._length_RN, self._prompt_R, self._members, self._device = length_RN, prompt_R, member_GM, device
        self._readings: dict[int, _Reading] = {}

    @property
    def generation(self) -> int:
        """Of the memory that keys and values stand in: another one where it was allocated anew."""
        return self._cache.generation

    def shape(self) -> tuple[object, ...]:
        """What a step computes, but for the numbers: steps that agree in it differ in `varying` alone."""
        spans = tuple((span.rows.start, span.rows.stop, span.places) for span in self._spans)
        return self._positions, spans, self._members.shape

    def varying(self) -> list[torch.Tensor]:
        """What tells a step's rows, places and lengths; on a GPU alone is it all in tensors."""
        assert isinstance(self._row, torch.Tensor) and isinstance(self._place, torch.Tensor)
        return [self._row, self._place, self._member_GM, self._seat_T, *(span.bias_R1N1P for span in self._spans)]

    def attend(
        self,
        query_BHTD: torch.Tensor,
        key_BKLD: torch.Tensor,
        value_BKLE: torch.Tensor,
        scaling: float,
        reach: int | None = None,
        sinks_H: torch.Tensor | None = None,
    ) -> torch.Tensor:
        layer = self._cache.layer
        dtype = self._cache.dtype
        layer.key_RKDL[self._row, :, :, self._place] = key_BKLD[0].transpose(0, 1).to(dtype)
        layer.value_RKLE[self._row, :, self._place] = value_BKLE[0].transpose(0, 1).to(dtype)
        heads = key_BKLD.shape[1]
        query_KQTD = (query_BHTD[0] * scaling).to(dtype).view(heads, -1, *query_BHTD.shape[2:])
        reading = self._reading(reach)
        with torch.autocast(query_BHTD.device.type, enabled=False):  # products are of the cache's dtype
            own = self._attend_own(layer, query_KQTD, self._spans if reading is None else reading.spans)
            if reading is not None and reading.prompt_bias_GMP is None:
                mixed = own[0].float() if sinks_H is None else with_sinks(own[0].float(), own[1], sinks_H)
            else:
                mixed = merge(own, self._attend_prompts(layer, query_KQTD.transpose(1, 2), reading), sinks_H)
        return mixed.flatten(1, 2)[None].contiguous()  # as models have it from other attentions

    def _reading(self, reach: int | None) -> _Reading | None:
        """What a sliding window makes of it; None where every token sees all."""
        before_R1 = self._cache.prompt_lengths_G[self._prompt_R][:, None]
        if reach is None or int((before_R1 + self._length_RN).max()) <= reach:
            return None
        if reach not in self._readings:
            start_RN = np.maximum(self._length_RN - reach, 0)
            spans = []
            for span in self._spans:
                first = int(start_RN[span.rows].min()) // _ROUND * _ROUND
                length_T = self._length_RN[span.rows].reshape(-1)
                bias_TP = bias(length_T, first, span.places, self._device, start_RN[span.rows].reshape(-1))
                bias_R1N1P = bias_TP.view(-1, 1, self._positions, 1, span.places - first)
                spans.append(_Span(span.rows, span.places, bias_R1N1P, first))
            start_T = np.maximum(before_R1 + self._length_RN - reach, 0).reshape(-1)
            length_T = np.repeat(before_R1, self._positions)
            first = int(start_T.min()) // _ROUND * _ROUND
            prompt_bias = None
            if (start_T < length_T).any():
                places = _round_up(int(self._cache.prompt_lengths_G.max()), self._device)
                member_M = self._members.reshape(-1)
                bias_MP = bias(length_T[member_M], first, places, self._device, start_T[member_M])
                prompt_bias = bias_MP.view(*self._members.shape, -1)
            self._readings[reach] = _Reading(spans, first, prompt_bias)
        return self._readings[reach]

    def _attend_own(
        self, layer: _Layer, query_KQTD: torch.Tensor, spans: Sequence[_Span]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        heads, group, tokens, size = query_KQTD.shape
        positions = self._positions
        query_KQRND = query_KQTD.reshape(heads, group, tokens // positions, positions, size)
        query_RKNQD = query_KQRND.permute(2, 0, 3, 1, 4).contiguous()
        outputs = []
        for span in spans:
            outputs.append(
                attend(
                    query_RKNQD[span.rows],
                    layer.key_RKDL[span.rows, ..., span.first : span.places],
                    layer.value_RKLE[span.rows, :, span.first : span.places],
                    span.bias_R1N1P,
                )
            )
        mixed_RKNQE = torch.cat([o for o, _ in outputs]) if len(outputs) > 1 else outputs[0][0]
        lse_RKNQ = torch.cat([lse for _, lse in outputs]) if len(outputs) > 1 else outputs[0][1]
        return mixed_RKNQE.transpose(1, 2).flatten(0, 1), lse_RKNQ.transpose(1, 2).flatten(0, 1)

    def _attend_prompts(
        self, layer: _Layer, query_KTQD: torch.Tensor, reading: _Reading | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        heads, prompts = layer.prompt_key_KGDP.shape[:2]
        group, size = query_KTQD.shape[2:]
        query = query_KTQD.index_select(1, self._member_GM).view(heads, prompts, -1, size)
        key_KGDP, value_KGPE, bias = layer.prompt_key_KGDP, layer.prompt_value_KGPE, self._cache.prompt_bias_G1P
        if reading is not None and reading.prompt_bias_GMP is not None:
            key_KGDP, value_KGPE = key_KGDP[..., reading.first :], value_KGPE[:, :, reading.first :]
            bias = reading.prompt_bias_GMP.repeat_interleave(group, 1)
        mixed, lse = attend(query, key_KGDP, value_KGPE, bias)
        mixed_KTQE = mixed.view(heads, -1, group, mixed.shape[-1]).index_select(1, self._seat_T)
        lse_KTQ = lse.view(heads, -1, group).index_select(1, self._seat_T)
        return mixed_KTQE.transpose(0, 1), lse_KTQ.transpose(0, 1)


def _own_bias(length_RN: _Index, live_R: npt.NDArray[np.bool_], places: int, device: torch.device) -> torch.Tensor:
    """The bias of the places that not all live rows fill, which are few, since rows of a stretch are alike in length:
    what it costs does not grow with the rows' lengths. On a GPU that of all places, whose number recurs."""
    filled = int(length_RN[live_R].min(initial=places)) if device.type == "cpu" else 0
    bias_TP = bias(length_RN.reshape(-1), filled, places, device)
    return bias_TP.view(len(length_RN), 1, length_RN.shape[1], 1, -1)


def _spans(length_R: _Index, device: torch.device) -> list[tuple[int, int, int]]:
    """Stretches of rows as (start, stop, places to read); the first reads furthest."""
    rows = len(length_R)
    starts = list(range(0, rows, _SPAN_ROWS))
    if len(starts) > 1 and rows - starts[-1] < _SPAN_ROWS:
        starts.pop()
    reach = [_round_up(int(length_R[start:].max()), device) for start in starts]
    saving = _SPAN_SAVING if device.type == "cpu" else _GPU_SPAN_SAVING
    spans = [(0, rows, reach[0])]
    for start, places in zip(starts[1:], reach[1:], strict=True):
        if spans[-1][2] - places >= saving:
            spans[-1] = (spans[-1][0], start, spans[-1][2])
            spans.append((start, rows, places))
    return spans


def _members(prompt_R: _Index, prompts: int) -> tuple[_Index, _Index]:
    """Rows by prompt as (prompts, most members), padded with row 0, and each row's place in that table, flattened."""
    order = np.argsort(prompt_R, kind="stable")
    counts = np.bincount(prompt_R, minlength=prompts)
    most = int(counts.max())
    rank = np.arange(len(prompt_R)) - np.repeat(np.cumsum(counts) - counts, counts)
    seat_R = np.empty_like(prompt_R)
    seat_R[order] = prompt_R[order] * most + rank
    member_GM = np.zeros(prompts * most, np.int64)
    member_GM[seat_R] = np.arange(len(prompt_R))
    return member_GM.reshape(prompts, most), seat_R
