"""The conversation of a request to `/v1/responses`: items, which become the turns of a chat.

What an assistant says and calls without a break, in items of its own each, is one turn there.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from ponder.serve.fault import Fault
from ponder.serve.wire import Called, CalledFunction, Part, RefusalPart, Said, Turn, read_object

__all__ = ["Item", "turns_of"]


class MessageItem(Said):
    """A message of the conversation so far."""

    meaningless: ClassVar[frozenset[str]] = frozenset({"id", "phase", "status"})
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[Part | RefusalPart, ...]

    @property
    def text(self) -> str:
        """What it says."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text if isinstance(part, Part) else part.refusal for part in self.content)


class ReasoningItem(Said):
    """Thinking of an earlier turn, which is left out."""

    meaningless: ClassVar[frozenset[str]] = frozenset({"content", "encrypted_content", "id", "status", "summary"})
    type: Literal["reasoning"]


class CallItem(Said):
    """A call that the assistant has made."""

    meaningless: ClassVar[frozenset[str]] = frozenset({"id", "status"})
    type: Literal["function_call"]
    call_id: Annotated[str, Field(min_length=1)]
    name: str
    arguments: str


class OutputItem(Said):
    """What came of a call."""

    meaningless: ClassVar[frozenset[str]] = frozenset({"id", "status"})
    type: Literal["function_call_output"]
    call_id: Annotated[str, Field(min_length=1)]
    output: str | tuple[Part, ...]

    @property
    def text(self) -> str:
        """What it says, which may be nothing."""
        return self.output if isinstance(self.output, str) else "".join(part.text for part in self.output)


def _kind(item: Any) -> str:
    """An item that does not say what it is is a message."""
    kind = item.get("type", "message") if isinstance(item, dict) else getattr(item, "type", "message")
    return kind if isinstance(kind, str) else ""


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[OutputItem, Tag("function_call_output")],
    Discriminator(_kind),
]


def turns_of(items: Sequence[Item]) -> list[Turn]:
    """Fault for calls and outputs that do not belong together."""
    turns: list[Turn] = []
    waiting: set[str] = set()  # calls of the last turn of the assistant that have no output yet
    for place, item in enumerate(items):
        last = turns[-1] if turns and turns[-1].role == "assistant" else None
        if isinstance(item, ReasoningItem):
            continue
        if isinstance(item, OutputItem):
            if item.call_id not in waiting:
                raise _fault(place, f"is the output of {item.call_id!r}, for which no call right before it waits")
            waiting.remove(item.call_id)
            turns.append(Turn(role="tool", content=item.text, tool_call_id=item.call_id))
        elif isinstance(item, CallItem):
            if last is None:
                last, waiting = Turn(role="assistant"), set()
                turns.append(last)
            if item.call_id in waiting:
                raise _fault(place, f"calls as {item.call_id!r}, which a call before it does, too")
            waiting.add(item.call_id)
            calls = (*(last.tool_calls or ()), _called(place, item))
            turns[-1] = last.model_copy(update={"tool_calls": calls})
        elif last is not None and last.tool_calls and item.role == "assistant":
            turns[-1] = last.model_copy(update={"content": last.text + item.text})
        else:
            turns.append(Turn(role=item.role, content=item.text))
            waiting = set()
    return turns


def _called(place: int, item: CallItem) -> Called:
    try:
        read_object(item.arguments or "{}")
    except ValueError as error:
        raise _fault(place, f"calls {item.name!r}, and the text of its arguments {error}") from None
    return Called(id=item.call_id, function=CalledFunction(name=item.name, arguments=item.arguments))


def _fault(place: int, what: str) -> Fault:
    return Fault(
        400,
        f"input.{place} {what}. Expected function_call items, their arguments JSON objects in text, and behind them "
        f"one function_call_output for each, naming its call_id.",
        param="input",
    )
