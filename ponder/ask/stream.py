"""The events of a stream (server-sent events, WHATWG HTML 9.2): the values that its `data` fields hold. Pure."""

import json
import re
from collections.abc import Iterator

from ponder.ask.faults import MalformedReply

__all__ = ["END", "is_stream", "read_events", "read_json"]

_LINE_END = re.compile(r"\r\n|\r|\n")
"""No other character ends a line: U+2028, U+0085 and their like are text of the model."""
_FIELD = re.compile(r"(?:data|event|id|retry)?:")
_DIGITS = 400
END = "[DONE]"
"""What the last event holds."""


def is_stream(text: str) -> bool:
    """Whether a body is a stream of events, whatever was asked for."""
    return _FIELD.match(text.lstrip("\r\n ")) is not None


def read_events(text: str) -> Iterator[object]:
    """The values of all events, `END` among them. MalformedReply for data that is no JSON."""
    data: list[str] = []
    for line in [*_LINE_END.split(text), ""]:
        if not line:
            for value in _values(data):
                yield value
                if value == END:
                    return
            data = []
        elif line.startswith("data:") and line != "data:":
            data.append(line.removeprefix("data:").removeprefix(" "))


def _values(data: list[str]) -> Iterator[object]:
    """One value over all lines of an event; or, where a server leaves out the blank lines, one on each."""
    if not "".join(data).strip():
        return  # a heartbeat
    try:
        yield _value("\n".join(data))
    except ValueError:
        if len(data) == 1:
            raise MalformedReply(f"the stream holds no JSON: {json.dumps(data[0][:80], ensure_ascii=False)}") from None
        for line in data:
            yield from _values([line])


def _value(text: str) -> object:
    return END if text.strip() == END else read_json(text)


def read_json(text: str) -> object:
    """The value; ValueError for anything else, however deep it is. A number of thousands of digits is infinite."""
    try:
        return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < _DIGITS else float(digits))
    except RecursionError:
        raise ValueError("nested too deeply") from None
