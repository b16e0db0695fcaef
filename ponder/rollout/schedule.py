"""Which sample stands in which row, without any tensor: the state machine of continuous batching.

Prompts wait, are begun, are computed, and give their samples to rows. New rows are always put at the end, so rows are
ordered by age: lengths mostly descend, and attention can read each stretch of rows only as far as its longest row
reaches. A finished sample leaves an idle row behind; idle rows are squeezed out once the work they have wasted equals
the cost of doing so.

A schedule is closed or open. A closed one serves in the order of arrival: its work is known from the start, and only
the end of all of it counts. An open one, which prompts join while it runs, lets the first sample of every prompt go
before the second of any, so that a vote of 64 does not stand before a chat, and takes the prompts of several owners by
turns, so that nobody waits behind all that another has asked; it squeezes at once, since idle rows cost nothing to
leave out there; and it begins and seats what memory has been set aside for.

Shapes: R rows in use (idle ones included).
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ponder.rollout.turns import Turns

__all__ = ["Schedule"]

_PREFILL_TOKENS = 512
"""Prompts are computed in batches of at least this many tokens while prompts wait ..."""
_PREFILL_TOKENS_MOST = 8192
"""... and of at most this many, unless one prompt alone is longer; bounds the memory of prefilling."""
_SWEPT = 4
"""Entries of a heap for each that still counts, at most, but for a few."""

_Index = npt.NDArray[np.int64]
_Turn = tuple[int, int, int, int]
"""Who goes first: (priority, number among the samples of its prompt, round of its owner, arrival), smallest first."""


@dataclass(slots=True)
class _Prompt:
    """`left` samples are not finished. `turn` is the round of its owner. `held` says that the memory of the next row is
    set aside."""

    length: int
    samples: list[int]
    priority: int
    owner: str | None
    turn: int
    bytes: int
    row_bytes: int
    left: int
    begun: bool = False
    held: bool = False


class Schedule:
    """Rows and prompts of one lane, each known by the number it was added with.

    `sample_R`, `prompt_R`, `length_R` (tokens sampled so far) and `live_R` describe the rows. `memory` is how many
    bytes the keys of prompts and rows may take, None for any.
    """

    def __init__(self, max_rows: int, *, is_open: bool = False, memory: int | None = None) -> None:
        self._max_rows, self._open = max_rows, is_open
        self._memory = memory
        self._prompts: dict[int, _Prompt] = {}
        self._prompt_of: dict[int, int] = {}
        self._uncomputed: list[tuple[_Turn, int]] = []  # heap of prompts that are not begun
        self._turns: dict[int, _Turn] = {}  # of the samples whose prompt is begun and which have no row yet
        self._unseated: list[tuple[_Turn, int]] = []  # heap of those whose prompt is computed
        self._ended: list[int] = []
        self._arrivals = 0
        self._owners = Turns()
        self._wasted = 0
        self.reserved = 0  # bytes set aside
        self.waiting_tokens = 0  # of prompts that are not begun
        self.paused = False  # while it is, an open schedule begins no prompt
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
        return not self._prompt_of

    @property
    def busy(self) -> bool:
        """Whether any prompt is begun that has samples left."""
        return any(prompt.begun for prompt in self._prompts.values())

    def add(
        self,
        prompt: int,
        length: int,
        samples: Sequence[int],
        *,
        priority: int = 0,
        owner: str | None = None,
        prompt_bytes: int = 0,
        row_bytes: int = 0,
    ) -> None:
        """A prompt of `length` tokens with one sample or more waits from now on. A lower `priority` goes first; of one
        priority the owners' prompts go by turns."""
        turn = self._owners.join(priority, owner)
        self._prompts[prompt] = _Prompt(
            length, list(samples), priority, owner, turn, prompt_bytes, row_bytes, len(samples)
        )
        self._prompt_of.update(dict.fromkeys(samples, prompt))
        heapq.heappush(self._uncomputed, ((priority, 0, turn, self._arrivals), prompt))
        self._arrivals += 1
        self.waiting_tokens += length

    def waits(self, owner: str | None) -> bool:
        """Whether a prompt of this owner is not begun."""
        return self._owners.waits(owner)

    def cancel(self, sample: int) -> int | None:
        """Forget a sample that is not finished, wherever it is; the row it leaves, if it had one."""
        prompt = self._prompts[self._prompt_of[sample]]
        if sample in prompt.samples:  # neither seated nor finished
            prompt.samples.remove(sample)
            self._turns.pop(sample, None)
            self._finish(sample, seated=False)
            self._sweep()
            return None
        row = int(np.flatnonzero((self.sample_R == sample) & self.live_R)[0])
        self.release(np.arange(self.rows) == row)
        return row

    def prompts_to_compute(self) -> list[int]:
        """Begin the prompts to compute now, so that every free row gets a sample; empty when none is needed or left."""
        free = self._max_rows - int(self.live_R.sum()) - len(self._turns)
        chosen: list[int] = []
        tokens = 0
        while self._first() is not None and (free > 0 or (chosen and tokens < _PREFILL_TOKENS)):
            prompt = self._uncomputed[0][1]
            if not self._fits(self._prompts[prompt].bytes + self._prompts[prompt].row_bytes):
                break
            tokens += self._prompts[prompt].length
            if chosen and tokens > _PREFILL_TOKENS_MOST:
                break
            chosen.append(self._begin())
            free -= len(self._prompts[prompt].samples)
        return chosen

    def next_prompt(self) -> int | None:
        """Begin the next prompt if its first sample will get one of the rows that are free, and its memory is there."""
        first = self._first()
        if first is None or self.paused:
            return None
        free = self._max_rows - int(self.live_R.sum()) - sum(turn < first for turn in self._turns.values())
        prompt = self._prompts[self._uncomputed[0][1]]
        if free <= 0 or not self._fits(prompt.bytes + prompt.row_bytes):
            return None
        return self._begin()

    def begin(self) -> list[int]:
        """Begin the prompts to compute now, in the way of this schedule, closed or open."""
        if not self._open:
            return self.prompts_to_compute()
        begun: list[int] = []
        while (prompt := self.next_prompt()) is not None:
            begun.append(prompt)
        return begun

    def computed(self, prompts: Sequence[int]) -> None:
        """The samples of these prompts may be seated from now on."""
        for prompt in prompts:
            for sample in self._prompts[prompt].samples:
                heapq.heappush(self._unseated, (self._turns[sample], sample))

    def seat(self) -> int:
        """Give waiting samples of computed prompts new rows at the end; how many got one."""
        free = self._max_rows - int(self.live_R.sum())
        seated: list[int] = []
        passed_over: list[tuple[_Turn, int]] = []
        while len(seated) < free and self._unseated:
            turn, sample = heapq.heappop(self._unseated)
            if self._turns.get(sample) != turn:  # it was cancelled
                continue
            prompt = self._prompts[self._prompt_of[sample]]
            if prompt.held:
                prompt.held = False
            elif self._fits(prompt.row_bytes):
                self.reserved += prompt.row_bytes
            else:
                passed_over.append((turn, sample))
                continue
            del self._turns[sample]
            prompt.samples.remove(sample)
            seated.append(sample)
        for waiting in passed_over:
            heapq.heappush(self._unseated, waiting)
        if seated:
            self.sample_R = np.append(self.sample_R, seated)
            self.prompt_R = np.append(self.prompt_R, [self._prompt_of[sample] for sample in seated])
            self.length_R = np.append(self.length_R, np.zeros(len(seated), np.int64))
            self.live_R = np.append(self.live_R, np.ones(len(seated), np.bool_))
        return len(seated)

    def extend(self, tokens_R: _Index) -> None:
        """Every row has so many tokens more."""
        self.length_R += tokens_R

    def release(self, finished_R: npt.NDArray[np.bool_]) -> None:
        """Rows in `finished_R` are idle from now on, their samples finished."""
        for sample in self.sample_R[finished_R & self.live_R].tolist():
            self._finish(sample, seated=True)
        self.live_R &= ~finished_R
        self._wasted += self.rows - int(self.live_R.sum())

    def take_ended(self) -> list[int]:
        """The prompts whose last sample has finished since this was asked."""
        ended, self._ended = self._ended, []
        return ended

    def squeeze(self) -> _Index | None:
        """The rows to keep, in order, once idle rows have cost as many row-steps as there are rows, or at once where
        memory is bounded; None before.

        Copying the cache takes about as long as one step, so this is never more than twice as costly as copying at the
        best moments.
        """
        patient = not self._open and self._memory is None
        if (self._wasted < self.rows and patient) or self.live_R.all():
            return None
        kept = np.flatnonzero(self.live_R)
        self.sample_R, self.prompt_R = self.sample_R[kept], self.prompt_R[kept]
        self.length_R, self.live_R = self.length_R[kept], self.live_R[kept]
        self._wasted = 0
        return kept

    def _first(self) -> _Turn | None:
        """The turn of the prompt that is next, which stands at the front of the heap."""
        while self._uncomputed and self._uncomputed[0][1] not in self._prompts:  # all its samples were cancelled
            heapq.heappop(self._uncomputed)
        return self._uncomputed[0][0] if self._uncomputed else None

    def _sweep(self) -> None:
        """Take what was cancelled out of the heaps once it is most of them; else it waits for its turn there."""
        if len(self._uncomputed) > _SWEPT * (1 + len(self._prompts)):
            self._uncomputed = [one for one in self._uncomputed if one[1] in self._prompts]
            heapq.heapify(self._uncomputed)
        if len(self._unseated) > _SWEPT * (1 + len(self._turns)):
            self._unseated = [one for one in self._unseated if one[1] in self._turns]
            heapq.heapify(self._unseated)

    def _begin(self) -> int:
        (priority, _, turn, arrival), number = heapq.heappop(self._uncomputed)
        prompt = self._prompts[number]
        self._owners.leave(priority, prompt.owner, turn)
        prompt.begun = prompt.held = True
        self.waiting_tokens -= prompt.length
        self.reserved += prompt.bytes + prompt.row_bytes
        for i, sample in enumerate(prompt.samples):
            self._turns[sample] = (priority, i, turn, arrival) if self._open else (priority, 0, arrival, i)
        return number

    def _fits(self, more: int) -> bool:
        return self._memory is None or self.reserved + more <= self._memory

    def _finish(self, sample: int, *, seated: bool) -> None:
        number = self._prompt_of.pop(sample)
        prompt = self._prompts[number]
        prompt.left -= 1
        if seated:
            self.reserved -= prompt.row_bytes
        if prompt.left == 0:
            del self._prompts[number]
            self._ended.append(number)
            if prompt.begun:
                self.reserved -= prompt.bytes + prompt.held * prompt.row_bytes
            else:
                self._owners.leave(prompt.priority, prompt.owner, None)
                self.waiting_tokens -= prompt.length
