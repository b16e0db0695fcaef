"""Columns of a row become a gold, one function per kind. RowFault says what is wrong with a row."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, TypeGuard

from pydantic import ValidationError

from ponder.recipe.own import is_own
from ponder.recipe.problems import FileProblems, HubProblems
from ponder.records import (
    AssignmentGold,
    ChoiceGold,
    ExpressionGold,
    Gold,
    InstructionGold,
    JsonGold,
    MathGold,
    OwnGold,
    RuleGold,
    SafetyGold,
    from_json,
)
from ponder.task.fault import RowFault
from ponder.task.numbered import Readings, is_number, letter_of, readings
from ponder.task.program import code_gold
from ponder.task.repository import repository_gold
from ponder.verify.answer import find_answer

__all__ = ["GOLDS", "LETTERS", "Cells", "choice_readings", "gold_of", "options_of", "plain_text", "unpacked", "whole"]

LETTERS = "ABCDEFGHIJ"
_MAX_DIGITS = 100
_LETTERED = re.compile(r"[\s(\[]*([A-Z]|\d{1,2})\s*[.)\]:\u3001\uff0e\uff1a\uff09]+\s*(.*\S)\s*", re.DOTALL)
"""An option with its label before it."""
_SOLUTION_MARK = "####"
"""What GSM8K, and what is made after it, puts between a solution and its answer."""
Cells = Callable[[str], Any]
"""The value in a column of the row; RowFault where the row has none."""
Table = FileProblems | HubProblems


def _math(cells: Cells, table: Table) -> Gold:
    answer = _answer(cells, table)
    if _SOLUTION_MARK in answer:
        raise RowFault(
            f"column {table.columns.answer!r} holds a solution with its answer behind {_SOLUTION_MARK!r}: take that by "
            f"`answer_after: \"{_SOLUTION_MARK}\"` in a recipe, or --answer-after '{_SOLUTION_MARK}'"
        )
    if "\\boxed" in answer:  # a whole solution: its boxed answer
        found = find_answer(answer, trusted=True)
        if found.text is None:
            raise RowFault(f"column {table.columns.answer!r}: {found.rule}")
        answer = found.text
    return MathGold(answer=answer, strictness=table.strictness)


def _choice(cells: Cells, table: Table) -> Gold:
    labels, options = options_of(cells, table)
    answer = _answer(cells, table)
    if table.columns.wrong_options:
        answer = LETTERS[options.index(answer)]
    elif (label := _label(answer, labels, options)) is not None:
        answer = LETTERS[label]
    elif is_number(answer):
        answer = letter_of(answer, readings(answer, options), table.choice_numbers, LETTERS)
    elif "text" in (found := readings(answer, options)):
        answer = LETTERS[found["text"]]
    if options and answer in LETTERS[: len(options)] and options.count(options[LETTERS.index(answer)]) > 1:
        raise RowFault(f"the right option {options[LETTERS.index(answer)]!r:.80} stands twice among the options")
    return ChoiceGold(answer=answer, options=options)


def _label(answer: str, labels: Sequence[str], options: Sequence[str]) -> int | None:
    """The option whose label an answer is, or with whose label and text it begins and ends ("B. 60")."""
    if answer in labels:
        return labels.index(answer)
    lettered = _LETTERED.fullmatch(answer)
    if lettered is None or lettered[1] not in labels:
        return None
    label = labels.index(lettered[1])
    return label if options[label] == lettered[2] else None


def choice_readings(cells: Cells, table: Table) -> Readings:
    """What the answer of a row may mean where it is no label; nothing where the row cannot be read."""
    try:
        labels, options = options_of(cells, table)
        answer = _answer(cells, table)
    except RowFault:
        return {}
    return {} if _label(answer, labels, options) is not None else readings(answer, options)


def _expression(cells: Cells, table: Table) -> Gold:
    value = unpacked(cells(table.columns.numbers))
    if isinstance(value, str):
        value = re.findall(r"[^\s,;\[\]()]+", value)
    if not _is_list(value):
        raise RowFault(f"column {table.columns.numbers!r} holds {value!r}; expected a list of whole numbers")
    numbers = tuple(whole(number, table.columns.numbers) for number in value)
    return ExpressionGold(numbers=numbers, target=whole(cells(table.columns.target), table.columns.target))


def _assignment(cells: Cells, table: Table) -> Gold:
    value = unpacked(cells(table.columns.answer))
    if isinstance(value, Mapping):
        return AssignmentGold(values={str(name): plain_text(item, str(name)) for name, item in value.items()})
    if _is_list(value):  # an order: position -> name
        return AssignmentGold(values={str(i): plain_text(item, f"place {i}") for i, item in enumerate(value, start=1)})
    raise RowFault(f"column {table.columns.answer!r} holds {value!r}; expected names with values, or a list in order")


def _instructions(cells: Cells, table: Table) -> Gold:
    ids = _texts(cells(table.columns.answer), table.columns.answer)
    arguments = unpacked(cells(table.columns.arguments))
    if not _is_list(arguments) or len(arguments) != len(ids):
        raise RowFault(f"column {table.columns.arguments!r} must hold one mapping for each of {len(ids)} instructions")
    known = []
    for argument in map(unpacked, arguments):
        if not isinstance(argument, Mapping):
            raise RowFault(f"column {table.columns.arguments!r} holds {argument!r}; expected a mapping")
        # Tables with fixed columns fill the arguments that do not apply with null.
        known.append({name: value for name, value in argument.items() if value is not None})
    return InstructionGold(instruction_ids=ids, arguments=tuple(known), prompt=str(cells(table.columns.prompt)))


def _json(cells: Cells, table: Table) -> Gold:
    columns = table.columns
    schema = _json_value(cells(columns.json_schema), columns.json_schema, "a JSON schema")
    if not isinstance(schema, Mapping):
        raise RowFault(
            f"column {columns.json_schema!r} holds {schema!r:.80}; expected a JSON schema, which is an object"
        )
    cell = None if columns.values is None else cells(columns.values)
    values = None if cell in (None, "") else _json_value(cell, str(columns.values), "a JSON value")
    return JsonGold(schema=schema, values=values)


def _json_value(value: Any, name: str, expected: str) -> Any:
    """A text becomes the value that it writes; anything else is that value already."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise RowFault(f"column {name!r} holds {value!r:.80}; expected {expected}: {error}") from None


