"""What the rows of a lane have written: token ids and their log-probs.

Rows and places grow by a factor, and rows move in place, so that a step costs what it writes, however many rows of
whatever length there are.

Shapes: R rows and L places there is room for, N tokens.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["Written"]

_GROWTH = 1.5
_LEAST_PLACES = 64
_Index = npt.NDArray[np.int64]


class Written:
    """Row r holds its tokens from place 0 on; how many is the schedule's business. Other places hold anything."""

    def __init__(self) -> None:
        self.tokens_RL = np.zeros((0, 0), np.int64)
        self._logprobs_RL = np.zeros((0, 0), np.float32)

    def write(self, row_N: _Index, place_N: _Index, token_N: _Index, logprob_N: npt.NDArray[np.float32]) -> None:
        """Put the tokens into their rows and places, of which there may be more than ever before."""
        self._make_room(int(row_N.max()) + 1, int(place_N.max()) + 1)
        self.tokens_RL[row_N, place_N] = token_N
        self._logprobs_RL[row_N, place_N] = logprob_N

    def row(self, row: int, length: int) -> tuple[_Index, npt.NDArray[np.float32]]:
        """A copy of a row's first `length` tokens and log-probs."""
        return self.tokens_RL[row, :length].copy(), self._logprobs_RL[row, :length].copy()

    def keep(self, kept_R: _Index, length: int) -> None:
        """Move the rows `kept_R` (rising) to the front, `length` places of each."""
        for values_RL in (self.tokens_RL, self._logprobs_RL):
            values_RL[: len(kept_R), :length] = values_RL[kept_R, :length]

    def _make_room(self, rows: int, places: int) -> None:
        old_rows, old_places = self.tokens_RL.shape
        if rows <= old_rows and places <= old_places:
            return
        shape = (
            max(rows, int(old_rows * _GROWTH)) if rows > old_rows else old_rows,
            max(places, int(old_places * _GROWTH), _LEAST_PLACES) if places > old_places else old_places,
        )
        tokens_RL, logprobs_RL = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        tokens_RL[:old_rows, :old_places] = self.tokens_RL
        logprobs_RL[:old_rows, :old_places] = self._logprobs_RL
        self.tokens_RL, self._logprobs_RL = tokens_RL, logprobs_RL
