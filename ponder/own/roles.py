"""What own functions are called with, and what they may return.

reward     (Judged) -> float | None          also as a measure: a number, or None where it does not apply
verifier   (answer: str, OwnGold) -> Verdict | bool
rule       (Judged) -> bool                  whether a response is kept
problems   (**arguments) -> Iterable[Problem]
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, get_args

from ponder.recipe.own import OwnRole, OwnUse
from ponder.records import Outcome, Problem, Verdict, to_json

__all__ = ["ROLES", "Kind", "Unfit", "why_not_callable"]

_SHOWN = 80


class Unfit(Exception):
    """A function returned what its role cannot take; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a role's functions are called (`parameters` in order, for people), what they give, and how that becomes JSON:
    `take(value, arguments)` raises Unfit for anything else."""

    parameters: tuple[str, ...]
    gives: str
    take: Callable[[Any, tuple[Any, ...]], Any]

    @property
    def form(self) -> str:
        """Example: (judged: Judged) -> float | None."""
        return f"({', '.join(self.parameters)}) -> {self.gives}"


def _number(value: Any, arguments: tuple[Any, ...]) -> float | None:
    if value is None:
        return None
    if not isinstance(value, Real):
        raise Unfit(f"returned {_shown(value)}; expected one number for this one response, or None where none applies")
    number = float(value)
    if not math.isfinite(number):
        raise Unfit(f"returned {number}; expected a finite number, or None where none applies")
    return number


def _verdict(value: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    text = str(arguments[0])
    if isinstance(value, bool):
        words = "right" if value else "wrong"
        value = Verdict(outcome=words, reason=f"your verifier says {value}", score=float(value))  # type: ignore[arg-type]
    if not isinstance(value, Verdict):
        raise Unfit(
            f"returned {_shown(value)}; expected a ponder.records.Verdict, or True for right and False for wrong"
        )
    if value.outcome not in get_args(Outcome):
        raise Unfit(f"returned a Verdict with the outcome {value.outcome!r}; expected {', '.join(get_args(Outcome))}")
    if not isinstance(value.reason, str) or not isinstance(value.answer, str | None):
        raise Unfit("returned a Verdict whose reason or answer is no text")
    score = _number(value.score, ())
    if score is None:
        raise Unfit("returned a Verdict without a score; expected a number from 0 to 1")
    if value.outcome == "right" and score == 0:
        score = 1.0  # not given
    answer = value.answer if value.answer is not None or value.outcome == "cannot_tell" else text.strip()
    return {"outcome": value.outcome, "reason": value.reason, "answer": answer, "score": score}


def _choice(value: Any, arguments: tuple[Any, ...]) -> bool:
    if not isinstance(value, bool):
        raise Unfit(f"returned {_shown(value)}; expected True for a response that is kept, else False")
    return value


def _problem(value: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """One of the problems; `child` takes them one by one."""
    if not isinstance(value, Problem):
        raise Unfit(f"gave {_shown(value)}; expected a ponder.records.Problem")
    return to_json(value)


ROLES: Mapping[OwnRole, Kind] = {
    "reward": Kind(parameters=("judged: Judged",), gives="float | None", take=_number),
    "verifier": Kind(parameters=("answer: str", "gold: OwnGold"), gives="Verdict | bool", take=_verdict),
    "rule": Kind(parameters=("judged: Judged",), gives="bool", take=_choice),
    "problems": Kind(parameters=(), gives="Iterable[Problem]", take=_problem),
}
"""Every role of an own function."""


def why_not_callable(function: Any, use: OwnUse) -> str | None:
    """Why the function cannot be called as its use calls it, or None."""
    kind = ROLES[use.role]
    if not callable(function) or isinstance(function, type):
        return f"is {_shown(function)}; expected a function {kind.form}"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f"is an async function; expected a plain one {kind.form}: calls run side by side in processes anyway"
    if use.role != "problems" and inspect.isgeneratorfunction(function):
        return f"yields; expected a function that returns: {kind.form}"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None  # written in C: the first call tells
    try:
        signature.bind(*kind.parameters, **use.arguments)
    except TypeError as error:
        given = ", ".join((*kind.parameters, *(f"{name}={value!r}" for name, value in use.arguments.items())))
        return f"has the parameters {signature}, but is called with ({given}): {error}"
    return None


def _shown(value: Any) -> str:
    return f"a {type(value).__name__} {value!r:.{_SHOWN}}" if not isinstance(value, type | None) else repr(value)
