"""What a server says instead of a reply: its words, whether it may pass, which parameter it does not take. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ponder.ask.stream import read_json

__all__ = ["Fate", "Refusal", "read_refusal", "read_status", "refused_parameter"]

MOST_SHOWN = 300
"""Characters of a server's own words in a message."""
Fate = Literal["again", "failed", "stop"]
"""Of a request that was refused: it may pass, it fails for good, or no other can fare better."""

_PASSING = (408, 409, 424, 425, 429, 498, 499)
"""Statuses below 500 that may pass: of TGI (424), Groq (498) and proxies (499), beside the usual ones."""
_BUSY = (408, 425, 429)
"""Of these, whatever the words are: a gateway's 429 may speak of a "quota violation", a 408 of what "took too long"."""
_STOPPING = (401, 402, 403, 404, 405)
_MINIMAX: Mapping[int, Fate] = {
    1000: "again", 1001: "again", 1002: "again", 1013: "again", 1024: "again", 1033: "again",
    1004: "stop", 1008: "stop", 2049: "stop",
}  # fmt: skip
"""Of `base_resp.status_code`; others fail."""
_STOP_WORDS = re.compile(
    r"insufficient[_ ](quota|balance|funds|credit)|"
    r"api[_ -]?key (is )?(not valid|invalid|expired)|"
    r"(invalid|incorrect|wrong) api[_ -]?key|no balance|arrears|\u4f59\u989d\u4e0d\u8db3|\u6b20\u8d39|"
    r"unexpected endpoint|payment required"
)
"""Not "exceeded your current quota": Gemini says it of a minute's limit. The Chinese ones: "balance insufficient", "in
arrears"."""
_FAILED_WORDS = re.compile(
    r"flagged|moderat|content (policy|filter|violat)|violat|usage guidelines|safety|sensitive|"
    r"context (length|size|window)|(prompt|input|context|messages?|text|sequence)\b[^.]{0,40}too long|"
    r"exceeds the available context"
)
_FAILED_KINDS = re.compile(
    r"invalid|bad.?request|not.?found|unsupported|context.?length|content|safety|auth|permission"
)
"""Types and codes of errors that the same request meets again."""
_NOT_TAKEN = re.compile(
    r"support|unrecogni[sz]ed|unknown|unexpected|not permitted|allowed|not available|extra|cannot both|only one of|"
    r"only the default|deprecated|removed|must be|should be|less than|greater than|between|invalid|<=|>="
)
_TOO_LARGE = re.compile(
    r"too (large|many|high|big)|at most|must be|should be|less than|<=|maximum|exceed|between|range"
)
_OTHER_NAME = re.compile(
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
_LOWER = "set a lower sampling.max_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error in a server's words, and what becomes of the request. `parameters` are names that the server itself
    marks as the fault."""

    message: str
    fate: Fate
    parameters: tuple[str, ...] = ()


def read_refusal(value: object) -> Refusal | None:
    """The error that a JSON value holds, None where it holds none."""
    match value:
        case [Mapping() as first, *_]:  # Gemini
            return read_refusal(first)
        case {"base_resp": {"status_code": int(code), **rest}} if code:  # MiniMax
            words = str(rest.get("status_msg", "")) or f"status_code {code}"
            return Refusal(message=_short(words), fate=_MINIMAX.get(code, "failed"))
        case {"error": str(text)} if text:
            return Refusal(message=_short(text), fate=_by_words(text, "again"))
        case {"error": Mapping() as error} if error:
            return _error(error)
        case {"errors": [Mapping() as error, *_]}:
            return _error(error)
        case Mapping() if value.get("object") == "error":  # vLLM before 0.10, Mistral
            return _error(value)
        case {"detail": [*details]} if details:  # FastAPI
            places = [one["loc"] for one in details if isinstance(one, Mapping) and isinstance(one.get("loc"), list)]
            names = tuple(str(place[-1]) for place in places if place)
            return Refusal(message=_short(json.dumps(details, ensure_ascii=False)), fate="failed", parameters=names)
        case {"detail": str(text)} | {"message": str(text)} if text:
            return Refusal(message=_short(text), fate=_by_words(text, "again"))
    return None


def read_status(status: int, text: str) -> Refusal:
    """What a status that is no success, with its body, makes of the request."""
    refusal = _body(text)
    words = refusal.message if refusal is not None else text
    usual: Fate = "stop" if status in _STOPPING else "again" if status in _PASSING or status >= 500 else "failed"
    if refusal is not None and status < 500 and refusal.fate == "stop":
        usual = "stop"
    told = status not in _BUSY and (status < 500 or refusal is not None)  # a proxy's page is no word of the server
    return Refusal(
        message=_short(words),
        fate=_by_words(words, usual, failing=told),
        parameters=refusal.parameters if refusal is not None else (),
    )


def refused_parameter(text: str, sent: Mapping[str, object]) -> str | None:
    """What to do where a server's error (its whole body) refuses a parameter of `ADVICE`; None where it is about
    something else. Each is alike in all requests, so no other request can fare better."""
    refusal = _body(text) or Refusal(message=_short(text), fate="failed")
    words = refusal.message.lower()
    if "context" in words:
        return None  # about this prompt
    if re.search(r"only supports? (the )?stream|stream (mode )?(is required|must be)|enable the stream", words):
        return ADVICE["stream"]
    for name, advice in ADVICE.items():
        pattern = rf"(?<![\w-]){name.replace('_', '[_ ]')}(?![\w-])"
        if name not in sent or not (name in refusal.parameters or re.search(pattern, words)):
            continue
        if name in ("max_tokens", "max_completion_tokens"):
            if _TOO_LARGE.search(words) and "instead" not in words:
                return _LOWER
            if _OTHER_NAME.search(words):
                return advice
        elif _NOT_TAKEN.search(words):
            return advice
    return None


def _body(text: str) -> Refusal | None:
    try:
        return read_refusal(read_json(text))
    except ValueError:
        return None


def _error(error: Mapping[str, object]) -> Refusal:
    code, kind, parameter = error.get("code"), error.get("type"), error.get("param")
    status = int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()) else None
    fate: Fate
    if status is not None and 400 <= status < 600:
        fate = "stop" if status in _STOPPING else "again" if status >= 500 or status in _PASSING else "failed"
    else:
        named = any(isinstance(one, str) and _FAILED_KINDS.search(one.lower()) for one in (code, kind))
        fate = "failed" if named else "again"
    message = error.get("message") or error.get("msg") or json.dumps(error, ensure_ascii=False)
    return Refusal(
        message=_short(str(message)),
        fate=_by_words(f"{message} {code} {kind}", fate, failing=status not in _BUSY),
        parameters=(parameter,) if isinstance(parameter, str) else (),
    )


def _by_words(text: str, usual: Fate, *, failing: bool = True) -> Fate:
    """What the words say of the request's fate, where they say more than the status did; that it fails for good only
    where they may be `failing`."""
    words = text.lower()
    if _STOP_WORDS.search(words):
        return "stop"
    return "failed" if failing and _FAILED_WORDS.search(words) else usual


def _short(text: str) -> str:
    return " ".join(text.split())[:MOST_SHOWN]
