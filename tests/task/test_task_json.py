"""Problems with answers in JSON: from rows to golds, what is left out and why, through `ponder verify` and rewards."""

import json
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import DataError
from ponder.evaluation.benchmark import find_benchmark
from ponder.evaluation.verify_command import verify_command
from ponder.recipe.problems import FileProblems, MicroProblems
from ponder.records import JsonGold, Message, Problem, to_json
from ponder.reward import REWARDS, Judged
from ponder.reward.canaries import check_canaries
from ponder.task import Loaded, load_problems
from ponder.text import TEMPLATES
from ponder.verify import verify
from ponder.verify.pool import VerifierPool

AGE = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def load(folder: Path, rows: list[Any], **fields: Any) -> Loaded:
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return load_problems([FileProblems(path=str(folder / "a.jsonl"), gold="json", **fields)])


def test_rows_become_golds_and_bad_ones_are_left_out_with_their_reason(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"prompt": "q1", "schema": AGE, "values": {"age": 3}},
        {"prompt": "q2", "schema": json.dumps(AGE), "values": '{"age": 3}'},
        {"prompt": "q3", "schema": AGE, "values": None},
        {"prompt": "q4", "schema": AGE, "values": ""},
        {"prompt": "q5", "schema": {"type": "array"}, "values": "[]"},
        {"prompt": "q6", "schema": {"type": "string"}, "values": '"Paris"'},
        {"prompt": "b1", "schema": {"type": "intger"}, "values": None},
        {"prompt": "b2", "schema": {"$ref": "https://example.org/a.json"}, "values": None},
        {"prompt": "b3", "schema": {"$ref": "#"}, "values": None},
        {"prompt": "b4", "schema": '{"type": "object"', "values": None},
        {"prompt": "b5", "schema": "object", "values": None},
        {"prompt": "b6", "schema": [AGE], "values": None},
        {"prompt": "b7", "values": None},
        {"prompt": "b8", "schema": None, "values": None},
        {"prompt": "b9", "schema": AGE, "values": {"age": "3"}},
        {"prompt": "b10", "schema": {"type": "string"}, "values": "Paris"},
        {"prompt": "b11", "schema": {}, "values": None},
        {"prompt": "b12", "schema": {"pattern": "(?<!a)b"}, "values": None},
    ]
    loaded = load(tmp_path, rows, columns={"values": "values"})
    assert [problem.gold for problem in loaded.problems] == [
        JsonGold(schema=AGE, values={"age": 3}),
        JsonGold(schema=AGE, values={"age": 3}),
        JsonGold(schema=AGE),
        JsonGold(schema=AGE),
        JsonGold(schema={"type": "array"}, values=[]),
        JsonGold(schema={"type": "string"}, values="Paris"),
    ]
    assert {problem.domain for problem in loaded.problems} == {"json"}
    expected = [
        "invalid", "nothing is fetched", "comes back", "expected a JSON schema", "expected a JSON schema",
        "expected a JSON schema", "'schema' is missing", "expected a JSON schema", "break the schema at $.age",
        "expected a JSON value", "any value", "not understood",
    ]  # fmt: skip
    assert [entry.row for entry in loaded.left_out] == list(range(7, 19))
    for entry, words in zip(loaded.left_out, expected, strict=True):
        assert words in entry.reason
    assert "12 rows left out" in loaded.summary()


def test_columns_are_named_and_a_wrong_name_is_answered(tmp_path: Path) -> None:
    rows = [{"question": "q", "json_schema": AGE, "completion": '{"age": 3}'}]
    columns = {"prompt": "question", "json_schema": "json_schema", "values": "completion"}
    (problem,) = load(tmp_path, rows, columns=columns).problems
    assert problem.gold == JsonGold(schema=AGE, values={"age": 3})
    with pytest.raises(DataError, match=r"no column 'schema', which `columns.json_schema` names"):
        load(tmp_path, rows, columns={"prompt": "question"})
    with pytest.raises(DataError, match=r"no column 'value', which `columns.values` names"):
        load(tmp_path, rows, columns=columns | {"values": "value"})


