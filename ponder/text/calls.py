"""Calls of tools read out of what a model wrote after its thinking.

    text -> Reading(items: ToolCall | CallFault in their order, text: what stands beside them)

Models write calls in the form that their chat template taught them; each form here is a function that knows its marks.
Nothing is guessed: what begins as a call and is none is a fault that says why.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from typing import Any, NoReturn

from ponder.records import Tool, ToolCall

__all__ = ["FORMS", "CallFault", "CallForm", "Reading", "json_text"]

_SHOWN = 80
_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_SPACE = re.compile(r"\s*")
_BEFORE_ARGUMENTS = re.compile(r"\s*(?:```json)?\s*")
_FUNCTION = re.compile(r"\s*<function=([^>\n]+)>\s*(.*?)\s*(?:</function>\s*)?", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_PAIRED = re.compile(r"\s*([^\s<]+)\s*(<arg_key>.*)?", re.DOTALL)
_PAIR = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_LISTED = "[TOOL_CALLS]"
_NAMED = re.compile(r"\s*([\w.-]+)(?:\[CALL_ID\][\w-]*)?\[ARGS\]")
_CALLS = ("<\uff5ctool\u2581calls\u2581begin\uff5c>", "<\uff5ctool\u2581calls\u2581end\uff5c>")
_CALL = ("<\uff5ctool\u2581call\u2581begin\uff5c>", "<\uff5ctool\u2581call\u2581end\uff5c>")
_SEPARATED = re.compile(r"(?:function)?<\uff5ctool\u2581sep\uff5c>([^\n<]+)|([^\n<]+)<\uff5ctool\u2581sep\uff5c>")
_PYTHON = "<|python_tag|>"
_JSON_TYPES: Mapping[type, str] = {
    str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object", type(None): "null",
}  # fmt: skip
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFault:
    """What begins as a call and is none: `text` as it stands there, and one sentence that says why."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reply says: its calls and faults in their order, and the text beside them."""

    items: tuple[ToolCall | CallFault, ...] = ()
    text: str = ""

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(item for item in self.items if isinstance(item, ToolCall))

    @property
    def faults(self) -> tuple[CallFault, ...]:
        return tuple(item for item in self.items if isinstance(item, CallFault))


class _Fault(Exception):
    """Why a piece of text is no call."""


Tools = Mapping[str, Tool]
Read = Callable[[str, Tools], Reading]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallForm:
    """How calls are written. `marks` are what a call may begin with, for those who watch a reply as it arrives; without
    any, a reply is one call as a whole or none."""

    name: str
    marks: tuple[str, ...]
    reader: Read

    def read(self, text: str, tools: Sequence[Tool] = ()) -> Reading:
        """The calls in a reply, its thinking left out. `tools` tell the types of arguments that are written as bare
        text. A reply that is nothing but the JSON of calls of these tools is read as such without its marks, too: some
        models forget them."""
        known = {tool.name: tool for tool in tools}
        reading = self.reader(text, known)
        if not reading.items:
            unmarked = _bare(text.strip().removeprefix("```json").removesuffix("```"), known)
            if not unmarked.faults and unmarked.calls and all(call.name in known for call in unmarked.calls):
                return unmarked
        return reading


def json_text(value: object) -> str:
    """JSON as chat templates write it: in one line, all signs as they are."""
    return json.dumps(value, ensure_ascii=False)


def _tagged(text: str, tools: Tools) -> Reading:
    """`<tool_call>` ... `</tool_call>`, holding {"name", "arguments"}, or `<function=name>`, or a name and pairs."""
    items: list[ToolCall | CallFault] = []
    beside, place = "", 0
    while (start := text.find(_OPEN, place)) >= 0:
        beside += text[place:start]
        inside = start + len(_OPEN)
        try:
            call, place = _in_tags(text, inside, tools)
            items.append(call)
        except _Fault as fault:
            place = _end_of_fault(text, inside, _OPEN, _CLOSE)
            items.append(CallFault(text=text[start:place], reason=str(fault)))
    beside += text[place:]
    stray = beside.find(_CLOSE)
    if stray >= 0:
        items.append(CallFault(text=beside[stray:], reason=f"{_CLOSE} stands where no {_OPEN} is open"))
    return Reading(items=tuple(items), text=beside.strip())


