"""Conversations as tables hold them: {role, content} or {from, value}, as lists or as JSON text, turn by turn.

A key beside a turn's text may change what the turn means. `weight` and `train` say whether it is learnt, the keys in
`_HARMLESS` say where it came from; any other that holds something is a RowFault, so that the row is left out with its
reason instead of being read as what it is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ponder.records import Message, ToolCall
from ponder.task.calls import calls_of
from ponder.task.fault import RowFault
from ponder.task.gold import plain_text, unpacked

__all__ = ["THINKING_KEYS", "Turn", "is_conversation", "is_empty", "question_of", "says", "turns_of"]

Role = Literal["system", "user", "assistant", "tool"]
_NAMES: Mapping[Role, tuple[str, ...]] = {
    "system": ("system", "developer"),
    "user": ("user", "human", "prompter"),
    "assistant": ("assistant", "gpt", "chatgpt", "bing", "bard", "bot", "model"),
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names}
_WITH_TOOLS: Mapping[str, Role] = _ROLES | {"tool": "tool", "observation": "tool", "function": "tool"}
_CALLING = "function_call"
"""ShareGPT's role of a turn whose text is a call."""
_ROLE_KEYS = ("role", "from")
_TEXT_KEYS = ("content", "value", "text")
THINKING_KEYS = ("reasoning_content", "reasoning", "thinking")
"""Under these, conversations of other programs keep the thinking of a turn."""
_ABOUT = """
    id uuid message_id msg_id parent_id turn turn_id turn_identifier index idx position name author timestamp time date
    created created_at updated_at language lang source origin url model model_name info metadata meta category domain
    topic score rating rank toxic redacted hashed_ip country state header openai_id openai_moderation
    detoxify_moderation temperature usage tokens num_tokens token_count length status end_turn finish_reason stop_reason
    """
_HARMLESS = frozenset(_ABOUT.split())
"""Where a turn came from, who wrote it and how good it was."""
_TEXT_PARTS = ("text", "input_text", "output_text")
_THOUGHT_PARTS = ("thinking", "reasoning")
_PART_KEYS = {"annotations", "cache_control", "id", "index", "logprobs", "signature"}
"""Keys of a part that say nothing of its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn. `thinking` is what its content holds apart, as a part of its own; `keys` is the whole turn as it was.
    `learnt` is False where the data says not to learn it. Calls and results are there where tools are read."""

    role: Role
    content: str
    thinking: str | None
    learnt: bool
    keys: Mapping[str, Any]
    tool_calls: tuple[ToolCall, ...] = ()

    @property
    def message(self) -> Message:
        if self.role != "tool":
            return Message(role=self.role, content=self.content, tool_calls=self.tool_calls)
        call, name = (str(self.keys.get(key) or "") for key in ("tool_call_id", "name"))
        return Message(role="tool", content=self.content, tool_call_id=call, name=name)


def is_conversation(value: object) -> bool:
    """Whether a value is a list of turns, in either form."""
    return isinstance(value, list | tuple) and bool(value) and all(_is_turn(unpacked(turn)) for turn in value)


def turns_of(value: object, column: str, with_tools: bool = False) -> list[Turn]:
    """The turns in a cell; RowFault for anything that is not a list of turns, or says more than ponder can read: calls
    of tools and their results among it, unless `with_tools` says so."""
    value = unpacked(value)
    if with_tools and isinstance(value, list | tuple):
        value = [_with_text(unpacked(turn)) for turn in value]
    if not isinstance(value, list | tuple) or not is_conversation(value):
        raise RowFault(
            f"column {column!r} holds {value!r:.80}; expected a list of {{role, content}} or {{from, value}}"
        )
    return [_turn(unpacked(turn), column, number, with_tools) for number, turn in enumerate(value, start=1)]


def question_of(value: object, column: str) -> list[Message]:
    """The conversation up to its last user turn; a reply given after it is not part of the question, nor read."""
    value = unpacked(value)
    while is_conversation(value) and _role(unpacked(value[-1])) == "assistant":  # type: ignore[index]
        value = value[:-1]  # type: ignore[index]
    messages = [turn.message for turn in turns_of(value, column)] if value else []
    if not messages or messages[-1].role != "user":
        raise RowFault(f"column {column!r} has no user turn to answer")
    return messages


def is_empty(value: Any) -> bool:
    """Whether a key is there only because tables have the same keys in all rows."""
    value = unpacked(value)
    if isinstance(value, str):
        return value.strip().lower() in ("", "null", "none")
    return value is None or (isinstance(value, list | tuple | Mapping) and not value)


