"""Guesses at a row's next tokens, from what its lane has written before.

Thoughts repeat: phrases, the sums of the other samples of the group, one's own lines when they are checked. A guess is
computed along with the row's last token, one more position of the same forward pass, and costs little while the pass is
small. Which token a position gets depends on the logits and on the position's own random number alone (`sampler.py`),
so a right guess is one that is *equal* to what is sampled there; it saves a step, and a wrong one changes nothing.
Speculative sampling (Leviathan et al. 2023) accepts by chance what a small model proposes; here nothing is left to it.

What is remembered is that after the last 5, 3 or 2 tokens a certain token came, in tables of fixed size. Contexts that
share a place in the table overwrite each other; that, too, makes wrong guesses only.

How many are computed: a lane of a closed batch takes what costs little, by a rule that depends on nothing but what was
sampled, so that its passes are the same when it is repeated. An open lane, which runs for days and whose passes change
with its company anyway, takes what has been worth it of late.

Shapes: R rows, N places of known tokens, C tokens of context, J guesses, O orders.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Drafter", "OpenDrafter"]

_ORDERS = (5, 3, 2)
"""Tokens of context that are looked up, longest first."""
_BITS = 17
"""Binary logarithm of the places in a table: half a MiB for each order."""
_WIDTHS = (7, 3, 1)
"""Guesses per row, most first: with the row's own token a power of two, so that matrix shapes recur."""
_LEAST_RIGHT = 0.3
"""Share of guesses that must prove right; below it, a lane stops guessing."""
_TRIAL = 256
"""Guesses after which that share is looked at."""
_MEMORY = 2048
"""Guesses that an open lane remembers the outcome of, about; those before count for half, and so on."""
_FIRST = 16, 4
"""What it takes for granted at its beginning: so many guesses, and so many of them right."""
_LEAST_GAIN = 1.05
"""Times as many tokens a second as guesses must promise there."""
_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], np.uint64
)
_MIX = np.uint64(0xBF58476D1CE4E5B9)

_Index = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]
_NONE: _Index = np.zeros((0, 0), np.int64)


class Drafter:
    """The guesses of one lane; `free_tokens` is how many more tokens a forward pass computes at little cost."""

    def __init__(self, free_tokens: int) -> None:
        self._free_tokens = free_tokens
        self._next_OP = np.full((len(_ORDERS), 1 << _BITS), -1, np.int32)
        self._guessed = self._right = 0

    @property
    def useful(self) -> bool:
        """Whether enough guesses have been right so far."""
        return self._free_tokens > 0 and (self._guessed < _TRIAL or self._right >= _LEAST_RIGHT * self._guessed)

    def learn(self, tokens_RL: _Index, row_N: _Index, place_N: _Index) -> None:
        """Remember the tokens that stand at (`row_N`, `place_N`) and what stood before them."""
        token_N = tokens_RL[row_N, place_N]
        for next_P, key_N in zip(self._next_OP, _keys(_context(tokens_RL, row_N, place_N)), strict=True):
            next_P[key_N] = token_N

    def guess(self, tokens_RL: _Index, length_R: _Index, able_R: _Mask) -> _Index:
        """What may follow each row's tokens, as (R, J); -1 where there is no guess, and in rows that are not able to
        have one. J is 0 where guessing does not pay: the pass would grow too much, or too few rows have a guess."""
        rows = len(length_R)
        width = next((w for w in _WIDTHS if rows * w <= self._free_tokens), 0) if self.useful else 0
        guess_RJ = self._found(tokens_RL, length_R, able_R, width)
        worth = next((w for w in _WIDTHS if w <= width and 2 * (guess_RJ[:, :w] >= 0).sum() >= rows * w), 0)
        return guess_RJ[:, :worth]

    def _found(self, tokens_RL: _Index, length_R: _Index, able_R: _Mask, width: int) -> _Index:
        """What the tables have for the `width` tokens after each row's, as (R, width); -1 from where they have none."""
        guess_RJ = np.full((len(length_R), width), -1, np.int64)
        context_RC = _context(tokens_RL, np.arange(len(length_R)), length_R)
        for place in range(width):
            found_R = np.full(len(length_R), -1, np.int64)
            for next_P, key_R in zip(self._next_OP, _keys(context_RC), strict=True):
                found_R = np.where(found_R < 0, next_P[key_R], found_R)
            found_R[guess_RJ[:, place - 1] < 0 if place else ~able_R] = -1
            guess_RJ[:, place] = found_R
            context_RC = np.concatenate([found_R[:, None], context_RC[:, :-1]], 1)
        return guess_RJ

    def free_width(self, rows: int, wanted: int) -> int:
        """How many more tokens of each of `rows` rows are computed at little cost, of the `wanted` ones."""
        fitting = [width for width in _WIDTHS if rows * width <= self._free_tokens]
        return next((width for width in reversed(fitting) if width >= wanted), max(fitting, default=0))

    def judge(self, guess_RJ: _Index, token_RK: _Index, counts_R: _Mask) -> None:
        """Count the guesses that were tried, those behind right ones, of the rows that count, and which of them were
        right: the same as what came."""
        guess_RJ = guess_RJ[counts_R]
        right_RJ = np.equal(guess_RJ, token_RK[counts_R, : guess_RJ.shape[1]])
        tried_RJ = guess_RJ >= 0
        tried_RJ[:, 1:] &= right_RJ[:, :-1]
        self._guessed += int(tried_RJ.sum())
        self._right += int((tried_RJ & right_RJ).sum())