def _spelt_out(kind: type[RuleGold] | type[SafetyGold]) -> Callable[[Cells, Table], Gold]:
    """A gold whose fields stand in the answer column, as `to_json` writes them."""

    def read(cells: Cells, table: Table) -> Gold:
        name = table.columns.answer
        value = unpacked(cells(name))
        if not isinstance(value, Mapping):
            raise RowFault(f"column {name!r} holds {value!r:.80}; expected the fields of a {kind.__name__}")
        try:
            return from_json(kind, value)
        except ValidationError as error:
            fault = error.errors()[0]
            raise RowFault(f"column {name!r}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None

    return read


GOLDS: Mapping[str, Callable[[Cells, Table], Gold]] = {
    "math": _math,
    "choice": _choice,
    "expression": _expression,
    "assignment": _assignment,
    "code": code_gold,
    "instructions": _instructions,
    "json": _json,
    "repository": repository_gold,
    "rule": _spelt_out(RuleGold),
    "safety": _spelt_out(SafetyGold),
}
"""How each kind of gold is read, by `gold` of the source."""


def gold_of(cells: Cells, table: Table) -> Gold | None:
    """The gold of a row, as its source says; None where that has none."""
    if table.gold is None:
        return None
    return _own(cells, table) if is_own(table.gold) else GOLDS[table.gold](cells, table)


def _own(cells: Cells, table: Table) -> Gold:
    """For a verifier of the user's own: the answer as the file holds it, but for a mark it follows."""
    assert table.gold is not None, table
    columns = table.columns
    value = cells(columns.answer)
    return OwnGold(
        function=table.gold,
        answer=_answer(cells, table) if table.answer_after is not None else value,
        given={name: cells(name) for name in columns.given},
    )


def options_of(cells: Cells, table: Table) -> tuple[list[str], tuple[str, ...]]:
    """The labels and the texts of the options, in order; none where the source has no column for them."""
    if table.columns.wrong_options:
        return _shuffled_options(cells, table)
    if table.columns.options is None:
        return [], ()
    if not isinstance(table.columns.options, str):
        columns = table.columns.options
        letters = list(LETTERS[: len(columns)])
        return letters, _without_labels(letters, tuple(plain_text(cells(column), column) for column in columns))
    name = table.columns.options
    value = unpacked(cells(name))
    labels: Sequence[Any]
    if isinstance(value, Mapping) and _is_list(value.get("text")) and _is_list(value.get("label")):
        labels, texts = value["label"], value["text"]
    elif isinstance(value, Mapping):
        labels, texts = list(value), list(value.values())
    elif _is_list(value):
        labels, texts = LETTERS[: len(value)], value
    else:
        raise RowFault(f"column {name!r} holds {value!r}; expected a list of options")
    if not 2 <= len(texts) <= len(LETTERS) or len(labels) != len(texts):
        raise RowFault(f"column {name!r} holds {len(texts)} options; expected 2 to {len(LETTERS)}")
    names = [str(label) for label in labels]
    return names, _without_labels(names, tuple(plain_text(text, name) for text in texts))


def _without_labels(labels: Sequence[str], options: tuple[str, ...]) -> tuple[str, ...]:
    """Options that all begin with their own labels ("A. 17", "(B) 60") without these: they are written once."""
    lettered = [_LETTERED.fullmatch(option) for option in options]
    if [one[1] if one else None for one in lettered] != [*labels]:
        return options
    return tuple(one[2] for one in lettered if one)


def _shuffled_options(cells: Cells, table: Table) -> tuple[list[str], tuple[str, ...]]:
    columns = table.columns
    options = [_answer(cells, table), *(plain_text(cells(column), column) for column in columns.wrong_options)]
    if len(set(options)) < len(options):
        raise RowFault(f"two of the options are the same: {', '.join(map(repr, options))[:200]}")
    Random(f"options of {plain_text(cells(columns.prompt), columns.prompt)}").shuffle(options)
    return list(LETTERS[: len(options)]), tuple(options)


def _answer(cells: Cells, table: Table) -> str:
    """The text of the answer column, from `answer_after` on."""
    name = table.columns.answer
    answer = plain_text(cells(name), name)
    if table.answer_after is not None:
        before, mark, after = answer.rpartition(table.answer_after)
        if not mark:
            raise RowFault(f"column {name!r} has no {table.answer_after!r}: {before or after[:80]!r}")
        if not after.strip():
            raise RowFault(f"column {name!r} has nothing after {table.answer_after!r}")
        answer = after.strip()
    return answer


def plain_text(value: Any, name: str) -> str:
    """A cell as text without blanks around it. Whole numbers lose their `.0`; lists are joined by commas."""
    if value is None:
        raise RowFault(f"column {name!r} is empty")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RowFault(f"column {name!r} holds {value}, which is no number")
        value = int(value) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if _is_list(value) and value:
        value = ", ".join(plain_text(item, name) for item in value)
    if _is_list(value) or isinstance(value, Mapping | bytes):
        raise RowFault(f"column {name!r} holds {type(value).__name__} {value!r:.80}; expected text or a number")
    text = str(value).replace("\r\n", "\n").strip()
    if not text:
        raise RowFault(f"column {name!r} is empty")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise RowFault(f"column {name!r} holds half of a surrogate pair, which is no text")
    return text


def whole(value: Any, name: str) -> int:
    """A cell as a whole number: 3, 3.0, "3" or a text with exactly one number in it ("Level 3")."""
    if isinstance(value, str):
        found = re.findall(r"[+-]?\d+(?:\.\d+)?", value.translate({0x2212: "-", 0xFF0D: "-"}))
        if len(found) == 1 and len(found[0]) <= _MAX_DIGITS:
            value = float(found[0]) if "." in found[0] else int(found[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RowFault(f"column {name!r} holds {value!r}; expected a whole number")
    return value


def unpacked(value: Any) -> Any:
    """A text that is a JSON list or object, as tables of text hold them, becomes that value."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _is_list(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)


def _texts(value: Any, name: str) -> tuple[str, ...]:
    """A list of texts, kept as they are."""
    value = unpacked(value)
    if not _is_list(value) or not all(isinstance(item, str) for item in value):
        raise RowFault(f"column {name!r} holds {value!r:.80}; expected a list of texts")
    return tuple(value)