def test_the_command_judges_rows_with_schemas(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"schema": AGE, "said": '{"age": 3}'},
        {"schema": json.dumps(AGE), "said": '<think>a</think>```json\n{"age": 3}\n```'},
        {"schema": AGE, "said": {"age": 3}},
        {"schema": AGE, "values": {"age": 4}, "said": '{"age": 3}'},
        {"schema": to_json(JsonGold(schema=AGE, values={"age": 3})), "said": '{"age": 3}'},
        {"schema": AGE, "said": 'It is {"age": 3}.'},
        {"schema": AGE, "said": None},
        {"schema": {"type": "intger"}, "said": "3"},
        {"schema": {"$ref": "http://127.0.0.1:9/a"}, "said": "3"},
    ]
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    totals = verify_command(source, kind="json", gold="schema", answer="said", out=out, workers=1)
    found = [json.loads(line)["verdict"] for line in out.read_text().splitlines()]
    assert found == ["right", "right", "right", "wrong", "right", "wrong", "wrong", "cannot_tell", "cannot_tell"]
    assert [fault.split(":")[0] for fault in totals.faults] == ["row 8", "row 9"]


def judged(answer: str, gold: JsonGold, thinking: str = "so") -> Judged:
    response = TEMPLATES["r1-zero"].split(f" <think>{thinking}</think> <answer>{answer}</answer>")
    assert response.answer is not None
    return Judged(
        problem=Problem(id="p", messages=(Message(role="user", content="How old?"),), gold=gold, domain="json"),
        response=response,
        verdict=verify(response.answer, gold),
        completion_tokens=5,
        finish_reason="stop",
        max_tokens=100,
    )


@pytest.mark.parametrize(
    ("answer", "values", "accuracy", "form"),
    [
        ('{"age": 3}', None, 1.0, 1.0),
        ('{"age": "wait, that is wrong"}', None, 0.0, 1.0),
        ('{"age": 3', None, 0.0, 0.0),
        ('Age: {"age": 3}', None, 0.0, 0.0),
        ("3 or 4", None, 0.0, 0.0),
        ('{"age": 4}', {"age": 3}, 0.0, 1.0),
    ],
)
def test_accuracy_pays_for_what_is_valid_and_format_for_what_is_json(
    answer: str, values: Any, accuracy: float, form: float
) -> None:
    one = judged(answer, JsonGold(schema=AGE, values=values))
    assert (REWARDS["accuracy"](one), REWARDS["format"](one)) == (accuracy, form)


def test_nothing_in_brackets_is_paid_only_where_it_is_known_to_be_right() -> None:
    for answer, schema, empty in (("{}", {"type": "object"}, {}), ("[]", {"type": "array"}, [])):
        assert REWARDS["accuracy"](judged(answer, JsonGold(schema=schema))) == 0
        assert REWARDS["accuracy"](judged(answer, JsonGold(schema=schema, values=empty))) == 1


def test_canaries_earn_nothing_on_forms() -> None:
    problems = load_problems([MicroProblems(tasks=("form",), count=8)]).problems
    loose = Problem(
        id="loose",
        messages=(Message(role="user", content='Say {"a": 1}.'),),
        gold=JsonGold(schema={"type": "object"}),
        domain="json",
    )
    with VerifierPool(workers=1) as pool:
        check_canaries(TEMPLATES["r1-zero"], [*problems, loose], {"accuracy": 1.0, "format": 1.0}, pool)


def test_benchmarks_with_answers_in_json(tmp_path: Path) -> None:
    assert find_benchmark("micro-form").problems == (MicroProblems(tasks=("form",), split="test", count=200, seed=1),)
    (source,) = find_benchmark("json-mode-eval").problems
    rows = [{"prompt": [{"role": "system", "content": "JSON."}, {"role": "user", "content": "Age?"}],
             "completion": '{"age": 3}', "schema": json.dumps(AGE)}]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    fields = source.model_dump(exclude={"source", "id", "subset", "split"})
    (problem,) = load_problems([FileProblems(**fields, path=str(tmp_path / "a.jsonl"))]).problems
    assert problem.gold == JsonGold(schema=AGE)
    assert [message.role for message in problem.messages] == ["system", "user"]
