"""Calls in an answer while it is written: text in; text to show and whole calls out, cut anywhere to the same end.

What may begin a call is held back until it is one, or none. What begins as a call and is none is shown as the text that
it is, and a note says why.
"""

from collections.abc import Sequence
from dataclasses import replace

from ponder.records import Tool, ToolCall
from ponder.text.calls import CallFault, CallForm, Reading

__all__ = ["Calls"]

_CLOSE = "</tool_call>"
_BARE = ("{", "```json")
"""What a reply that is nothing but calls without marks begins with."""


class Calls:
    """Of one choice. `identity` begins the names of its calls; `faults` say what could not be read."""

    def __init__(self, form: CallForm, tools: Sequence[Tool], identity: str) -> None:
        self._form, self._tools, self._identity = form, tools, identity
        self._names = {tool.name for tool in tools}
        self._held = ""
        self._shown = False
        self.calls: list[ToolCall] = []
        self.faults: list[str] = []

    def feed(self, text: str) -> list[str | ToolCall]:
        """What this text settles."""
        self._held += text
        settled: list[str | ToolCall] = []
        while (found := self._next()) is not None:
            settled += found
        return settled

    def close(self) -> list[str | ToolCall]:
        """What was held back after all."""
        held, self._held = self._held, ""
        if not held.strip():
            return []
        return self._settled(self._form.read(held, self._tools), held)

    def _next(self) -> list[str | ToolCall] | None:
        """The next piece that is settled, None where more has to come."""
        if not self._shown and not self.calls and self._may_be_bare():
            return None
        places = [place for mark in self._form.marks if (place := self._held.find(mark)) >= 0]
        if not places:
            return self._show(len(self._held) - self._waiting())
        if self._held[: min(places)].strip():
            return self._show(min(places))
        end = self._held.find(_CLOSE)
        while end >= 0:  # one may stand inside the arguments
            end += len(_CLOSE)
            reading = self._form.read(self._held[:end], self._tools)
            if reading.calls and not reading.faults:
                held, self._held = self._held[:end], self._held[end:]
                return self._settled(reading, held)
            end = self._held.find(_CLOSE, end)
        return None

    def _may_be_bare(self) -> bool:
        """Whether the whole reply may become calls without marks, which shows at its end."""
        held = self._held.lstrip()
        return any(held.startswith(one) or one.startswith(held) for one in _BARE)

    def _waiting(self) -> int:
        """How many of the last characters wait: blanks, and what may be the beginning of a mark."""
        starts = [n for mark in self._form.marks for n in range(1, len(mark)) if self._held.endswith(mark[:n])]
        before = self._held[: len(self._held) - max(starts, default=0)]
        return len(self._held) - len(before.rstrip())

    def _show(self, length: int) -> list[str | ToolCall] | None:
        text, self._held = self._held[:length], self._held[length:]
        if not text:
            return None
        text = text if self._shown else text.lstrip()
        self._shown = self._shown or bool(text)
        return [text]

    def _settled(self, reading: Reading, held: str) -> list[str | ToolCall]:
        """The calls of a text; the text itself where there is none, or one of a tool that does not exist."""
        reasons = [item.reason if isinstance(item, CallFault) else self._unknown(item) for item in reading.items]
        self.faults += filter(None, reasons)
        if not reading.items or any(reasons):
            self._shown = True
            return [held]
        calls = []
        for call in reading.calls:
            calls.append(replace(call, id=f"call_{self._identity}{len(self.calls)}"))
            self.calls.append(calls[-1])
        return [*([reading.text] if reading.text else []), *calls]

    def _unknown(self, call: ToolCall) -> str | None:
        return None if call.name in self._names else f"there is no tool {call.name!r}"
