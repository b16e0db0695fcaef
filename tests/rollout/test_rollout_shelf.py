"""Shelves against a dict of tensors, and the prefix cache against a list of what was last used."""

import numpy as np
import pytest
import torch

from ponder.rollout import prefix
from ponder.rollout.prefix import PrefixCache, block_names
from ponder.rollout.shelf import LayerShape, Shelf, places_for

LAYERS = [LayerShape(2, 3, 5), LayerShape(1, 4, 4)]


def test_stretches_stay_what_they_are_while_others_come_and_go() -> None:
    generator, numbers = torch.Generator().manual_seed(0), np.random.default_rng(0)
    shelf = Shelf(64, LAYERS, torch.float32, torch.device("cpu"))
    kept: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    most = 0
    for owner in range(400):
        length = int(numbers.integers(0, 65))
        layers = [
            (
                torch.randn(one.heads, one.key_size, length, generator=generator),
                torch.randn(one.heads, length, one.value_size, generator=generator),
            )
            for one in LAYERS
        ]
        shelf.put(owner, layers)
        kept[owner] = layers
        while kept and numbers.random() < (0.2 if owner < 200 else 0.7):
            leaving = numbers.choice(
                sorted(kept), int(numbers.integers(1, min(len(kept), 4) + 1)), replace=False
            ).tolist()
            for gone in leaving:
                for key, value in shelf.stretch(gone, 0, 64):
                    key.fill_(float("nan"))  # what a bad row leaves behind
                    value.fill_(float("nan"))
                del kept[gone]
            shelf.drop(leaving)
        most = max(most, len(shelf))
        assert sorted(shelf.owners) == sorted(kept) and len(shelf) == len(kept)
        assert [shelf.slot(one) for one in shelf.owners] == list(range(len(kept)))
        capacity = len(shelf.keys[0])
        assert len(kept) <= capacity <= max(4 * len(kept), 4)
        for one, expected in kept.items():
            for (key, value), (right_key, right_value) in zip(shelf.stretch(one, 0, 64), expected, strict=True):
                filled = right_key.shape[2]
                assert torch.equal(key[..., :filled], right_key) and torch.equal(value[:, :filled], right_value)
                assert not key[..., filled:].any() and not value[:, filled:].any()
    assert most > 50
    shelf.drop(list(kept))
    assert shelf.bytes() == 0


def test_a_shelf_is_a_function_of_the_length() -> None:
    assert [places_for(n) for n in (1, 64, 65, 128, 129, 1900, 2048, 2049)] == [64, 64, 128, 128, 256, 2048, 2048, 4096]


def test_names_are_of_all_that_stands_before_and_of_the_salt() -> None:
    ids = list(range(100))
    names = block_names(ids, None, 0)
    assert len(names) == len(set(names)) == 3, "whole blocks alone"
    assert block_names(ids[:96], None, 0) == names and block_names(ids[:95], None, 0) == names[:2]
    changed = block_names([*ids[:40], 7, *ids[41:]], None, 0)
    assert [a == b for a, b in zip(names, changed, strict=True)] == [True, False, False]
    one, two = block_names(ids, "one", 64), block_names(ids, "two", 64)
    assert one[:2] == two[:2] == names[:2] and len({one[2], two[2], names[2]}) == 3
    assert not set(block_names(ids, "one", 31)) & set(names), "a block is everybody's only if all of it is"
    assert block_names([0, *ids[1:]], "", 0) != names, "an empty salt is a salt"


def test_blocks_not_used_for_longest_make_room_the_last_of_a_prompt_first() -> None:
    block = [(torch.zeros(1, 2, 32), torch.zeros(1, 32, 2))]
    size = 2 * 2 * 32 * 4
    cache = PrefixCache(4 * size)
    first, second = [b"a1", b"a2"], [b"b1", b"b2"]
    for name in [*first, *second]:
        cache.put(name, block)
    cache.use(second)
    cache.use(first)
    cache.put(b"c1", block)
    assert [cache.get(name) is not None for name in (*first, *second, b"c1")] == [True, True, True, False, True]
    assert cache.held_bytes == 4 * size and len(cache) == 4
    small = PrefixCache(size - 1)
    small.put(b"x", block)
    assert len(small) == small.held_bytes == 0, "what is larger than all there is, is not kept"
    cache.clear()
    assert cache.get(b"a1") is None and cache.held_bytes == 0


@pytest.mark.parametrize("slab_blocks", [1, 3, 100])
def test_kept_blocks_are_copies_in_memory_that_is_used_again(slab_blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a dict: what is kept is what was put, whatever comes, goes and is overwritten."""
    size = 2 * (2 * 3 + 2 * 5) * 32 * 4
    monkeypatch.setattr(prefix, "_SLAB_BYTES", slab_blocks * size)
    generator, numbers = torch.Generator().manual_seed(0), np.random.default_rng(1)
    cache, right, addresses = PrefixCache(7 * size + 5), dict[bytes, torch.Tensor](), set[int]()
    for turn in range(300):
        name = bytes([int(numbers.integers(0, 20))])
        drawn = torch.randn(2, 2, 8, 32, generator=generator)
        block = [(layer[:, :3], layer[:, 3:].transpose(1, 2)) for layer in drawn]
        if cache.get(name) is None:
            right[name] = drawn.clone()
        cache.put(name, block)
        drawn.zero_()  # whoever put it goes on to use its memory
        if turn == 200:
            cache.clear()
            assert len(cache) == cache.held_bytes == 0
        kept = [name for name in right if cache.get(name) is not None]
        assert len(kept) == len(cache) <= 7 and cache.held_bytes == len(kept) * size
        for name in kept:
            found = cache.get(name)
            assert found is not None
            addresses |= {found[0][0].data_ptr()}
            for (key, value), expected in zip(found, right[name], strict=True):
                assert torch.equal(key, expected[:, :3]) and torch.equal(value, expected[:, 3:].transpose(1, 2))
    assert len(addresses) == 7
