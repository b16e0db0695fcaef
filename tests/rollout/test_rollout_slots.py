"""The attention of sampling against a softmax in float64, and what a step of it may cost."""

import numpy as np
import pytest
import torch

from ponder.policy.attention import attention_dtype
from ponder.rollout.slots import PromptLayout, SlotCache, SlotLayout

CPU = torch.device("cpu")
HEADS, KEY_HEADS, SIZE = 4, 2, 16
SCALE = 3.0
"""Scores reach some hundred: rounded to bf16, they would be off by one half and more."""


class Rows:
    """Prompts and rows with random keys and values, kept beside the cache as plain lists."""

    def __init__(self, prompt_lengths: list[int], slots: list[int], seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.cache = SlotCache(attention_dtype(CPU, torch.bfloat16), CPU)
        self.slots = np.array(slots)
        layout = PromptLayout(self.cache, prompt_lengths, CPU)
        query, key, value = self.drawn(sum(prompt_lengths))
        self.cache.update(key, value, 0)
        layout.attend(query, key, value, SCALE)
        self.cache.add_prompts(np.zeros(0, np.int64), prompt_lengths)
        self.prompts = list(zip(key[0].split(prompt_lengths, 1), value[0].split(prompt_lengths, 1), strict=True))
        self.own = [(key[0, :, :0], value[0, :, :0]) for _ in slots]

    def drawn(self, tokens: int) -> tuple[torch.Tensor, ...]:
        heads = (HEADS, KEY_HEADS, KEY_HEADS)
        return tuple(torch.randn(1, count, tokens, SIZE, generator=self.generator) for count in heads)

    def step(self, live: list[bool], positions: int = 1, kept: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention of the next `positions` tokens of all rows, of which the first `kept` stay: ours and exact."""
        length = np.array([keys.shape[1] + 1 for keys, _ in self.own])
        layout = SlotLayout(self.cache, self.slots, length, np.array(live), CPU, positions)
        query, key, value = self.drawn(len(self.own) * positions)
        self.cache.update(key, value, 0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours = layout.attend(query, key, value, SCALE)[0]
        exact = torch.zeros(len(self.own) * positions, HEADS, SIZE, dtype=torch.float64)
        for row, (keys, values) in enumerate(self.own):
            mine = slice(row * positions, (row + 1) * positions)
            keys, values = torch.cat([keys, key[0, :, mine]], 1), torch.cat([values, value[0, :, mine]], 1)
            prompt_keys, prompt_values = self.prompts[self.slots[row]]
            for position in range(positions):
                seen = keys.shape[1] - positions + position + 1
                all_keys = torch.cat([prompt_keys, keys[:, :seen]], 1).double().repeat_interleave(2, 0)
                all_values = torch.cat([prompt_values, values[:, :seen]], 1).double().repeat_interleave(2, 0)
                scores = torch.einsum("hd,hsd->hs", query[0, :, mine][:, position].double() * SCALE, all_keys)
                exact[row * positions + position] = torch.einsum("hs,hsd->hd", scores.softmax(-1), all_values)
            stays = keys.shape[1] - positions + kept
            self.own[row] = keys[:, :stays], values[:, :stays]
        return ours, exact


@pytest.mark.parametrize("positions", [1, 2, 4])
def test_scores_are_float32_under_bf16_products(positions: int) -> None:
    """Rows of several prompts; guesses beyond what is kept are hidden from the steps that follow."""
    rows = Rows([7, 1, 30], [0, 0, 2, 1, 2])
    for _ in range(40):
        ours, exact = rows.step([True] * 5, positions)
        torch.testing.assert_close(ours.double(), exact, rtol=0, atol=2e-4)  # scores of 300 have 2e-5 in float32


def test_idle_rows_are_computed_along_and_harm_nobody() -> None:
    """Rows alike in length but for one that began later; every second one has ended."""
    rows = Rows([5, 9], [0, 1, 0, 1])
    live = [True, False, True, False]
    for _ in range(100):
        ours, exact = rows.step(live)
        assert ours.isfinite().all()
        torch.testing.assert_close(ours[::2].double(), exact[::2], rtol=0, atol=2e-4)


def test_a_mask_holds_the_places_alone_in_which_rows_differ() -> None:
    cache = Rows([40, 44], [0, 1]).cache
    for length in (2_000, 20_000):
        lengths = np.array([length, length - 3, 17])  # the last one is idle
        layout = SlotLayout(cache, np.array([0, 1, 0]), lengths, np.array([True, True, False]), CPU)
        assert [span.bias_R1N1P.shape[-1] for span in layout._spans] == [3 + -length % 16]
    assert cache.prompt_bias_G1P.shape[-1] == 8
