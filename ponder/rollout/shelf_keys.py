"""The keys and values of requests that come and go: prompts in chunks, on shelves, with what they share computed once.

A prompt is computed in chunks of 32 tokens that begin at multiples of 32, each against the keys before it in a shape
that depends on its place alone. So a chunk's numbers are the same whether it was computed now, for an earlier prompt
or beside others, and a prompt that takes its beginning from the prefix cache goes on as if it had computed it. A step
computes a few chunks at most, fewer the more rows run, so that a long prompt holds up nobody.

Shapes: R rows, W rows with padding, N positions of a row, T = W * N tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import Cache

from ponder.policy.attention import Layout, attention_dtype
from ponder.policy.policy import Policy
from ponder.rollout.prefix import BLOCK, PrefixCache, block_names
from ponder.rollout.schedule import Schedule
from ponder.rollout.shelf import LayerShape, Shelf, places_for
from ponder.rollout.shelf_layout import Chunk, ChunkLayout, Readers, RowLayout

__all__ = ["ShelfKeys", "layer_shapes"]

_PASS_FLOPS = 6e9
"""Arithmetic of the prompts that a step computes while no row runs ..."""
_PASS_TOKENS = (256, 2048)
"""... but so many tokens at least and at most: a small model's pass costs the starting of its operations, a large one's
must not hold up the rows. The more rows run, the fewer ..."""
_SHARE = 4
"""... down to one for so many rows."""
_FAN_OUT = 4
"""Shelves of prompts are apart by how many rows may read one: a power of this."""

_Index = npt.NDArray[np.int64]


class _HandThrough(Cache):
    """To transformers a cache that stores nothing; `layer` is the one whose attention runs."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.layer = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.layer = layer_idx
        return key_states, value_states


@dataclass(slots=True)
class _Asked:
    """A prompt that somebody waits for; `done` of its tokens have their keys, `hit` of these from the prefix cache."""

    ids: Sequence[int]
    names: list[bytes]
    fan_out: int
    done: int = 0
    hit: int = 0


