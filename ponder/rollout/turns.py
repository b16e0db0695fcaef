"""Whose prompt goes next where several owners' wait: each owner's first one before anybody's second.

Start-time fair queueing (Goyal, Vin and Cheng, 1996) with one unit for each prompt: a prompt's round is one more than
that of the one before it of the same owner, and at least the round that is being served. One owner alone is served in
the order of arrival. Prompts of different priority are apart.
"""

from dataclasses import dataclass

__all__ = ["Turns"]


@dataclass(slots=True)
class _Line:
    """The prompts of one owner that wait: how many, and the round of the next one."""

    waiting: int
    next: int


class Turns:
    """The rounds of prompts that wait; whose prompt waits no more leaves no trace."""

    def __init__(self) -> None:
        self._served: dict[int, int] = {}  # the latest round of each priority
        self._lines: dict[tuple[int, str | None], _Line] = {}

    def waits(self, owner: str | None) -> bool:
        """Whether any prompt of this owner does."""
        return any(one == owner for _, one in self._lines)

    def join(self, priority: int, owner: str | None) -> int:
        """The round of a prompt that waits from now on."""
        served = self._served.get(priority, 0)
        line = self._lines.setdefault((priority, owner), _Line(0, served))
        turn = max(line.next, served)
        line.waiting, line.next = line.waiting + 1, turn + 1
        return turn

    def leave(self, priority: int, owner: str | None, turn: int | None) -> None:
        """A prompt waits no more: it is served in its round, or was cancelled where `turn` is None."""
        if turn is not None:
            self._served[priority] = max(turn, self._served.get(priority, 0))
        line = self._lines[priority, owner]
        line.waiting -= 1
        if not line.waiting:
            del self._lines[priority, owner]
