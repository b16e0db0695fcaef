"""Answers in JSON: what is one, what a schema takes, what is known of it, and schemas that want to do harm."""

import json
from typing import Any

import pytest

from ponder.records import Gold, JsonGold, from_json, to_json
from ponder.verify import check_gold, same_answer, verify
from ponder.verify.pool import VerifierPool

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ANN = '{"name": "Ann", "age": 34}'


def outcome(answer: str, schema: dict[str, Any] = PERSON, values: Any = None) -> str:
    return verify(answer, JsonGold(schema=schema, values=values)).outcome


@pytest.mark.parametrize(
    "answer",
    [
        ANN,
        f"\n  {ANN}\n",
        f"```json\n{ANN}\n```",
        f"```\n{ANN}\n```",
        f"<answer>{ANN}</answer>",
        f"so it is</think>\n{ANN}",
        '{"age": 34.0, "name": "\\u7532"}',
        '{"name": "a } ] ``` <answer>", "age": 0}',
    ],
)
def test_one_value_that_the_schema_takes_is_right(answer: str) -> None:
    assert outcome(answer) == "right"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "no answer"),
        (" \n", "no answer"),
        (f"Here it is: {ANN}", "begins with 'Here"),
        (f"{ANN} as asked", "stands after the value"),
        (f"{ANN}{ANN}", "stands after the value"),
        (f"Sure!\n```json\n{ANN}\n```", "not JSON"),
        (f"```json\n{ANN}\n```\nDone.", "not JSON"),
        (f"```python\n{ANN}\n```", "not JSON"),
        (f"```json\n{ANN}", "not JSON"),
        ("{'name': 'Ann', 'age': 34}", "not JSON"),
        ('{"name": "Ann", "age": 34,}', "not JSON"),
        ('{"name": "Ann", /* years */ "age": 34}', "not JSON"),
        ('{"name": "Ann", "age": 34', "not JSON"),
        ('{name: "Ann", "age": 34}', "not JSON"),
        ('{"name": "Ann", "age": NaN}', "NaN"),
        ('{"name": "Ann", "age": 1e999}', "too large"),
        ('{"name": "Ann", "age": ' + "9" * 5000 + "}", "digits"),
        ('{"name": "Ann", "age": 3, "age": 34}', "twice"),
        ('{"name": "\\ud800", "age": 34}', "surrogate"),
        ("[" * 100_000, "more than"),
        ("[" * 40_000, "deeper"),
        ("[" * 200 + "]" * 200, "deeper"),
        ('{"name": "Ann"}', "'age' is a required property"),
        ('{"name": "Ann", "age": "34"}', "$.age"),
        ('{"name": "Ann", "age": true}', "$.age"),
        ('{"name": "Ann", "age": 34.5}', "$.age"),
        ('{"name": "", "age": 34}', "$.name"),
        ('{"name": "Ann", "age": 34, "wise": true}', "'wise'"),
        ("34", "object"),
        ("null", "object"),
    ],
)
def test_what_is_no_such_value_is_wrong_and_says_why(answer: str, reason: str) -> None:
    verdict = verify(answer, JsonGold(schema=PERSON))
    assert verdict.outcome == "wrong"
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("answer", "values", "expected"),
    [
        ('{"a": 1, "b": [1, 2]}', {"a": 1}, "right"),
        ('{"a": 1.0, "b": [1, 2]}', {"a": 1, "b": [1, 2]}, "right"),
        ('{"a": {"x": 1, "y": 2}}', {"a": {"x": 1}}, "right"),
        ('{"a": null}', {"a": None}, "right"),
        ('{"a": true}', {"a": 1}, "wrong"),
        ('{"a": "1"}', {"a": 1}, "wrong"),
        ('{"a": 2}', {"a": 1}, "wrong"),
        ("{}", {"a": 1}, "wrong"),
        ('{"a": null}', {"b": None}, "wrong"),
        ('{"b": [2, 1]}', {"b": [1, 2]}, "wrong"),
        ('{"b": [1, 2, 3]}', {"b": [1, 2]}, "wrong"),
        ('{"b": [{"x": 1, "y": 2}]}', {"b": [{"x": 1}]}, "right"),
        ('{"b": {"0": 1}}', {"b": [1]}, "wrong"),
        ('{"a": "Ann "}', {"a": "Ann"}, "wrong"),
    ],
)
def test_known_values_have_to_be_there(answer: str, values: Any, expected: str) -> None:
    assert outcome(answer, {"type": "object"}, values) == expected


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"enum": ["a", 1, None]}, ['"a"', "1", "null", "1.0"], ['"b"', "true"]),
        ({"const": [1, {"b": 2}]}, ['[1, {"b": 2}]'], ["[1]"]),
        ({"type": "string", "pattern": r"^\d{4}-\d{2}$"}, ['"2024-05"'], ['"2024-05\\n"', '"٢٠٢٤-٠٥"', '"24-05"']),
        ({"type": "string", "pattern": "b"}, ['"abc"'], ['"ac"']),
        ({"type": "string", "pattern": "^\\u4e2d\\u56fd$"}, ['"中国"'], ['"中"']),
        ({"patternProperties": {"^n": {"type": "number"}}, "additionalProperties": False}, ['{"n1": 1}', "{}"],
         ['{"n1": "1"}', '{"m": 1}']),
        ({"additionalProperties": {"type": "integer"}}, ['{"a": 1}'], ['{"a": "1"}']),
        ({"type": "array", "uniqueItems": True}, ["[1, 2, true]", '[{"a": 1}, {"a": 2}]'],
         ["[1, 1.0]", '[{"a": 1, "b": 2}, {"b": 2, "a": 1}]']),
        ({"anyOf": [{"type": "string"}, {"multipleOf": 0.5, "type": "number"}]}, ['"x"', "1.5"], ["1.25", "null"]),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, ['{"a": 1, "b": 1}', "{}"], ['{"a": 1}']),
        ({"multipleOf": 0.01, "type": "number"}, ["19.99", "1", "1e2", "-0.07"], ["19.995", "0.001"]),
        ({"multipleOf": 3, "type": "integer"}, ["9", "0", "9.0"], ["10"]),
        ({"$schema": "http://json-schema.org/schema#", "type": "integer"}, ["1"], ['"1"']),
        ({"$ref": "#/a/0", "a": [{"type": "integer"}]}, ["1"], ['"1"']),
        ({"format": "date", "type": "string"}, ['"2024-02-29"'], ['"2023-02-29"', '"today"']),
        ({"format": "date-time", "type": "string"}, ['"2024-02-29T23:59:60Z"', '"2024-02-29t01:00:00.5+08:00"'],
         ['"2024-02-29"', '"2024-02-29T25:00:00Z"', '"2024-02-29T01:00:00"']),
        ({"format": "email", "type": "string"}, ['"a@b.org"'], ['"ab.org"', '"a@@b"']),
        ({"format": "uri", "type": "string"}, ['"https://example.org/a?b=1"'], ['"example"', '"http://a b"']),
        ({"type": "string", "format": "something of ours"}, ['"x"'], ["1"]),
        ({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "required": ["sons"], "properties": {
            "sons": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}}},
         ['{"sons": [{"sons": []}]}'], ['{"sons": [{}]}']),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"n": {"type": "integer"}},
          "items": [{"$ref": "#/definitions/n"}], "additionalItems": False}, ["[1]", "[]"], ['["a"]', "[1, 2]"]),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}, ["2"], ["1"]),
        ({"$schema": "https://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}, ["2"], ["1"]),
        ({"$schema": "http://json-schema.org/draft/2020-12/schema", "prefixItems": [{"type": "null"}]},
         ["[null]"], ["[1]"]),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, ['{"type": "object"}'], ['{"type": "thing"}', "1"]),
        ({"type": "object", "properties": {"$schema": {"type": "string"}}, "required": ["$schema"]},
         ['{"$schema": "x"}'], ['{"$schema": 1}']),
    ],
)  # fmt: skip
def test_what_schemas_ask_for(schema: dict[str, Any], right: list[str], wrong: list[str]) -> None:
    assert check_gold(JsonGold(schema=schema)) is None
    assert {answer: outcome(answer, schema) for answer in right} == dict.fromkeys(right, "right")
    assert {answer: outcome(answer, schema) for answer in wrong} == dict.fromkeys(wrong, "wrong")


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "values", "reason"),
    [
        ({}, None, "any value"),
        ({"title": "Person", "$schema": "https://json-schema.org/draft/2020-12/schema"}, None, "any value"),
        ({"type": "strnig"}, None, "invalid"),
        ({"type": "object", "properties": []}, None, "invalid"),
        ({"required": "name"}, None, "invalid"),
        (
            {"$schema": "https://example.org/draft", "type": "object"},
            None,
            "not known; expected one of http://json-sch",
        ),
        ({"$schema": 7}, None, "draft"),
        ({"$ref": "https://example.org/person.json"}, None, "nothing is fetched"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, None, "nothing is fetched"),
        ({"$ref": "#/$defs/none"}, None, "leads nowhere"),
        ({"properties": {"a": {"$dynamicRef": "#none"}}}, None, "leads nowhere"),
        ({"$ref": "#"}, None, "comes back"),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, None, "comes back"),
        ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}, None, "comes back"),
        ({"pattern": "(?=.*a)b"}, None, "not understood"),
        ({"pattern": "("}, None, "not understood"),
        ({"properties": {"a": {"pattern": "(a)\\1"}}}, None, "not understood"),
        ({"patternProperties": {"(": {}}}, None, "not understood"),
        ({"allOf": [{"patternProperties": {"^(a+)+$": {}}}], "unevaluatedProperties": False}, None, "not tested"),
        ({"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}}, None, "draft of its own"),
        (nested(100), None, "deeper"),
        ({"enum": ["x" * 300_000]}, None, "characters"),
        ({"$schema": "http://["}, None, "draft"),
        ({"$id": "http://[", "type": "object"}, None, "cannot be followed"),
        ({"$ref": "http://["}, None, "nothing is fetched"),
        ({"$ref": "#/a/x", "a": [{"type": "integer"}]}, None, "leads nowhere"),
        ({"$ref": "#/a", "a": 3}, None, "no schema"),
        ({"$ref": "#/a", "a": [1]}, None, "no schema"),
        ({"$ref": "#/a", "a": {"minLength": "x"}}, None, "no schema"),
        ({"$ref": "#/a", "a": {"pattern": "(?=a)"}}, None, "not understood"),
        (PERSON, {"age": "34"}, "known values break the schema at $.age"),
        (PERSON, {"size": 3}, "known values break the schema"),
        (PERSON, [1], "known values break the schema"),
    ],
)
def test_golds_that_cannot_be_used_say_why(schema: dict[str, Any], values: Any, reason: str) -> None:
    said = check_gold(JsonGold(schema=schema, values=values))
    assert said is not None
    assert reason in said


