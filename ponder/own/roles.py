"""What own functions are called with, and what they may return.

reward     (Judged) -> float | None          also as a measure: a number, or None where it does not apply
verifier   (answer: str, OwnGold) -> Verdict | bool
rule       (Judged) -> bool                  whether a response is kept
problems   (**arguments) -> Iterable[Problem]
tool       (**arguments) -> str              any value that JSON has will do; called as a model asks
environment   a class: (problem, **arguments), first() -> messages, answer(reply) -> messages | None
"""

import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, get_args

from ponder.recipe.own import OwnRole, OwnUse
from ponder.records import Message, Outcome, Problem, Verdict, to_json
from ponder.tools.declared import Misused, use, why_no_tool

__all__ = ["ROLES", "Kind", "Unfit", "why_not_callable"]

_SHOWN = 80
_HALF = re.compile("[\ud800-\udfff]")
_TRL = {"completions", "prompts"}
"""What TRL calls rewards with: lists, for a whole batch."""
_FIRST, _ANSWER = "first", "answer"
"""What a class that is an environment is asked."""


class Unfit(Exception):
    """A function returned what its role cannot take; the message says what."""


def _with_all(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(*arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a role's functions are called (`parameters` in order, for people), what they give, and how that becomes JSON:
    `take(value, arguments)` raises Unfit for anything else. `run(function, arguments)` makes the call."""

    parameters: tuple[str, ...]
    gives: str
    take: Callable[[Any, tuple[Any, ...]], Any]
    run: Callable[[Any, tuple[Any, ...]], Any] = _with_all

    @property
    def form(self) -> str:
        """Example: (judged: Judged) -> float | None."""
        return f"({', '.join(self.parameters)}) -> {self.gives}"


def _number(value: Any, arguments: tuple[Any, ...]) -> float | None:
    value = _plain(value)
    if value is None:
        return None
    if not isinstance(value, Real):
        raise Unfit(f"returned {_shown(value)}; expected one number for this one response, or None where none applies")
    try:
        number = float(value)
    except OverflowError:
        raise Unfit(
            f"returned a {type(value).__name__} that is too large for a float; expected a finite number, or None "
            "where none applies"
        ) from None
    if not math.isfinite(number):
        raise Unfit(f"returned {number}; expected a finite number, or None where none applies")
    return number


def _verdict(value: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    text, value = str(arguments[0]), _plain(value)
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
    if not 0 <= score <= 1:
        raise Unfit(f"returned a Verdict with the score {score:g}; expected a number from 0 to 1")
    if value.outcome == "right" and score == 0:
        score = 1.0  # not given
    answer = value.answer if value.answer is not None or value.outcome == "cannot_tell" else text.strip()
    return {"outcome": value.outcome, "reason": value.reason, "answer": answer, "score": score}


def _choice(value: Any, arguments: tuple[Any, ...]) -> bool:
    value = _plain(value)
    if not isinstance(value, bool):
        raise Unfit(f"returned {_shown(value)}; expected True for a response that is kept, else False")
    return value


def _problem(value: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """One of the problems; `child` takes them one by one."""
    if not isinstance(value, Problem):
        raise Unfit(f"gave {_shown(value)}; expected a ponder.records.Problem")
    return to_json(value)


def _use_tool(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    (written,) = arguments
    try:
        return use(function, written)
    except Misused as error:
        return error


def _result(value: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    if isinstance(value, Misused):
        return {"text": f"error: {value}", "failed": True}
    if isinstance(value, str):
        return {"text": value, "failed": False}
    try:
        return {"text": json.dumps(value, ensure_ascii=False), "failed": False}
    except (TypeError, ValueError):
        raise Unfit(f"returned {_shown(value)}; expected a text, or a value that JSON has") from None


def _converse(kind: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """What the class says now: nothing is kept between calls, so all earlier replies are given to it again."""
    problem, replies, given = arguments
    environment = kind(problem, **given)
    said = environment.first()
    for number, reply in enumerate(replies, start=1):
        said = environment.answer(reply)
        if said is None and number < len(replies):
            raise Unfit(
                f"ended the conversation at reply {number} of {len(replies)}, at which it went on when it was asked "
                f"before; expected the same answers to the same replies: draw from random.Random(problem.id)"
            )
    return said


def _said(value: Any, arguments: tuple[Any, ...]) -> list[dict[str, Any]] | None:
    _, replies, _ = arguments
    if value is None and replies:
        return None
    if isinstance(value, str) and replies:
        value = [Message(role="user", content=value)]
    where = _ANSWER if replies else _FIRST
    if not isinstance(value, list | tuple) or not value or not all(isinstance(one, Message) for one in value):
        wanted = "a list of ponder.records.Message"
        wanted = f"a text, {wanted}, or None to end" if replies else f"{wanted}, such as `list(problem.messages)`"
        raise Unfit(f"returned {_shown(value)} from `{where}`; expected {wanted}")
    allowed = ("user",) if replies else ("system", "user", "assistant", "tool")
    if any(_HALF.search(one.content) for one in value):
        raise Unfit(f"returned half of a surrogate pair from `{where}`, which is no text; expected Unicode text")
    if others := [one.role for one in value if one.role not in allowed]:
        raise Unfit(f"returned a message of the role {others[0]!r} from `{where}`; expected {', '.join(allowed)}")
    if value[-1].role not in ("user", "tool"):
        raise Unfit(f"returned a last message of the role {value[-1].role!r} from `{where}`; expected 'user'")
    return [to_json(one) for one in value]


ROLES: Mapping[OwnRole, Kind] = {
    "reward": Kind(parameters=("judged: Judged",), gives="float | None", take=_number),
    "verifier": Kind(parameters=("answer: str", "gold: OwnGold"), gives="Verdict | bool", take=_verdict),
    "rule": Kind(parameters=("judged: Judged",), gives="bool", take=_choice),
    "problems": Kind(parameters=(), gives="Iterable[Problem]", take=_problem),
    "tool": Kind(parameters=(), gives="str", take=_result, run=_use_tool),
    "environment": Kind(parameters=("problem: Problem",), gives="messages", take=_said, run=_converse),
}
"""Every role of an own function."""


def why_not_callable(function: Any, use: OwnUse) -> str | None:
    """Why the function cannot be called as its use calls it, or None."""
    kind = ROLES[use.role]
    if use.role == "environment":
        return _why_no_environment(function, use)
    if isinstance(function, type):
        return (
            f"is {function!r}; expected a function, or an object that is called as one: write "
            f"`one = {function.__name__}(...)` and name `one`"
        )
    if not callable(function):
        return f"is {_shown(function)}; expected a function"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "is an async function; expected a plain one: calls run side by side in processes anyway"
    if use.role != "problems" and inspect.isgeneratorfunction(function):
        return f"yields; expected a function that returns: {kind.form}"
    if use.role == "tool":
        return why_no_tool(function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None  # written in C: the first call tells
    if use.role in ("reward", "rule") and _TRL & signature.parameters.keys():
        return (
            f"has the parameters {signature}, as rewards of TRL have, which get a whole batch; ponder calls it once "
            f"for every response, with one value: write a function {kind.form}"
        )
    try:
        signature.bind(*kind.parameters, **use.arguments)
    except TypeError as error:
        given = ", ".join((*kind.parameters, *(f"{name}={value!r}" for name, value in use.arguments.items())))
        return f"has the parameters {signature}, but is called with ({given}): {error}"
    return None


def _why_no_environment(kind: Any, use: OwnUse) -> str | None:
    if not isinstance(kind, type):
        return f"is {_shown(kind)}; expected a class with the methods `first(self)` and `answer(self, reply)`"
    for name, parameters in ((_FIRST, ("self",)), (_ANSWER, ("self", "reply"))):
        method = inspect.getattr_static(kind, name, None)
        if not inspect.isfunction(method):
            return f"has no method `{name}({', '.join(parameters)})`"
        if inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method):
            return f"has an async or yielding `{name}`; expected a plain method that returns"
        if fault := _why_not_bound(inspect.signature(method), parameters, {}):
            return f"has `{name}{inspect.signature(method)}`, but it is called with ({', '.join(parameters)}): {fault}"
    signature = inspect.signature(kind)
    if fault := _why_not_bound(signature, ("problem",), use.arguments):
        given = ", ".join(("problem: Problem", *(f"{name}={value!r}" for name, value in use.arguments.items())))
        return f"is made by {signature}, but it is called with ({given}): {fault}"
    return None


def _why_not_bound(signature: inspect.Signature, given: tuple[str, ...], named: Mapping[str, Any]) -> str:
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        return str(error)
    return ""


def _plain(value: Any) -> Any:
    """numpy's True and False as Python's, which they are no kind of; of numpy only where the function has loaded it."""
    numpy = sys.modules.get("numpy")
    return bool(value) if numpy is not None and isinstance(value, numpy.bool_) else value


def _shown(value: Any) -> str:
    return f"a {type(value).__name__} {value!r:.{_SHOWN}}" if not isinstance(value, type | None) else repr(value)