def says(value: Any) -> bool | None:
    """Whether a value of `weight` or `train` says that something is learnt; None where it says neither."""
    return _SAYS.get(str(value).strip().lower())


def _is_turn(value: object) -> bool:
    return isinstance(value, Mapping) and _key(value, _ROLE_KEYS) is not None and _key(value, _TEXT_KEYS) is not None


def _with_text(turn: Any) -> Any:
    """A turn that calls tools may say nothing else, and then has no text."""
    if not isinstance(turn, Mapping) or not turn.get("tool_calls"):
        return turn
    key = _key(turn, _TEXT_KEYS) or "content"
    return {**turn, key: "" if turn.get(key) is None else turn[key]}


def _key(turn: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in turn), None)


def _role(turn: Mapping[str, Any]) -> Role | None:
    return _ROLES.get(str(turn[_key(turn, _ROLE_KEYS) or ""]).strip().lower())


def _turn(turn: Mapping[str, Any], column: str, number: int, with_tools: bool = False) -> Turn:
    role_key, text_key, role = _key(turn, _ROLE_KEYS), _key(turn, _TEXT_KEYS), _role(turn)
    assert role_key is not None and text_key is not None
    where = f"column {column!r}: turn {number}"
    if with_tools and str(turn[role_key]).strip().lower() == _CALLING:
        calls = calls_of(turn[text_key], where)
        learnt = _learnt(turn, "assistant", column, number)
        return Turn(role="assistant", content="", thinking=None, learnt=learnt, keys=turn, tool_calls=calls)
    if with_tools:
        role = _WITH_TOOLS.get(str(turn[role_key]).strip().lower())
    if role is None:
        expected = "system, user, assistant or tool" if with_tools else "system, user or assistant"
        raise RowFault(f"column {column!r} has a turn of {turn[role_key]!r:.60}; expected {expected}")
    known = {role_key, text_key, "weight", "train", *THINKING_KEYS}
    if with_tools and role == "assistant":
        known.add("tool_calls")
    elif with_tools and role == "tool":
        known.add("tool_call_id")
    for key, value in turn.items():
        if key not in known and str(key).lower() not in _HARMLESS and not is_empty(value):
            raise RowFault(
                f"column {column!r}: turn {number} has {key!r}: {value!r:.60}, which may change what it means. Of such "
                f"keys `weight` and `train` are known"
            )
    learnt = _learnt(turn, role, column, number)
    given = turn.get("tool_calls") if "tool_calls" in known else None
    calls = () if is_empty(given) else calls_of(given, where)
    if (calls or (with_tools and role == "tool")) and turn[text_key] in ("", None, []):
        content, thinking = "", None  # only these need not say anything
    else:
        content, thinking = _content(turn[text_key], column, number)
    return Turn(role=role, content=content, thinking=thinking, learnt=learnt, keys=turn, tool_calls=calls)


def _learnt(turn: Mapping[str, Any], role: Role, column: str, number: int) -> bool:
    """What `weight` (0 or 1) and `train` say, true where neither is there."""
    found = True
    for key in ("weight", "train"):
        if is_empty(value := turn.get(key)):
            continue
        has = f"column {column!r}: turn {number}, of the {role}, has {key!r}: {value!r:.40}"
        learnt = says(value)
        if learnt is None:
            raise RowFault(f"{has}; expected 0 or 1, true or false")
        if role != "assistant" and learnt:
            raise RowFault(f"{has}; only the assistant's turns can be learnt")
        found = found and learnt
    return found


_SAYS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


def _content(value: Any, column: str, number: int) -> tuple[str, str | None]:
    """Text and thinking of a turn; a list of parts becomes lines."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        return plain_text(value, column), None
    texts: list[str] = []
    thoughts: list[str] = []
    for part in value:
        kind, text = _part({"text": part} if isinstance(part, str) else part)
        if kind in _THOUGHT_PARTS and text is not None:
            thoughts.append(text)
        elif kind in _TEXT_PARTS and text is not None:
            texts.append(text)
        else:
            raise RowFault(f"column {column!r}: turn {number} has a part {part!r:.60}; expected parts of text")
    return plain_text("\n".join(texts), column), "\n".join(thoughts).strip() or None


def _part(part: Any) -> tuple[str, str | None]:
    """Kind and text of a part, as `{type: text, text: ...}`."""
    if not isinstance(part, Mapping):
        return "", None
    kind = str(part.get("type") or "text")
    text = next((part[key] for key in (kind, "text") if isinstance(part.get(key), str)), None)
    others = [key for key, value in part.items() if key not in ("type", kind, "text") and not is_empty(value)]
    return ("" if set(others) - _PART_KEYS else kind), text
