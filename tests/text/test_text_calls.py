"""Calls of tools read out of replies, form by form, with what models get wrong."""

import json

import pytest

from ponder.records import Tool
from ponder.text.calls import FORMS

ADD = Tool(
    name="add",
    description="Adds.",
    parameters={"type": "object", "properties": {"a": {"type": "integer"}, "note": {"type": "string"}}},
)
ONE = '{"name": "add", "arguments": {"a": 1}}'
TWO = '{"name": "look", "arguments": {"what": "x </tool_call> y"}}'
BAR, LOW = "\uff5c", "\u2581"
CALLS, CALLS_END = f"<{BAR}tool{LOW}calls{LOW}begin{BAR}>", f"<{BAR}tool{LOW}calls{LOW}end{BAR}>"
CALL, SEP, CALL_END = (f"<{BAR}tool{LOW}{name}{BAR}>" for name in (f"call{LOW}begin", "sep", f"call{LOW}end"))
READ = [
    ("tags", "", [], ""),
    ("tags", "The answer is 4.", [], "The answer is 4."),
    ("tags", ONE, [("add", {"a": 1})], ""),
    ("list", f"```json\n{ONE}\n```", [("add", {"a": 1})], ""),
    ("tags", '{"name": "look", "arguments": {}}', [], '{"name": "look", "arguments": {}}'),
    ("tags", f"It is {ONE}", [], f"It is {ONE}"),
    ("tags", f"<tool_call>{ONE}</tool_call>", [("add", {"a": 1})], ""),
    ("tags", f"Let me see.\n<tool_call>\n{ONE}\n</tool_call>\n", [("add", {"a": 1})], "Let me see."),
    ("tags", f"<tool_call>{ONE}</tool_call>\n<tool_call>{TWO}</tool_call>",
     [("add", {"a": 1}), ("look", {"what": "x </tool_call> y"})], ""),
    ("tags", '<tool_call>{"name": "now"}</tool_call>', [("now", {})], ""),
    ("tags", '<tool_call>{"name": "add", "arguments": "{\\"a\\": 2}"}</tool_call>', [("add", {"a": 2})], ""),
    ("tags", '<tool_call>{"arguments": {"a": "1\n2"}, "name": "add"}</tool_call>', [("add", {"a": "1\n2"})], ""),
    ("tags", "<tool_call>\n<function=add>\n<parameter=a>\n12\n</parameter>\n<parameter=note>\n1\n2\n</parameter>\n"
     "</function>\n</tool_call>", [("add", {"a": 12, "note": "1\n2"})], ""),
    ("tags", "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>3</arg_value>\n</tool_call>", [("add", {"a": 3})], ""),
    ("list", f"[TOOL_CALLS] [{ONE}]", [("add", {"a": 1})], ""),
    ("list", f"I.[TOOL_CALLS][{ONE}, {TWO}]", [("add", {"a": 1}), ("look", {"what": "x </tool_call> y"})], "I."),
    ("list", '[TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]look[CALL_ID]ab12[ARGS]{}',
     [("add", {"a": 1}), ("look", {})], ""),
    ("marks", f'Hm. {CALLS}{CALL}function{SEP}add\n```json\n{{"a": 1}}\n```{CALL_END}\n'
     f"{CALL}function{SEP}look\n```json\n{{}}\n```{CALL_END}{CALLS_END}", [("add", {"a": 1}), ("look", {})], "Hm."),
    ("marks", f'{CALLS}{CALL}add{SEP}{{"a": 1}}{CALL_END}{CALLS_END}', [("add", {"a": 1})], ""),
    ("bare", "The answer is {4}.", [], "The answer is {4}."),
    ("bare", '{"name": "add", "parameters": {"a": 1}}', [("add", {"a": 1})], ""),
    ("bare", '<|python_tag|>{"name": "add", "parameters": {"a": 1}}; {"name": "look", "parameters": {}}',
     [("add", {"a": 1}), ("look", {})], ""),
]  # fmt: skip
FAULTS = [
    ("tags", "<tool_call>add(1, 2)</tool_call>", r"expected \{.name.*got 'add\(1, 2\)'"),
    ("tags", f"<tool_call>{ONE}", "expected </tool_call> after the call, got ''"),
    ("tags", f"<tool_call>{ONE} and so on</tool_call>", "got 'and so on"),
    ("tags", '<tool_call>{"name": "add", "arguments": {"a": 1}</tool_call>', "not JSON"),
    ("tags", '<tool_call>{"name": "add", "arguments": [1]}</tool_call>', r"arguments of 'add' are \[1\]"),
    ("tags", '<tool_call>{"name": 3, "arguments": {}}</tool_call>', '"name" is 3'),
    ("tags", '<tool_call>{"arguments": {}}</tool_call>', '"name" is null'),
    ("tags", '<tool_call>{"name": "add", "arguments": {"a": 1, "a": 2}}</tool_call>', "'a' is given twice"),
    ("tags", '<tool_call>{"name": "add", "arguments": {"a": NaN}}</tool_call>', "NaN is no JSON number"),
    ("tags", '<tool_call>{"name": "add", "a": 1}</tool_call>', "has 'a'; expected a name and arguments"),
    ("tags", '<tool_call>{"name": "add", "arguments": {"a": ' + "9" * 5000 + "}}</tool_call>", "can be read"),
    ("tags", '<tool_call>{"name": ' + "[" * 200_000 + "</tool_call>", "nested|not JSON"),
    ("tags", '<tool_call>{"name": "add", "arguments": {"a": "\\ud800"}}</tool_call>', "half of a surrogate pair"),
    ("tags", "<tool_call></tool_call>", "expected"),
    ("tags", "5</tool_call>", "where no <tool_call> is open"),
    ("tags", "<tool_call><function=add><parameter=a>x</parameter></function></tool_call>", "argument 'a': not JSON"),
    ("tags", "<tool_call><function=add>a=1</function></tool_call>", "between its arguments stands 'a=1'"),
    ("list", "[TOOL_CALLS]", "not JSON"),
    ("list", f"[TOOL_CALLS]{ONE}", "expected a list of calls"),
    ("list", f"[TOOL_CALLS][{ONE}] Done.", "after the calls stands 'Done.'"),
    ("marks", f"{CALL}function{SEP}add\n```json\n{{}}\n```", "is missing"),
    ("marks", f"{CALL}add(1){CALL_END}", "expected a name and its mark"),
    ("bare", '{"name": "add", "parameters": {"a": 1}', "not JSON"),
    ("bare", '{"name": "add", "parameters": {}} done', "after the call stands 'done'"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "text", "calls", "beside"), READ)
