"""Shelves of keys and values: stretches that come and go, filled and emptied in place.

A shelf has places of one number for every stretch on it and keeps its slots dense: the last stretch moves into the gap
that one leaves. So a long prompt costs its own shelf's reading and nobody else's, and a join writes what it brings. The
tensors grow by a part and shrink when most of them stands empty.

Shapes: S slots, K key heads, D key size, E value size, P places.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch

__all__ = ["LEAST_PLACES", "LayerShape", "Shelf", "places_for"]

LEAST_PLACES = 64
_LEAST_SLOTS = 4


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Of one place of one layer."""

    heads: int
    key_size: int
    value_size: int


def places_for(tokens: int) -> int:
    """Of the shelf for stretches of so many tokens: a power of two, a pure function of the length, so that the same
    stretch is read in the same shape whoever stands beside it."""
    return max(LEAST_PLACES, 1 << (tokens - 1).bit_length())


class Shelf:
    """`owners` are the numbers of those whose stretches stand in its slots, in order of the slots. `keys` and `values`
    are (S, K, D, P) and (S, K, P, E), one of each layer; places that a stretch does not fill are finite."""

    def __init__(self, places: int, layers: list[LayerShape], dtype: torch.dtype, device: torch.device) -> None:
        self.places = places
        self.owners: list[int] = []
        self._slot_of: dict[int, int] = {}
        self.keys = [torch.zeros(0, one.heads, one.key_size, places, dtype=dtype, device=device) for one in layers]
        self.values = [torch.zeros(0, one.heads, places, one.value_size, dtype=dtype, device=device) for one in layers]

    def __len__(self) -> int:
        return len(self.owners)

    def bytes(self) -> int:
        """Memory held."""
        return sum(tensor.nbytes for tensor in [*self.keys, *self.values])

    def slot(self, owner: int) -> int:
        return self._slot_of[owner]

    def put(self, owner: int, layers: list[tuple[torch.Tensor, torch.Tensor]] | None = None) -> int:
        """A slot for `owner`, with the keys (K, D, L) and values (K, L, E) of each layer at its first L places."""
        slot = len(self.owners)
        self._resize(slot + 1)
        self.owners.append(owner)
        self._slot_of[owner] = slot
        for layer, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
            filled = 0
            if layers is not None:
                key, value = layers[layer]
                filled = key.shape[2]
                keys[slot, :, :, :filled] = key
                values[slot, :, :filled] = value
            keys[slot, :, :, filled:].zero_()  # a masked place must not hold a NaN
            values[slot, :, filled:].zero_()
        return slot

    def stretch(self, owner: int, start: int, stop: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Views of the keys (K, D, stop - start) and values (K, stop - start, E) of each layer."""
        slot = self._slot_of[owner]
        return [
            (keys[slot, :, :, start:stop], values[slot, :, start:stop])
            for keys, values in zip(self.keys, self.values, strict=True)
        ]

    def drop(self, owners: Collection[int]) -> None:
        """Free the owners' slots; the last stretches that stay take them."""
        for slot in sorted((self._slot_of.pop(owner) for owner in owners), reverse=True):
            last = self.owners.pop()
            if slot == len(self.owners):
                continue
            self.owners[slot] = last
            self._slot_of[last] = slot
            for tensor in [*self.keys, *self.values]:
                tensor[slot] = tensor[len(self.owners)]
        self._resize(len(self.owners))

    def _resize(self, slots: int) -> None:
        """Room for so many, half as many more when it must grow; three quarters empty, it shrinks."""
        capacity = len(self.keys[0])
        if slots > capacity:
            capacity = max(slots + slots // 2, _LEAST_SLOTS)
        elif slots == 0:
            capacity = 0
        elif slots * 4 <= capacity and capacity > _LEAST_SLOTS:
            capacity = max(slots + slots // 2, _LEAST_SLOTS)
        else:
            return
        self.keys = [_resized(tensor, capacity, len(self.owners)) for tensor in self.keys]
        self.values = [_resized(tensor, capacity, len(self.owners)) for tensor in self.values]


def _resized(old: torch.Tensor, slots: int, used: int) -> torch.Tensor:
    """Slots beyond the used ones hold anything: they are not read, and cleared when they are given away."""
    new = old.new_empty((slots, *old.shape[1:]))
    new[:used] = old[:used]
    return new
