"""An exception on its way from one process to another, so that what arrives is what was raised.

Pickling an exception calls its class again with `args`, which fails for a class whose `__init__` takes anything else,
fails for one that holds what cannot be pickled, and may make another exception of it without a word. So it is looked at
before it is sent: what survives a pickle is sent as that; of the rest the class, `args` and fields are sent and put
together again without `__init__`; and where even these cannot travel, a RuntimeError says what it was.
"""

import pickle
import traceback
from dataclasses import dataclass
from typing import Any

__all__ = ["Carried"]


@dataclass(frozen=True, slots=True)
class Carried:
    """An exception in pickled form, and its text and traceback in any case."""

    pickled: bytes | None
    words: str
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> "Carried":
        """Ready to be sent. Never raises because of what the exception is."""
        return cls(_pickled(error), _words(error), "".join(traceback.format_exception(error)))

    def error(self, where: str) -> BaseException:
        """The exception, with a note that says where it was raised."""
        try:
            found = RuntimeError(self.words) if self.pickled is None else _unpickled(self.pickled)
        except Exception:  # of a module that only the other process has, such as a model's own code
            found = RuntimeError(self.words)
        found.add_note(f"{where}:\n{self.trace}")
        return found


def _pickled(error: BaseException) -> bytes | None:
    """The first form of it that gives the same exception again, or None."""
    for form in (error, (type(error), error.args, dict(error.__dict__))):
        try:
            pickled = pickle.dumps(form)
            again = _unpickled(pickled)
        except Exception:  # whatever a class does in its own pickling, the next form is there
            continue
        if type(again) is type(error) and _words(again) == _words(error):
            return pickled
    return None


def _unpickled(pickled: bytes) -> BaseException:
    form: Any = pickle.loads(pickled)
    if isinstance(form, BaseException):
        return form
    kind, args, fields = form
    error: BaseException = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


def _words(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as fault:  # its __str__ fails
        return f"{type(error).__name__} (which cannot be printed: {fault!r})"
