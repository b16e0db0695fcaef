"""Blocks of prompts whose keys and values are kept, so that what several prompts begin with is computed once.

A block is 32 tokens that begin at a multiple of 32, known by its ids and by everything before it: its name is a digest
of the name of the block before and of its own ids, and the first one's of a salt, so that nobody can find out by time
what those with another salt have asked. A prompt is never wholly taken from here: the hidden state of its last token
is needed.

Blocks lie in slabs, whose places are written again and again. As tensors of their own, thousands of small ones among
others that come and go, they would leave gaps that the allocator cannot use, more every hour.

Shapes: K key heads, D key size, E value size, B = 32 places.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

__all__ = ["BLOCK", "Block", "PrefixCache", "block_names"]

BLOCK = 32
"""Tokens of a block, which is also the size of the chunks in which prompts are computed."""

Block = list[tuple[torch.Tensor, torch.Tensor]]
"""The keys (K, D, B) and values (K, B, E) of each layer."""

_SLAB_BYTES = 16 << 20


def block_names(prompt_ids: Sequence[int], salt: str | None, public_tokens: int) -> list[bytes]:
    """The names of the prompt's whole blocks. The salt goes into those that hold more than the first `public_tokens`
    tokens, the words that everybody's prompt begins with; None is no salt."""
    ids = np.asarray(prompt_ids, np.int64)
    name, names, salted = b"", list[bytes](), salt is None
    for start, end in pairwise(range(0, len(ids) + 1, BLOCK)):
        if end > public_tokens and not salted:
            assert salt is not None
            name, salted = _digest(b"salt" + name + salt.encode("utf-8", "surrogatepass")), True
        name = _digest(name + ids[start:end].tobytes())
        names.append(name)
    return names


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class PrefixCache:
    """At most `max_bytes` of blocks, all of one model; those not used for longest make room.

    Nobody gets at a block without the one before it, so of blocks that are used together the later ones go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._blocks: OrderedDict[bytes, Block] = OrderedDict()
        self._free: list[Block] = []
        self._places = 0  # free or not
        self._block_bytes = 0

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def held_bytes(self) -> int:
        """Of the blocks that are kept."""
        return len(self._blocks) * self._block_bytes

    def get(self, name: bytes) -> Block | None:
        """The block of this name, if it is kept: to be copied before another is put."""
        return self._blocks.get(name)

    def use(self, names: Sequence[bytes]) -> None:
        """These blocks of one prompt, in their order, count as used now."""
        for name in reversed(names):
            if name in self._blocks:
                self._blocks.move_to_end(name)

    def put(self, name: bytes, block: Block) -> None:
        """Keep a copy of a block under its name."""
        self._block_bytes = sum(key.nbytes + value.nbytes for key, value in block)
        if name in self._blocks or self._block_bytes > self._max_bytes:
            return
        place = self._place(block)
        for (key, value), (new_key, new_value) in zip(place, block, strict=True):
            key.copy_(new_key)
            value.copy_(new_value)
        self._blocks[name] = place

    def clear(self) -> None:
        """Forget everything: the weights are others now."""
        self._free += self._blocks.values()
        self._blocks.clear()

    def _place(self, like: Block) -> Block:
        most = self._max_bytes // self._block_bytes
        if not self._free and self._places < most:
            count = min(max(1, _SLAB_BYTES // self._block_bytes), most - self._places)
            slab = [(_places(key, count), _places(value, count)) for key, value in like]
            self._free = [[(key[i], value[i]) for key, value in slab] for i in reversed(range(count))]
            self._places += count
        return self._free.pop() if self._free else self._blocks.popitem(last=False)[1]


def _places(like: torch.Tensor, count: int) -> torch.Tensor:
    return like.new_empty((count, *like.shape))
