"""Messages of a request -> records.Message, calls and their results among them."""

import json
from collections.abc import Sequence

from ponder.records import Message, ToolCall
from ponder.serve.fault import Fault
from ponder.serve.wire import Called, Turn, read_object

__all__ = ["messages_of"]


def messages_of(turns: Sequence[Turn]) -> list[Message]:
    """The conversation. Results are in the order of the calls they answer, as templates write them. Fault for calls and
    results that do not belong together."""
    messages: list[Message] = []
    waiting: dict[str, ToolCall] = {}
    for place, turn in enumerate(turns):
        if turn.role == "tool":
            call = waiting.pop(turn.tool_call_id or "", None) or (_only(waiting) if not turn.tool_call_id else None)
            if call is None:
                raise _fault(place, f"answers the call {turn.tool_call_id!r}, which waits for no result")
            messages.append(Message(role="tool", content=turn.text, tool_call_id=call.id, name=call.name))
            continue
        calls = tuple(_call(place, one) for one in turn.tool_calls or ())
        if calls and turn.role != "assistant":
            raise _fault(place, f"is the {turn.role}'s and holds tool_calls")
        waiting = {call.id: call for call in calls}
        if len(waiting) < len(calls):
            raise _fault(place, "holds two tool_calls of one id")
        role = "system" if turn.role == "developer" else turn.role
        messages.append(Message(role=role, content=turn.text, tool_calls=calls))
    return _ordered(messages)


def _only(waiting: dict[str, ToolCall]) -> ToolCall | None:
    """The one call that waits, where its result names none."""
    return waiting.pop(next(iter(waiting))) if len(waiting) == 1 else None


def _call(place: int, called: Called) -> ToolCall:
    try:
        values = read_object(called.function.arguments or "{}")
    except ValueError as error:
        raise _fault(place, f"calls {called.function.name!r}, and the text of its arguments {error}") from None
    return ToolCall(name=called.function.name, arguments=json.dumps(values, ensure_ascii=False), id=called.id)


def _ordered(messages: Sequence[Message]) -> list[Message]:
    """The same, the results behind each turn in the order of its calls."""
    found: list[Message] = []
    order: dict[str, int] = {}
    for message in messages:
        if message.role != "tool":
            order = {call.id: place for place, call in enumerate(message.tool_calls)}
            found.append(message)
            continue
        first = len(found)
        while found[first - 1].role == "tool" and order[found[first - 1].tool_call_id] > order[message.tool_call_id]:
            first -= 1
        found.insert(first, message)
    return found


def _fault(place: int, what: str) -> Fault:
    return Fault(
        400,
        f"messages.{place} {what}. Expected an assistant's message with tool_calls, their arguments JSON objects in "
        f"text, and right after it one message of the role tool for each, naming its tool_call_id.",
        param="messages",
    )