class ShelfKeys:
    """See `OpenKeys`. `cache_bytes` bounds the prefix cache."""

    def __init__(self, policy: Policy, max_rows: int, cache_bytes: int) -> None:
        self._policy, self._max_rows = policy, max_rows
        self._dtype = attention_dtype(policy.device, policy.autocast_dtype or torch.float32)
        self._cache = _HandThrough()
        self._layers = layer_shapes(policy)
        self._pass_tokens = _pass_tokens(policy)
        self.prefix = PrefixCache(cache_bytes)
        self.hit_tokens = self.miss_tokens = 0
        self._asked: dict[int, _Asked] = {}
        self._computing: list[int] = []
        self._hits: dict[int, int] = {}
        self._passes = 0
        self._prompt_shelves: dict[tuple[int, int], Shelf] = {}
        self._row_shelves: dict[int, Shelf] = {}
        self._home: dict[int, Shelf] = {}  # of prompts
        self._row_home: dict[int, Shelf] = {}  # of samples

    @property
    def cache(self) -> Cache:
        return self._cache

    def job_bytes(self, prompt_tokens: int, max_tokens: int) -> tuple[int, int]:
        return self.bytes_for(prompt_tokens), self.bytes_for(max_tokens)

    def bytes_for(self, tokens: int) -> int:
        """What a stretch of so many tokens takes on its shelf."""
        place = sum(one.heads * (one.key_size + one.value_size) for one in self._layers) * self._dtype.itemsize
        return places_for(tokens) * place

    def held_bytes(self) -> int:
        """Memory held by the shelves."""
        return sum(shelf.bytes() for shelf in [*self._prompt_shelves.values(), *self._row_shelves.values()])

    def expect(
        self, prompt: int, ids: Sequence[int], samples: int, salt: str | None = None, public_tokens: int = 0
    ) -> None:
        """A prompt that was added to the schedule, with so many samples; for the salt see `block_names`."""
        fan_out = 1
        while fan_out < min(samples, self._max_rows):
            fan_out *= _FAN_OUT
        self._asked[prompt] = _Asked(ids, block_names(ids, salt, public_tokens), fan_out)

    def take_hits(self) -> dict[int, int]:
        """Of the prompts that were completed since this was asked, how many tokens came from the prefix cache."""
        hits, self._hits = self._hits, {}
        return hits

    def compute(self, schedule: Schedule, prompts: Mapping[int, Sequence[int]]) -> list[tuple[int, torch.Tensor]]:
        """Begin prompts whose samples will get a row, and compute the next chunks."""
        while (begun := schedule.next_prompt()) is not None:
            self._begin(begun)
        if not self._computing:
            return []
        running = int(schedule.live_R.sum())
        free = self._max_rows - running
        chunks = self._next_chunks(max(self._pass_tokens * free // self._max_rows, running // _SHARE))
        self._passes += 1
        device = self._policy.device
        layout = ChunkLayout(chunks, self._dtype, self._layer, device)
        token_T = np.zeros(layout.first[-1], np.int64)
        position_T = np.zeros_like(token_T)
        for first, chunk in zip(layout.first, chunks, strict=False):
            own = slice(first, first + chunk.stop - chunk.start)
            token_T[own] = self._asked[chunk.prompt].ids[chunk.start : chunk.stop]
            position_T[own] = np.arange(chunk.start, chunk.stop)
        hidden_TD = self._policy.hidden(
            torch.from_numpy(token_T[None]).to(device),
            torch.from_numpy(position_T[None]).to(device),
            layout,
            self._cache,
        )
        complete = []
        for first, chunk in zip(layout.first, chunks, strict=False):
            asked = self._asked[chunk.prompt]
            last = first + chunk.stop - chunk.start
            if chunk.stop - chunk.start == BLOCK and bool(hidden_TD[first:last].isfinite().all()):
                views = chunk.shelf.stretch(chunk.prompt, chunk.start, chunk.stop)
                self.prefix.put(asked.names[chunk.start // BLOCK], views)
            if chunk.stop == len(asked.ids):
                self._computing.remove(chunk.prompt)
                self.prefix.use(asked.names)
                self._hits[chunk.prompt] = asked.hit
                schedule.computed([chunk.prompt])
                complete.append((chunk.prompt, hidden_TD[last - 1].float()))
        return complete

    def layout(self, schedule: Schedule, rows: int, width: int, positions: int) -> tuple[Layout, _Index]:
        samples, length_R = schedule.sample_R[:rows].tolist(), schedule.length_R[:rows]
        prompts = schedule.prompt_R[:rows].tolist()
        for sample, places in zip(samples, (length_R + positions - 1).tolist(), strict=True):
            self._seat(sample, places)
        before_R = np.array([len(self._asked[prompt].ids) for prompt in prompts], np.int64)
        row_of = {sample: row for row, sample in enumerate(samples)}
        own = [
            Readers(shelf, np.array([[row_of[owner]] for owner in shelf.owners]), length_R)
            for shelf in self._row_shelves.values()
            if len(shelf)
        ]
        shared = []
        readers: dict[int, list[int]] = {prompt: [] for prompt in prompts}
        for row, prompt in enumerate(prompts):
            readers[prompt].append(row)
        for (_, fan_out), shelf in self._prompt_shelves.items():
            if any(owner in readers for owner in shelf.owners):  # not one of prompts alone that are being computed
                member_SM = np.full((len(shelf), fan_out), -1)
                for slot, owner in enumerate(shelf.owners):
                    members = readers.get(owner, [])
                    member_SM[slot, : len(members)] = members
                length_S = np.array([len(self._asked[owner].ids) for owner in shelf.owners])
                shared.append(Readers(shelf, member_SM, length_S))
        layout = RowLayout(own, shared, length_R, width, positions, self._dtype, self._layer, self._policy.device)
        return layout, np.pad(before_R + length_R - 1, (0, width - rows))

    def keep_rows(self, kept_R: _Index, length: int) -> None:
        """Nothing moves: stretches are found by their owner."""

    def clean(self, sample: int, places: int) -> None:
        shelf = self._row_home[sample]
        for key, value in shelf.stretch(sample, places, shelf.places):
            key.zero_()
            value.zero_()

    def drop(self, prompts: Sequence[int], samples: Sequence[int]) -> None:
        for shelf, owners in _by_home(self._row_home, samples):
            shelf.drop(owners)
        for shelf, owners in _by_home(self._home, prompts):
            shelf.drop(owners)
        for prompt in prompts:
            del self._asked[prompt]
            if prompt in self._computing:
                self._computing.remove(prompt)

    def _layer(self) -> int:
        return self._cache.layer

    def _begin(self, prompt: int) -> None:
        asked = self._asked[prompt]
        places = places_for(len(asked.ids))
        shelf = self._shelf(self._prompt_shelves, (places, asked.fan_out), places)
        shelf.put(prompt)
        self._home[prompt] = shelf
        self._computing.append(prompt)

    def _next_chunks(self, tokens: int) -> list[Chunk]:
        """What to compute now, about so many tokens but one chunk at least: the chunks of the oldest prompt and of the
        one nearest its end in turn. A chunk that another prompt computes in this pass is waited for."""
        chunks: list[Chunk] = []
        coming = set[bytes]()
        by_age = list(self._computing)
        by_rest = sorted(by_age, key=lambda prompt: len(self._asked[prompt].ids) - self._asked[prompt].done)
        turn = self._passes
        while by_age and (not chunks or tokens > 0):
            prompt = (by_age, by_rest)[turn % 2][0]
            turn += 1
            chunk = self._next_chunk(prompt, coming)
            if chunk is not None:
                chunks.append(chunk)
                tokens -= chunk.width
                self._asked[prompt].done = chunk.stop
            if chunk is None or chunk.stop == len(self._asked[prompt].ids):
                by_age.remove(prompt)
                by_rest.remove(prompt)
        return chunks

    def _next_chunk(self, prompt: int, coming: set[bytes]) -> Chunk | None:
        """The next chunk of a prompt, once all blocks that are known have been taken from the prefix cache."""
        asked, shelf = self._asked[prompt], self._home[prompt]
        while asked.done + BLOCK < len(asked.ids):
            block = self.prefix.get(asked.names[asked.done // BLOCK])
            if block is None:
                break
            for (key, value), (known_key, known_value) in zip(
                shelf.stretch(prompt, asked.done, asked.done + BLOCK), block, strict=True
            ):
                key.copy_(known_key)
                value.copy_(known_value)
            asked.done += BLOCK
            asked.hit += BLOCK
            self.hit_tokens += BLOCK
        start, stop = asked.done, min(asked.done + BLOCK, len(asked.ids))
        if stop - start == BLOCK:
            name = asked.names[start // BLOCK]
            if name in coming and stop < len(asked.ids):
                return None
            coming.add(name)
        self.miss_tokens += stop - start
        return Chunk(prompt, shelf, start, stop)

    def _seat(self, sample: int, places: int) -> None:
        """Put a row's keys where there are so many places for them."""
        old = self._row_home.get(sample)
        if old is not None and old.places >= places:
            return
        shelf = self._shelf(self._row_shelves, places_for(places), places_for(places))
        shelf.put(sample, None if old is None else old.stretch(sample, 0, old.places))
        if old is not None:
            old.drop([sample])
        self._row_home[sample] = shelf

    def _shelf(self, shelves: dict[Any, Shelf], name: Any, places: int) -> Shelf:
        if name not in shelves:
            shelves[name] = Shelf(places, self._layers, self._dtype, self._policy.device)
        return shelves[name]


def _by_home(home_of: dict[int, Shelf], owners: Sequence[int]) -> list[tuple[Shelf, list[int]]]:
    """The owners that have a stretch, by its shelf; they leave `home_of`."""
    found: dict[int, tuple[Shelf, list[int]]] = {}
    for owner in owners:
        if (shelf := home_of.pop(owner, None)) is not None:
            found.setdefault(id(shelf), (shelf, []))[1].append(owner)
    return list(found.values())


def layer_shapes(policy: Policy) -> list[LayerShape]:
    """Of every layer, as attention gets them, whatever the model makes of its weights: asked of the model."""
    probe = _Probe()
    one = torch.zeros(1, 1, dtype=torch.long, device=policy.device)
    policy.hidden(one, one, probe, _HandThrough())
    return probe.layers


def _pass_tokens(policy: Policy) -> int:
    """Tokens of prompts in one pass while no row runs."""
    flops = 2 * sum(one.numel() for one in policy.model.parameters())
    least, most = _PASS_TOKENS
    return min(most, max(least, int(_PASS_FLOPS / flops)))


class _Probe:
    """A layout that attends to nothing and notes the shapes."""

    def __init__(self) -> None:
        self.layers: list[LayerShape] = []

    def attend(
        self,
        query_BHTD: torch.Tensor,
        key_BKLD: torch.Tensor,
        value_BKLE: torch.Tensor,
        scaling: float,
        reach: int | None = None,
        sinks_H: torch.Tensor | None = None,
    ) -> torch.Tensor:
        self.layers.append(LayerShape(key_BKLD.shape[1], key_BKLD.shape[3], value_BKLE.shape[3]))
        batch, heads, tokens, _ = query_BHTD.shape
        return query_BHTD.new_zeros(batch, tokens, heads, value_BKLE.shape[3])
