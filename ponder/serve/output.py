"""Deltas of a reply -> the items of a response, and the events that tell how they grow.

Thinking is a reasoning item, an answer a message, a call an item of its own; each opens, grows and closes before the
next one opens.
"""

from collections.abc import Sequence
from typing import Any, Literal

from ponder.records import ToolCall
from ponder.serve.choice import Delta, Reason

__all__ = ["CUT", "Event", "Output"]

CUT: dict[Reason | None, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete, by the reason of its end."""

Event = tuple[str, dict[str, Any]]
"""The name of an event, without `response.`, and what it holds."""
Kind = Literal["thinking", "answer", "refusal"]

_PARTS = {"thinking": "reasoning_text", "answer": "output_text", "refusal": "refusal"}
_PREFIXES = {"thinking": "rs", "answer": "msg", "refusal": "msg"}


class Output:
    """The items of one response; their names are made of `identity`."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._items: list[dict[str, Any]] = []
        self._open: Kind | None = None
        self._text = ""

    @property
    def items(self) -> Sequence[dict[str, Any]]:
        """Those that are closed; of a withheld reply what is said in its place."""
        refused = [item for item in self._items if item.get("content", [{}])[0].get("type") == "refusal"]
        return refused or self._items

    def take(self, delta: Delta) -> list[Event]:
        """What a delta does."""
        if delta.call is not None:
            return [*self.close(), *self._called(delta.call)]
        events: list[Event] = []
        if delta.kind is not None and delta.kind != "call":
            if delta.kind != self._open:
                events += [*self.close(), *self._opened(delta.kind)]
            self._text += delta.text
            name = f"{_PARTS[delta.kind]}.delta"
            events.append((name, {**self._place(), **self._logged(), "delta": delta.text}))
        if delta.reason is not None:
            events += self.close("incomplete" if delta.reason in CUT else "completed")
        return events

    def close(self, status: str = "completed") -> list[Event]:
        """The item that is open, if there is one, ends so."""
        if self._open is None:
            return []
        place, part = self._place(), self._part(self._text)
        said = {name: value for name, value in part.items() if name in ("text", "refusal")}
        item = self._item([part], status)
        events: list[Event] = [
            (f"{_PARTS[self._open]}.done", {**place, **self._logged(), **said}),
            ("content_part.done", {**place, "part": part}),
            ("output_item.done", {"output_index": len(self._items), "item": item}),
        ]
        self._items.append(item)
        self._open, self._text = None, ""
        return events

    def _opened(self, kind: Kind) -> list[Event]:
        self._open = kind
        return [
            ("output_item.added", {"output_index": len(self._items), "item": self._item([], "in_progress")}),
            ("content_part.added", {**self._place(), "part": self._part("")}),
        ]

    def _called(self, call: ToolCall) -> list[Event]:
        name, place = self._name("fc"), len(self._items)
        item = {"id": name, "type": "function_call", "call_id": call.id, "name": call.name}
        self._items.append({**item, "arguments": call.arguments, "status": "completed"})
        at = {"item_id": name, "output_index": place}
        return [
            ("output_item.added", {"output_index": place, "item": {**item, "arguments": "", "status": "in_progress"}}),
            ("function_call_arguments.delta", {**at, "delta": call.arguments}),
            ("function_call_arguments.done", {**at, "name": call.name, "arguments": call.arguments}),
            ("output_item.done", {"output_index": place, "item": self._items[-1]}),
        ]

    def _name(self, prefix: str) -> str:
        return f"{prefix}_{self._identity}{len(self._items)}"

    def _place(self) -> dict[str, Any]:
        assert self._open is not None
        return {"item_id": self._name(_PREFIXES[self._open]), "output_index": len(self._items), "content_index": 0}

    def _logged(self) -> dict[str, Any]:
        """Clients read log-probs of answers, which are not given here."""
        return {"logprobs": []} if self._open == "answer" else {}

    def _part(self, text: str) -> dict[str, Any]:
        if self._open == "refusal":
            return {"type": "refusal", "refusal": text}
        part = {"type": _PARTS[str(self._open)], "text": text}
        return part | {"annotations": [], "logprobs": []} if self._open == "answer" else part

    def _item(self, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
        item = {"id": self._name(_PREFIXES[str(self._open)]), "status": status, "content": content}
        if self._open == "thinking":
            return item | {"type": "reasoning", "summary": []}
        return item | {"type": "message", "role": "assistant"}
