"""What comes of a call of an own function: a value, or why there is none."""

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Called", "Cause", "Failure"]

Cause = Literal["exception", "value", "timeout", "memory", "crash"]
"""`value`: it returned what its role cannot take. `crash`: it ended the process it ran in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a call gave no value. `reason` is one line with file and line where these are known."""

    function: str
    cause: Cause
    reason: str
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """`value` is plain JSON, as its role says, and None beside a `failure`; `seconds` are those of the call alone."""

    value: Any = None
    failure: Failure | None = None
    seconds: float = 0.0
