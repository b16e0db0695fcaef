"""Guesses at a row's next tokens, from what its lane has written before.

Thoughts repeat: phrases, the sums of the other samples of the group, one's own lines when they are checked. A guess is
computed along with the row's last token, one more position of the same forward pass, and costs little while the pass is
small. Which token a position gets depends on the logits and on the position's own random number alone (`sampler.py`),
so a right guess is one that is *equal* to what is sampled there; it saves a step, and a wrong one changes nothing.
Speculative sampling (Leviathan et al. 2023) accepts by chance what a small model proposes; here nothing is left to it.

What is remembered is that after the last 5, 3 or 2 tokens a certain token came, in tables of fixed size. Contexts that
share a place in the table overwrite each other; that, too, makes wrong guesses only.

Shapes: R rows, N places of known tokens, C tokens of context, J guesses, O orders.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["Drafter"]

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
_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], np.uint64
)
_MIX = np.uint64(0xBF58476D1CE4E5B9)

_Index = npt.NDArray[np.int64]


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

    def guess(self, tokens_RL: _Index, length_R: _Index) -> _Index:
        """What may follow each row's tokens, as (R, J); -1 where there is no guess. J is 0 where guessing does not pay:
        the pass would grow too much, or too few rows have a guess."""
        rows = len(length_R)
        width = next((w for w in _WIDTHS if rows * w <= self._free_tokens), 0) if self.useful else 0
        guess_RJ = np.full((rows, width), -1, np.int64)
        context_RC = _context(tokens_RL, np.arange(rows), length_R)
        for place in range(width):
            found_R = np.full(rows, -1, np.int64)
            for next_P, key_R in zip(self._next_OP, _keys(context_RC), strict=True):
                found_R = np.where(found_R < 0, next_P[key_R], found_R)
            if place:
                found_R[guess_RJ[:, place - 1] < 0] = -1
            guess_RJ[:, place] = found_R
            context_RC = np.concatenate([found_R[:, None], context_RC[:, :-1]], 1)
        worth = next((w for w in _WIDTHS if w <= width and 2 * (guess_RJ[:, :w] >= 0).sum() >= rows * w), 0)
        return guess_RJ[:, :worth]

    def free_width(self, rows: int, wanted: int) -> int:
        """How many more tokens of each of `rows` rows are computed at little cost, of the `wanted` ones."""
        fitting = [width for width in _WIDTHS if rows * width <= self._free_tokens]
        return next((width for width in reversed(fitting) if width >= wanted), max(fitting, default=0))

    def judge(self, guess_RJ: _Index, right_RJ: npt.NDArray[np.bool_]) -> None:
        """Count the guesses that were tried: those behind right ones, and which of them were right."""
        tried_RJ = guess_RJ >= 0
        tried_RJ[:, 1:] &= right_RJ[:, :-1]
        self._guessed += int(tried_RJ.sum())
        self._right += int((tried_RJ & right_RJ).sum())


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
