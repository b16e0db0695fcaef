"""What a rank's process says to its parent."""

from dataclasses import dataclass
from typing import Any

from ponder.errors import PonderError

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a verb returned, or why it did not: an error of ours as it is, any other as the text of its traceback, or
    the reason why memory ran out."""

    value: Any = None
    error: PonderError | None = None
    trace: str = ""
    out_of_memory: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no value."""
        return self.error is not None or bool(self.trace)
