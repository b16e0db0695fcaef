"""What a lane asks of the memory of keys and values, and the memory of a closed batch.

`BatchKeys` computes prompts many at a time and stores them side by side, padded to the longest: the fastest way to
training's rollouts, whose prompts are alike and come all at once, and the arithmetic that stored rollouts repeat bit
for bit. `shelf_keys.ShelfKeys` is that of requests that come and go.

Shapes: R rows, W rows with padding, G prompts, T packed tokens, D hidden size.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from transformers import Cache

from ponder.policy.attention import Layout, PlainLayout, attention_dtype
from ponder.policy.policy import Policy
from ponder.rollout.prefix import PrefixCache
from ponder.rollout.schedule import Schedule
from ponder.rollout.slots import PromptLayout, SlotCache, SlotLayout

__all__ = ["BatchKeys", "Keys", "OpenKeys"]

_Index = npt.NDArray[np.int64]


class Keys(Protocol):
    """The keys and values of one lane's prompts and rows."""

    @property
    def cache(self) -> Cache | None:
        """What the model's forward pass is given."""
        ...

    def compute(self, schedule: Schedule, prompts: Mapping[int, Sequence[int]]) -> list[tuple[int, torch.Tensor]]:
        """Go on computing prompts, whose ids are `prompts`; those that are complete now, which the schedule is told
        of, each with its last token's hidden state in float32."""
        ...

    def layout(self, schedule: Schedule, rows: int, width: int, positions: int) -> tuple[Layout | PlainLayout, _Index]:
        """The layout of the next `positions` tokens of the first `rows` rows, padded to `width` rows, and how many
        tokens stand before the first of these, as (W,)."""
        ...

    def keep_rows(self, kept_R: _Index, length: int) -> None:
        """Rows `kept_R` (rising) move to the front; no sample has more than `length` tokens."""
        ...

    def drop(self, prompts: Sequence[int], samples: Sequence[int]) -> None:
        """These prompts and samples have finished."""
        ...


class OpenKeys(Keys, Protocol):
    """Those of an open schedule, whose memory is set aside. `hit_tokens` and `miss_tokens` count over all prompts,
    those that failed or were cancelled included, what was taken from `prefix` and what was computed."""

    prefix: PrefixCache
    hit_tokens: int
    miss_tokens: int

    def job_bytes(self, prompt_tokens: int, max_tokens: int) -> tuple[int, int]:
        """What a prompt takes, and each of its rows."""
        ...

    def clean(self, sample: int, places: int) -> None:
        """What the sample has at its own places from `places` on is no number: it counts for nothing, and attention
        must not meet it."""
        ...

    def held_bytes(self) -> int:
        """Memory held, but for the prefix cache."""
        ...

    def expect(
        self, prompt: int, ids: Sequence[int], samples: int, salt: str | None = None, public_tokens: int = 0
    ) -> None:
        """A prompt that was added to the schedule, with so many samples; for the salt see `block_names`."""
        ...

    def take_hits(self) -> dict[int, int]:
        """Of the prompts that were completed since this was asked, how many tokens came from the prefix cache."""
        ...


class BatchKeys:
    """See `Keys`. `max_tokens` is the limit of every sample; prompts are numbered from 0 on, in order of arrival.
    `most_rows` says how many rows there is memory for, None for any number."""

    def __init__(self, policy: Policy, max_tokens: int, most_rows: int | None = None) -> None:
        self._policy, self._max_tokens = policy, max_tokens
        dtype = policy.autocast_dtype or torch.float32
        most = None if most_rows is None else (most_rows, max_tokens)
        self._cache = SlotCache(attention_dtype(policy.device, dtype), policy.device, most)
        self._prompts: list[int] = []
        self._place_P = np.zeros(0, np.int64)
        self._dropped = set[int]()

    @property
    def cache(self) -> Cache:
        return self._cache

    def compute(self, schedule: Schedule, prompts: Mapping[int, Sequence[int]]) -> list[tuple[int, torch.Tensor]]:
        """Fill the cache with the keys and values of as many prompts as the free rows need."""
        chosen = schedule.prompts_to_compute()
        if not chosen:
            return []
        lengths = [len(prompts[p]) for p in chosen]
        layout = PromptLayout(self._cache, lengths, self._policy.device)
        ids_T = [token for p in chosen for token in prompts[p]]
        hidden_TD = self._policy.hidden(
            torch.tensor([ids_T], device=self._policy.device), layout.position_ids_T[None], layout, self._cache
        )
        last = torch.from_numpy(np.cumsum(lengths) - 1).to(hidden_TD.device)
        kept = [place for place, prompt in enumerate(self._prompts) if prompt not in self._dropped]
        self._cache.add_prompts(np.array(kept, np.int64), lengths)
        self._prompts = [self._prompts[place] for place in kept] + chosen
        self._dropped.clear()
        self._place_P = np.zeros(max(self._prompts) + 1, np.int64)
        self._place_P[self._prompts] = np.arange(len(self._prompts))
        schedule.computed(chosen)
        return list(zip(chosen, hidden_TD[last].float(), strict=True))

    def layout(self, schedule: Schedule, rows: int, width: int, positions: int) -> tuple[Layout, _Index]:
        padding = (0, width - rows)
        live_R, length_R = schedule.live_R[:rows], schedule.length_R[:rows]
        # Idle rows read and write as little as any live one.
        shortest = int(length_R[live_R].min(initial=self._max_tokens))
        length_W = np.pad(np.where(live_R, length_R, shortest), padding, constant_values=shortest)
        place_W = np.pad(self._place_P[schedule.prompt_R[:rows]], padding)
        layout = SlotLayout(self._cache, place_W, length_W, np.pad(live_R, padding), self._policy.device, positions)
        return layout, self._cache.prompt_lengths_G[place_W] + length_W - 1

    def keep_rows(self, kept_R: _Index, length: int) -> None:
        self._cache.keep_rows(kept_R, length)

    def drop(self, prompts: Sequence[int], samples: Sequence[int]) -> None:
        self._dropped.update(prompts)
