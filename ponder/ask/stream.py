"""The events of a stream (server-sent events, WHATWG HTML 9.2): the values that its `data` fields hold. Pure."""

import json
import re
from collections.abc import Iterator

from ponder.ask.faults import MalformedReply

__all__ = ["END", "is_stream", "read_events"]

_LINE_END = re.compile(r"\r\n|\r|\n")
"""No other character ends a line: U+2028, U+0085 and their like are text of the model."""
_FIELD = re.compile(r"(?:data|event|id|retry)?:")
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
            yield from _values(data)
            data = []
        elif line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))


def _values(data: list[str]) -> Iterator[object]:
    """One value over all lines of an event; or, where a server leaves out the blank lines, one on each."""
    if not data:
        return
    try:
        yield _value("\n".join(data))
    except ValueError:
        if len(data) == 1:
            raise MalformedReply(f"the stream holds no JSON: {json.dumps(data[0][:80], ensure_ascii=False)}") from None
        for line in data:
            yield from _values([line])


def _value(text: str) -> object:
    try:
        return END if text.strip() == END else json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