LAUGHS = {
    "$ref": "#/$defs/0",
    "$defs": {str(i): {"anyOf": [{"$ref": f"#/$defs/{i + 1}"}] * 2} for i in range(25)} | {"25": {"type": "null"}},
}
HOSTILE: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "string", "pattern": "^(a+)+$"}, json.dumps("a" * 40_000 + "!"), "wrong"),
    ({"type": "string", "pattern": "(.*.*.*)*=x"}, json.dumps("=" * 5_000), "wrong"),
    ({"patternProperties": {"^(\\w+\\s?)*$": False}, "type": "object"}, json.dumps({"a" * 40_000 + "!": 1}), "right"),
    ({"propertyNames": {"pattern": "^(a|aa)+$"}}, json.dumps({"a" * 40_000 + "!": 1}), "wrong"),
    ({"additionalProperties": False, "patternProperties": {"^(a*)*$": {}}}, json.dumps({"a" * 9_000 + "!": 1}),
     "wrong"),
    ({"uniqueItems": True}, json.dumps([{"a": i} for i in range(3_000)]), "right"),
    (LAUGHS, "1", "cannot_tell"),
    ({"not": {"$ref": "#/$defs/0"}, "$defs": LAUGHS["$defs"]}, "1", "cannot_tell"),
    ({"items": {"$ref": "#"}, "minItems": 1}, "[" * 63 + "1" + "]" * 63, "right"),
    ({"items": {"allOf": [{"allOf": [{"allOf": [{"$ref": "#"}]}]}]}, "minItems": 1}, "[" * 63 + "]" * 63,
     "cannot_tell"),
    ({"multipleOf": 0.1}, "9" * 299, "right"),
]  # fmt: skip