def test_calls_are_read(form: str, text: str, calls: list[tuple[str, object]], beside: str) -> None:
    reading = FORMS[form].read(text, [ADD])
    assert [(call.name, json.loads(call.arguments)) for call in reading.calls] == calls
    assert (reading.faults, reading.text) == ((), beside)


@pytest.mark.parametrize(("form", "text", "reason"), FAULTS)
def test_what_is_no_call_says_why(form: str, text: str, reason: str) -> None:
    (fault,) = FORMS[form].read(text, [ADD]).faults
    assert FORMS[form].read(text, [ADD]).calls == ()
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(fault.reason)


def test_one_bad_call_leaves_the_others() -> None:
    reading = FORMS["tags"].read(f"a <tool_call>{{</tool_call> b <tool_call>{ONE}</tool_call> <tool_call>{ONE}")
    assert [type(item).__name__ for item in reading.items] == ["CallFault", "ToolCall", "CallFault"]
    assert reading.text == "a  b"
    assert reading.faults[0].text == "<tool_call>{</tool_call>"


MAYBE = {"type": ["string", "null"]}
EITHER = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
WITH_TEXT = {"oneOf": [{"type": "number"}, {"type": "string"}]}
OPEN = {"anyOf": [{"$ref": "#/$defs/point"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("schema", "written", "value"),
    [
        (MAYBE, "null", None),
        (MAYBE, "a b", "a b"),
        (MAYBE, "5", "5"),
        (MAYBE, '"5"', '"5"'),
        (EITHER, "5", 5),
        (EITHER, "null", None),
        (WITH_TEXT, "5", 5),
        (WITH_TEXT, "5.5", 5.5),
        (WITH_TEXT, "5 apples", "5 apples"),
        (WITH_TEXT, "true", "true"),
        (OPEN, '{"x": 1}', {"x": 1}),
        (OPEN, "null", None),
        ({"anyOf": None, "type": None}, "5", "5"),
    ],
)
@pytest.mark.parametrize(
    "form",
    [
        "<tool_call><function=add><parameter=a>\n{}\n</parameter></function></tool_call>",
        "<tool_call>add<arg_key>a</arg_key><arg_value>{}</arg_value></tool_call>",
    ],
)
def test_an_argument_of_several_types_is_of_one_of_them(
    schema: dict[str, object], written: str, value: object, form: str
) -> None:
    tool = Tool(name="add", description="Adds.", parameters={"type": "object", "properties": {"a": schema}})
    (call,) = FORMS["tags"].read(form.replace("{}", written), [tool]).calls
    assert call.values == {"a": value}


def test_an_argument_of_none_of_its_types_is_a_fault() -> None:
    tool = Tool(name="add", description="Adds.", parameters={"type": "object", "properties": {"a": EITHER}})
    text = "<tool_call><function=add><parameter=a>five</parameter></function></tool_call>"
    (fault,) = FORMS["tags"].read(text, [tool]).faults
    assert "argument 'a': not JSON" in fault.reason
