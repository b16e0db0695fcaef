"""The events of a stream (server-sent events, WHATWG HTML 9.2): the values that its `data` fields hold. Pure."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ponder.ask.faults import MalformedReply

__all__ = ["END", "Comment", "EventReader", "is_stream", "read_events", "read_json"]

_LINE_END = re.compile(r"\r\n|\r|\n")
"""No other character ends a line: U+2028, U+0085 and their like are text of the model."""
_FIELD = re.compile(r"(?:data|event|id|retry)?:")
_DIGITS = 400
END = "[DONE]"
"""What the last event holds."""


@dataclass(frozen=True, slots=True)
class Comment:
    """What a server says beside its events, such as `vote 12/64 {"42": 9}`; most are heartbeats."""

    text: str


class EventReader:
    """A stream that comes in pieces, however it is cut. Nothing comes after `END`."""

    def __init__(self) -> None:
        self._rest = ""
        self._data: list[str] = []
        self.ended = False

    def feed(self, text: str, last: bool = False) -> Iterator[object]:
        """The values of the events that are whole now, and comments. MalformedReply for data that is no JSON."""
        self._rest += text + "\n\n" if last else text
        held = "\r" if not last and self._rest.endswith("\r") else ""  # half of a line end, perhaps
        *lines, rest = _LINE_END.split(self._rest.removesuffix(held))
        self._rest = rest + held
        for line in lines:
            if self.ended:
                return
            if not line:
                data, self._data = self._data, []
                for value in _values(data):
                    self.ended = self.ended or value == END
                    yield value
                    if self.ended:
                        return
            elif line.startswith("data:") and line != "data:":
                self._data.append(line.removeprefix("data:").removeprefix(" "))
            elif line.startswith(":"):
                yield Comment(line[1:].strip())


def is_stream(text: str) -> bool:
    """Whether a body is a stream of events, whatever was asked for."""
    return _FIELD.match(text.lstrip("\r\n ")) is not None


def read_events(text: str) -> Iterator[object]:
    """The values of all events of a whole stream, `END` among them. MalformedReply for data that is no JSON."""
    return (value for value in EventReader().feed(text, last=True) if not isinstance(value, Comment))


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