def _in_tags(text: str, start: int, tools: Tools) -> tuple[ToolCall, int]:
    begin = _after(_SPACE, text, start)
    if text.startswith("{", begin):
        value, end = _value(text, begin)
        call, end = _call(value, ("arguments", "parameters")), _after(_SPACE, text, end)
        if not text.startswith(_CLOSE, end):
            raise _Fault(f"expected {_CLOSE} after the call, got {text[end : end + 20]!r}")
        return call, end + len(_CLOSE)
    end = text.find(_CLOSE, start)
    if end < 0:
        raise _Fault(f"{_CLOSE} is missing")
    return _written_out(text[start:end], tools), end + len(_CLOSE)


def _written_out(inside: str, tools: Tools) -> ToolCall:
    """A call whose arguments stand one by one as bare text."""
    if found := _FUNCTION.fullmatch(inside):
        pattern, (name, body) = _PARAMETER, found.groups()
    elif (found := _PAIRED.fullmatch(inside)) and (found[2] or found[1] in tools):
        pattern, (name, body) = _PAIR, (found[1], found[2] or "")
    else:
        raise _Fault(f'expected {{"name": ..., "arguments": {{...}}}} in JSON, got {inside.strip()[:_SHOWN]!r}')
    if left := pattern.sub("", body).strip():
        raise _Fault(f"between its arguments stands {left[:_SHOWN]!r}")
    tool, values = tools.get(name.strip()), {}
    for key, written in pattern.findall(body):
        if key in values:
            raise _Fault(f"argument {key!r} is given twice")
        values[key] = _typed(written, key, tool)
    return ToolCall(name=name.strip(), arguments=json_text(values))


def _typed(written: str, key: str, tool: Tool | None) -> object:
    """A bare text as the type that the tool's schema gives it; text where it gives none."""
    schema = tool.parameters.get("properties", {}).get(key, {}) if tool is not None else {}
    types = _types(schema) or {"string"}
    if types == {"string"}:
        return written
    try:
        value, end = _value(written, 0)
    except _Fault as fault:
        if "string" in types:
            return written
        raise _Fault(f"argument {key!r}: {fault}") from None
    if "string" in types and (written[end:].strip() or not _is_of(value, types)):
        return written
    if written[end:].strip():
        raise _Fault(f"argument {key!r} holds more than one value: {written[:_SHOWN]!r}")
    return value


def _types(schema: object) -> set[str]:
    """The types of JSON that a schema allows, all where a part of a union names none; empty where it names none."""
    if not isinstance(schema, Mapping):
        return set()
    named = schema.get("type")
    found = {one for one in (named if isinstance(named, list) else [named]) if isinstance(one, str)}
    for union in (schema.get("anyOf"), schema.get("oneOf")):
        for part in union if isinstance(union, list) else ():
            found |= _types(part) or set(_JSON_TYPES.values())
    return found


def _is_of(value: object, types: Collection[str]) -> bool:
    """Whether a value that was read is of one of these types; a string in quotes is the text as it stands."""
    own = _JSON_TYPES[type(value)]
    return own != "string" and (own in types or (own == "integer" and "number" in types))


def _listed(text: str, tools: Tools) -> Reading:
    """`[TOOL_CALLS]` and a list of {"name", "arguments"}, or `name[ARGS]{...}` each."""
    beside, *parts = text.split(_LISTED)
    items: list[ToolCall | CallFault] = []
    for part in parts:
        try:
            items += _list(part)
        except _Fault as fault:
            items.append(CallFault(text=_LISTED + part, reason=str(fault)))
    return Reading(items=tuple(items), text=beside.strip())


def _list(part: str) -> list[ToolCall]:
    if named := _NAMED.match(part):
        value, end = _value(part, _after(_SPACE, part, named.end()))
        found = [_call({"name": named[1], "arguments": value}, ("arguments",))]
    else:
        value, end = _value(part, _after(_SPACE, part, 0))
        if not isinstance(value, list):
            raise _Fault(f"expected a list of calls, got {part.strip()[:_SHOWN]!r}")
        found = [_call(one, ("arguments",)) for one in value]
    if left := part[end:].strip():
        raise _Fault(f"after the calls stands {left[:_SHOWN]!r}")
    return found


