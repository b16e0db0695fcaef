"""What a server says instead of a reply: its words, whether it may pass, which parameter it does not take. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ADVICE", "MOST_SHOWN", "Refusal", "read_refusal", "refused_parameter"]

MOST_SHOWN = 300
"""Characters of a server's own words in a message."""
_PASSING_STATUS = (408, 409, 425, 429)
_FOR_GOOD = re.compile(
    r"invalid|bad.?request|not.?found|unsupported|context.?length|content|safety|auth|permission|quota"
)
"""Types and codes of errors that the same request meets again."""
_NOT_TAKEN = re.compile(
    r"support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|not available|extra|cannot both|only one of|"
    r"only the default|deprecated|removed|must be|should be|less than|greater than|between"
)
_WRONG_NAME = re.compile(
    r"support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|extra|instead|deprecated"
)

ADVICE: Mapping[str, str] = {
    "temperature": "set leave_out: [temperature] under endpoint, or another temperature",
    "top_p": "set leave_out: [top_p] under endpoint, or another top_p",
    "top_k": "set top_k: 0",
    "seed": "set send_seed: false under endpoint",
    "stream_options": "set leave_out: [stream_options] under endpoint",
    "max_completion_tokens": "set length_parameter: max_tokens under endpoint",
    "max_tokens": "set length_parameter: max_completion_tokens under endpoint",
    "stream": "set stream, true or false, under endpoint as the server says",
}
"""Parameters that are the same in every request, longer names first, and what to do where a server refuses one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error in a server's words. `passing`: another try may succeed. `parameters` are names that the server itself
    marks as the fault."""

    message: str
    passing: bool
    parameters: tuple[str, ...] = ()


def read_refusal(value: object) -> Refusal | None:
    """The error that a JSON value holds, None where it holds none."""
    match value:
        case [Mapping() as first, *_]:  # Gemini
            return read_refusal(first)
        case {"error": str(text)} if text:
            return Refusal(message=_short(text), passing=True)
        case {"error": Mapping() as error} if error:
            return _error(error)
        case {"errors": [Mapping() as error, *_]}:
            return _error(error)
        case Mapping() if value.get("object") == "error":  # vLLM before 0.10, Mistral
            return _error(value)
        case {"detail": [*details]} if details:  # FastAPI
            places = [one["loc"] for one in details if isinstance(one, Mapping) and isinstance(one.get("loc"), list)]
            names = tuple(str(place[-1]) for place in places if place)
            return Refusal(message=_short(json.dumps(details, ensure_ascii=False)), passing=False, parameters=names)
        case {"detail": str(text)} | {"message": str(text)} if text:
            return Refusal(message=_short(text), passing=True)
    return None


def refused_parameter(text: str, sent: Mapping[str, object]) -> str | None:
    """Which of the parameters in `ADVICE` a server's error (its whole body) refuses; None where it is about something
    else. Each is alike in all requests, so no other request can fare better."""
    try:
        refusal = read_refusal(json.loads(text))
    except (ValueError, RecursionError):
        refusal = None
    if refusal is None:
        refusal = Refusal(message=_short(text), passing=False)
    words = refusal.message.lower()
    if re.search(r"only supports? (the )?stream|stream (mode )?(is required|must be)|enable the stream", words):
        return "stream"
    for name in ADVICE:
        marked = name in refusal.parameters
        named = marked or re.search(rf"(?<![\w-]){name}(?![\w-])", words) is not None
        length = name in ("max_tokens", "max_completion_tokens")
        if name in sent and named and (_WRONG_NAME if length else _NOT_TAKEN).search(words) and "context" not in words:
            return name
    return None


def _error(error: Mapping[str, object]) -> Refusal:
    code, kind, parameter = error.get("code"), error.get("type"), error.get("param")
    status = int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()) else None
    if status is not None and 400 <= status < 600:
        passing = status >= 500 or status in _PASSING_STATUS
    else:
        passing = not any(isinstance(one, str) and _FOR_GOOD.search(one.lower()) for one in (code, kind))
    message = error.get("message") or error.get("msg") or json.dumps(error, ensure_ascii=False)
    return Refusal(
        message=_short(str(message)),
        passing=passing,
        parameters=(parameter,) if isinstance(parameter, str) else (),
    )


def _short(text: str) -> str:
    return " ".join(text.split())[:MOST_SHOWN]