class OpenDrafter(Drafter):
    """The guesses of an open lane. A pass over T tokens is taken to cost as much as `step_tokens` + T tokens do: what
    it costs whatever it computes, in tokens. As many guesses are computed as promise the most tokens a second at the
    share of right ones of late, which is known even while none is computed: the first one is always made and looked at.
    """

    def __init__(self, free_tokens: int, step_tokens: int) -> None:
        """A pass grows by `free_tokens` at most, which is at least 1: whoever joins waits for it."""
        super().__init__(free_tokens)
        self._step_tokens = step_tokens
        self._guessed, self._right = _FIRST
        self._ahead_RJ = _NONE
        """What was guessed for the step that is being made: what is computed along, or the first one for all that."""

    @property
    def useful(self) -> bool:
        """A lane that writes what cannot be guessed now may write what can be in an hour."""
        return True

    def guess(self, tokens_RL: _Index, length_R: _Index, able_R: _Mask) -> _Index:
        """As `Drafter.guess`."""
        most = self._best([int(able_R.sum())] * _WIDTHS[0], len(able_R))
        found_RJ = self._found(tokens_RL, length_R, able_R, max(most, 1))
        counts = (found_RJ >= 0).sum(0).tolist()
        width = self._best(counts[:most], len(able_R))
        self._ahead_RJ = found_RJ[:, : max(width, 1)].copy()
        return found_RJ[:, :width]

    def judge(self, guess_RJ: _Index, token_RK: _Index, counts_R: _Mask) -> None:
        """As `Drafter.judge`, of the guesses as they were made, computed along or not."""
        ahead_RJ, self._ahead_RJ = self._ahead_RJ, _NONE
        if len(ahead_RJ) != len(counts_R):  # rows have joined, and nothing was guessed
            return
        super().judge(ahead_RJ, token_RK, counts_R)
        if self._guessed > _MEMORY:
            self._guessed, self._right = self._guessed // 2, self._right // 2

    def _best(self, counts: Sequence[int], rows: int) -> int:
        """The number of guesses per row that promises the most tokens a second, where so many of the rows have a first,
        a second ... one."""
        share = self._right / self._guessed

        def gain(width: int) -> float:
            tokens = rows + sum(count * share**i for i, count in enumerate(counts[:width], 1))
            return tokens / rows * (self._step_tokens + rows) / (self._step_tokens + rows * (1 + width))

        fitting = [width for width in _WIDTHS if width <= len(counts) and rows * width <= self._free_tokens]
        best = max(fitting, key=gain, default=0)
        return best if best and gain(best) >= _LEAST_GAIN else 0


def _context(tokens_RL: _Index, row_N: _Index, place_N: _Index) -> _Index:
    """The tokens before each place, nearest first, as (N, C); -1 before the first."""
    before_NC = place_N[:, None] - np.arange(1, _ORDERS[0] + 1)
    return np.where(before_NC >= 0, tokens_RL[row_N[:, None], np.maximum(before_NC, 0)], -1)


def _keys(context_NC: _Index) -> npt.NDArray[np.uint64]:
    """Places in the tables, as (O, N)."""
    sums_NC = ((context_NC + 2).astype(np.uint64) * _FACTORS).cumsum(1)
    bits_NO = sums_NC[:, [order - 1 for order in _ORDERS]]
    bits_NO = (bits_NO ^ (bits_NO >> np.uint64(29))) * _MIX
    keys_ON: npt.NDArray[np.uint64] = (bits_NO >> np.uint64(64 - _BITS)).T
    return keys_ON