def _marked(text: str, tools: Tools) -> Reading:
    """DeepSeek's marks around each name and its arguments."""
    (first, last), (opens, closes) = _CALLS, _CALL
    items: list[ToolCall | CallFault] = []
    beside, *parts = text.split(opens)
    for part in parts:
        inside, closed, after = part.partition(closes)
        beside += after
        try:
            found = _SEPARATED.match(inside)
            if found is None:
                raise _Fault(f"expected a name and its mark, got {inside[:_SHOWN]!r}")
            value, end = _value(inside, _after(_BEFORE_ARGUMENTS, inside, found.end()))
            if left := inside[end:].strip().removesuffix("```").strip():
                raise _Fault(f"after the arguments stands {left[:_SHOWN]!r}")
            if not closed:
                raise _Fault(f"{closes} is missing")
            items.append(_call({"name": (found[1] or found[2]).strip(), "arguments": value}, ("arguments",)))
        except _Fault as fault:
            items.append(CallFault(text=opens + inside, reason=str(fault)))
    return Reading(items=tuple(items), text=beside.replace(first, "").replace(last, "").strip())


def _bare(text: str, tools: Tools) -> Reading:
    """The whole reply is {"name", "parameters"}, or several with semicolons between them."""
    inside = text.strip().removeprefix(_PYTHON).strip()
    marked = text.strip().startswith(_PYTHON)
    if not marked and re.match(r'\{\s*"name"\s*:', inside) is None:
        return Reading(text=text.strip())
    items: list[ToolCall | CallFault] = []
    place = 0
    try:
        while True:
            value, place = _value(inside, place)
            items.append(_call(value, ("parameters", "arguments")))
            place = _after(_SPACE, inside, place)
            if place == len(inside):
                return Reading(items=tuple(items))
            if inside[place] != ";":
                raise _Fault(f"after the call stands {inside[place : place + _SHOWN]!r}")
            place = _after(_SPACE, inside, place + 1)
    except _Fault as fault:
        return Reading(items=(CallFault(text=inside, reason=str(fault)),))


FORMS: Mapping[str, CallForm] = {
    form.name: form
    for form in (
        CallForm(name="tags", marks=(_OPEN,), reader=_tagged),
        CallForm(name="list", marks=(_LISTED,), reader=_listed),
        CallForm(name="marks", marks=(_CALLS[0], _CALL[0]), reader=_marked),
        CallForm(name="bare", marks=(), reader=_bare),
    )
}
"""Every form in which a call can be read; ponder's own is `tags`."""


def _call(value: object, keys: Sequence[str]) -> ToolCall:
    """A call of its JSON value, the arguments under the first of `keys` that is there."""
    if not isinstance(value, dict):
        raise _Fault(f"expected a JSON object, got {json_text(value)[:_SHOWN]}")
    name = value.get("name")
    if not isinstance(name, str) or not name:
        raise _Fault(f'its "name" is {json_text(name)[:_SHOWN]}; expected the name of a tool')
    key = next((key for key in keys if key in value), None)
    arguments = {} if key is None else value[key]
    if isinstance(arguments, str):  # JSON within JSON
        arguments, _ = _value(arguments, 0)
    if not isinstance(arguments, dict):
        raise _Fault(f"the arguments of {name!r} are {json_text(arguments)[:_SHOWN]}; expected a JSON object")
    if unknown := [one for one in value if one not in ("name", "id", "type", key)]:
        raise _Fault(f"the call of {name!r} has {unknown[0]!r}; expected a name and arguments")
    written = json_text(arguments)
    if _HALF.search(name + written):
        raise _Fault(f"the call of {name!r} holds half of a surrogate pair, which is no text")
    return ToolCall(name=name, arguments=written)


def _value(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins there, and where it ends."""
    try:
        return _DECODER.raw_decode(text, start)
    except JSONDecodeError as error:
        raise _Fault(f"not JSON: {error.msg}, at {text[error.pos : error.pos + 20]!r}") from None
    except RecursionError:
        raise _Fault("not JSON that can be read: too deeply nested") from None
    except ValueError as error:  # a number of thousands of digits
        raise _Fault(f"not JSON that can be read: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Fault(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found


def _no_number(written: str) -> NoReturn:
    raise _Fault(f"{written} is no JSON number")


_DECODER = JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number, strict=False)  # programs have lines


def _after(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    assert found is not None, "these patterns match the empty text"
    return found.end()


def _end_of_fault(text: str, start: int, opens: str, closes: str) -> int:
    """Where what is no call ends: behind its closing mark, before the next opening one, or with the text."""
    close, following = text.find(closes, start), text.find(opens, start)
    if close >= 0 and (following < 0 or close < following):
        return close + len(closes)
    return following if following >= 0 else len(text)