def test_hostile_schemas_and_answers_end_soon() -> None:
    """Each under the deadline of the pool, which would say `no verdict within`."""
    golds = [JsonGold(schema=schema) for schema, _, _ in HOSTILE]
    assert [check_gold(gold) for gold in golds] == [None] * len(HOSTILE)
    with VerifierPool(workers=1, deadline_seconds=60) as pool:
        found = [pool.submit(answer, gold) for (_, answer, _), gold in zip(HOSTILE, golds, strict=True)]
        verdicts = [one.result() for one in found]
        counters = pool.counters()
    assert [one.outcome for one in verdicts] == [expected for _, _, expected in HOSTILE], verdicts
    assert not counters.keys() & {"timeout", "crash", "memory", "verifier_error"}


def test_what_takes_too_long_is_told_by_a_count_and_not_by_a_clock() -> None:
    assert "40,000 keywords" in verify("1", JsonGold(schema=LAUGHS)).reason


def test_answers_are_the_same_by_value() -> None:
    gold = JsonGold(schema=PERSON)
    assert same_answer(ANN, '```json\n{"age": 34.0, "name": "Ann"}\n```', gold)
    assert not same_answer(ANN, '{"age": 35, "name": "Ann"}', gold)
    assert not same_answer("{", "{", gold)


def test_gold_is_the_same_after_a_file() -> None:
    gold = JsonGold(schema=PERSON, values={"age": 34})
    back: Any = from_json(Gold, json.loads(json.dumps(to_json(gold))))  # type: ignore[arg-type]
    assert back == gold
