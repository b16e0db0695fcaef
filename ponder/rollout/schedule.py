"""Which sample stands in which row, without any tensor: the state machine of continuous batching.

Prompts wait, are computed in batches, and give their samples to rows. New rows are always put at the end, so rows are
ordered by age: lengths mostly descend, and attention can read each stretch of rows only as far as its longest row
reaches. A finished sample leaves an idle row behind; idle rows are squeezed out once the work they have wasted equals
the cost of doing so.

Shapes: R rows in use (idle ones included), G prompts in the cache.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Schedule"]

_PREFILL_TOKENS = 512
"""Prompts are computed in batches of at least this many tokens while prompts wait ..."""
_PREFILL_TOKENS_MOST = 8192
"""... and of at most this many, unless one prompt alone is longer; bounds the memory of prefilling."""

_Index = npt.NDArray[np.int64]


class Schedule:
    """Rows and prompts of one lane.

    Samples are numbered prompt by prompt. `sample_R`, `prompt_R` (the place of the row's prompt in the cache),
    `length_R` (tokens sampled so far) and `live_R` describe the rows; `prompt_G` names the prompts in the cache.
    """

    def __init__(self, prompt_lengths: Sequence[int], samples_per_prompt: Sequence[int], max_rows: int) -> None:
        self._prompt_lengths = np.asarray(prompt_lengths, np.int64)
        self._first_sample = np.concatenate([[0], np.cumsum(samples_per_prompt)]).astype(np.int64)
        self._max_rows = max_rows
        self._uncomputed = deque(p for p, count in enumerate(samples_per_prompt) if count)
        self._unseated: deque[tuple[int, int]] = deque()  # (prompt, sample) whose prompt is computed
        self._wasted = 0
        self.prompt_G: list[int] = []
        self.sample_R = np.zeros(0, np.int64)
        self.prompt_R = np.zeros(0, np.int64)
        self.length_R = np.zeros(0, np.int64)
        self.live_R = np.zeros(0, np.bool_)

    @property
    def rows(self) -> int:
        return len(self.live_R)

    @property
    def done(self) -> bool:
        """Nothing waits and nothing runs."""
        return not (self._uncomputed or self._unseated or self.live_R.any())

    def prompts_to_compute(self) -> list[int]:
        """The prompts to compute now, so that every free row gets a sample; empty when none is needed or left."""
        free = self._max_rows - int(self.live_R.sum()) - len(self._unseated)
        chosen: list[int] = []
        tokens = 0
        while (self._uncomputed and free > 0) or (chosen and self._uncomputed and tokens < _PREFILL_TOKENS):
            prompt = self._uncomputed[0]
            tokens += int(self._prompt_lengths[prompt])
            if chosen and tokens > _PREFILL_TOKENS_MOST:
                break
            chosen.append(self._uncomputed.popleft())
            free -= int(self._first_sample[prompt + 1] - self._first_sample[prompt])
        return chosen

    def add_prompts(self, prompts: Sequence[int]) -> _Index:
        """Note that `prompts` are now behind those cached prompts that still have samples; their places are returned:
        the cache must keep these, in this order, before the new ones."""
        needed = {prompt for prompt, _ in self._unseated} | {self.prompt_G[s] for s in self.prompt_R[self.live_R]}
        kept = [place for place, prompt in enumerate(self.prompt_G) if prompt in needed]
        moved = np.zeros(len(self.prompt_G) + 1, np.int64)
        moved[kept] = np.arange(len(kept))
        self.prompt_R = moved[self.prompt_R]
        self.prompt_G = [self.prompt_G[place] for place in kept] + list(prompts)
        for prompt in prompts:
            self._unseated.extend((prompt, s) for s in range(*self._first_sample[prompt : prompt + 2]))
        return np.asarray(kept, np.int64)

    def seat(self) -> int:
        """Give waiting samples of computed prompts new rows at the end; how many got one."""
        count = min(self._max_rows - int(self.live_R.sum()), len(self._unseated))
        if count:
            seated = [self._unseated.popleft() for _ in range(count)]
            places = {prompt: place for place, prompt in enumerate(self.prompt_G)}
            self.sample_R = np.append(self.sample_R, [sample for _, sample in seated])
            self.prompt_R = np.append(self.prompt_R, [places[prompt] for prompt, _ in seated])
            self.length_R = np.append(self.length_R, np.zeros(count, np.int64))
            self.live_R = np.append(self.live_R, np.ones(count, np.bool_))
        return count

    def extend(self, tokens_R: _Index) -> None:
        """Every row has so many tokens more."""
        self.length_R += tokens_R

    def release(self, finished_R: npt.NDArray[np.bool_]) -> None:
        """Rows in `finished_R` are idle from now on."""
        self.live_R &= ~finished_R
        self._wasted += self.rows - int(self.live_R.sum())

    def squeeze(self) -> _Index | None:
        """The rows to keep, in order, once idle rows have cost as many row-steps as there are rows; None before.

        Copying the cache takes about as long as one step, so this is never more than twice as costly as copying at the
        best moments.
        """
        if self._wasted < self.rows or self.live_R.all():
            return None
        kept = np.flatnonzero(self.live_R)
        self.sample_R, self.prompt_R = self.sample_R[kept], self.prompt_R[kept]
        self.length_R, self.live_R = self.length_R[kept], self.live_R[kept]
        self._wasted = 0
        return kept
