"""Blocks of prompts whose keys and values are kept, so that what several prompts begin with is computed once.

A block is 32 tokens that begin at a multiple of 32, known by its ids and by everything before it: its name is a digest
of the name of the block before and of its own ids, and the first one's of a salt, so that nobody can find out by time
what those with another salt have asked. A prompt is never wholly taken from here: the hidden state of its last token
is needed.

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
    """At most `max_bytes` of blocks; those not used for longest make room.

    Nobody gets at a block without the one before it, so of blocks that are used together the later ones go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._blocks: OrderedDict[bytes, tuple[Block, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._blocks)

    def get(self, name: bytes) -> Block | None:
        """The block of this name, if it is kept."""
        found = self._blocks.get(name)
        return None if found is None else found[0]

    def use(self, names: Sequence[bytes]) -> None:
        """These blocks of one prompt, in their order, count as used now."""
        for name in reversed(names):
            if name in self._blocks:
                self._blocks.move_to_end(name)

    def put(self, name: bytes, block: Block) -> None:
        """Keep a block under its name."""
        size = sum(key.nbytes + value.nbytes for key, value in block)
        if name in self._blocks or size > self._max_bytes:
            return
        self._blocks[name] = block, size
        self.bytes += size
        while self.bytes > self._max_bytes:
            _, (_, freed) = self._blocks.popitem(last=False)
            self.bytes -= freed

    def clear(self) -> None:
        """Forget everything: the weights are others now."""
        self._blocks.clear()
        self.bytes = 0
