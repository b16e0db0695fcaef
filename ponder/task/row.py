"""Rows of a table become problems: the prompt, the gold and what is known about them, by the source's columns."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ponder.errors import DataError
from ponder.recipe.problems import FileProblems, HubProblems, ProblemColumns
from ponder.recipe.reward_model import PreferenceColumns
from ponder.records import ExpressionGold, Gold, Language, Message, OwnGold, Problem, RepositoryGold, Route
from ponder.task.cell import ABSENT, cell
from ponder.task.context import asked, beside
from ponder.task.fault import Candidate, RowFault, known_names
from ponder.task.gold import LETTERS, Cells, choice_readings, gold_of, options_of, plain_text, unpacked, whole
from ponder.task.numbered import settled
from ponder.task.program import plain_code, tests_columns
from ponder.task.repository import shown_files
from ponder.task.table import Row
from ponder.task.turns import is_conversation, question_of
from ponder.verify import check_gold

__all__ = ["check_columns", "conversation", "problems_of"]

Table = FileProblems | HubProblems
_COUNTDOWN: Mapping[Language, str] = {
    "en": "Using the numbers {numbers}, write an expression that equals {target}. Use each number exactly once, and "
    "only the operations {operators} and parentheses.",
    "zh": "用数字 {numbers} 写出一个等于 {target} 的算式。每个数字恰好用一次，只能用运算 {operators} 和括号。",
}
"""The question of an `expression` problem in a table that has only the numbers."""
_OPTIONS = {"prompt": "--prompt", "answer": "--gold"}
"""What names a column where no recipe does."""


def check_columns(rows: Sequence[Row], table: Table, name: str) -> None:
    """DataError if no row has a column that the source names or needs."""
    readable = [row.values for row in rows if row.values is not None]
    if not readable:
        return
    for field, column in _needed(table, readable):
        if all(cell(values, column) is ABSENT for values in readable):
            there = dict.fromkeys(name for values in readable for name in values if isinstance(name, str))
            raise DataError(
                f"Source {name!r} has no column {column!r}, which `columns.{field}` names. "
                f"{known_names(column, there)}. Set `columns.{field}` to one of them"
                + (f" ({_OPTIONS[field]} on the command line)." if field in _OPTIONS else ".")
            )


def problems_of(rows: Sequence[Row], table: Table, name: str) -> Iterator[Candidate]:
    """Each row's problem, or why it is none. Ids are `name/row`, or `name/` and the id column."""
    readable = [row.values for row in rows if row.values is not None]
    makes_prompts, table = _makes_prompts(table, readable), _with_numbers(table, readable)
    for row in rows:
        try:
            if row.values is None:
                raise RowFault(row.fault)
            yield row.number, _problem(row.number, row.values, table, name, makes_prompts)
        except RowFault as fault:
            yield row.number, str(fault)


def _needed(table: Table, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    columns = table.columns
    if columns.messages is not None:
        yield "messages", columns.messages
    elif not _makes_prompts(table, rows):
        yield "prompt", columns.prompt
    match table.gold:
        case "expression":
            yield "numbers", columns.numbers
            yield "target", columns.target
        case "code":
            yield from (("tests", column) for column in tests_columns(columns))
        case "instructions":
            yield "answer", columns.answer
            yield "arguments", columns.arguments
        case "json":
            yield "json_schema", columns.json_schema
        case "repository":
            yield "files", columns.files
            yield from (("tests", column) for column in tests_columns(columns)[:1])
        case None:
            pass
        case _:
            yield "answer", columns.answer
    if columns.entry_point is not None:  # of `metadata.func_name` only problems that call a function have the end
        yield "entry_point", columns.entry_point.partition(".")[0] if table.gold == "code" else columns.entry_point
    named = (
        "values",
        "id",
        "language",
        "difficulty",
        "domain",
        "options",
        "route",
        "starter",
        "time_limit",
        "must_pass",
    )
    for field in named:
        column = columns.model_dump()[field]
        for one in (column,) if isinstance(column, str) else column or ():
            yield field, one
    yield from (("wrong_options", column) for column in columns.wrong_options)
    yield from beside(columns)
    yield from (("given", column) for column in columns.given)


def _makes_prompts(table: Table, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Numbers and a target are a question by themselves, where no column was named for one."""
    unnamed = "prompt" not in table.columns.model_fields_set and table.columns.messages is None
    return table.gold == "expression" and unnamed and all(cell(row, "prompt") is ABSENT for row in rows)


def _with_numbers(table: Table, rows: Sequence[Mapping[str, Any]]) -> Table:
    """The source with what its numbers mean, which all its rows together tell."""
    if table.gold != "choice" or table.choice_numbers is not None or table.columns.wrong_options:
        return table
    taken = (cells for cells in (_cells(one, table.columns) for one in rows) if _is_taken(cells, table))
    return table.model_copy(update={"choice_numbers": settled(choice_readings(cells, table) for cells in taken)})


def _is_taken(cells: Cells, table: Table) -> bool:
    try:
        _check_taken(cells, table)
    except RowFault:
        return False
    return True


def _check_taken(cells: Cells, table: Table) -> None:
    """RowFault for a row that `where` leaves out."""
    for column, wanted in table.where.items():
        if (found := plain_text(cells(column), column)) != wanted:
            raise RowFault(f"column {column!r} holds {found!r}, and `where` asks for {wanted!r}")


def _cells(values: Mapping[str, Any], columns: ProblemColumns) -> Cells:
    """The values of a row by column; the prompt of a conversation is its last turn."""

    def cells(column: str) -> Any:
        if columns.messages is not None and column == columns.prompt:
            return conversation(values, columns)[-1].content
        value = cell(values, column)
        if value is ABSENT:
            raise RowFault(f"column {column!r} is missing")
        return value

    return cells


def _problem(number: int, values: Mapping[str, Any], table: Table, name: str, makes_prompts: bool) -> Problem:
    columns, cells = table.columns, _cells(values, table.columns)

    def optional(column: str | None) -> str | None:
        value = ABSENT if column is None else cell(values, column)
        return None if column is None or value in (ABSENT, None, "") else plain_text(value, column)

    _check_taken(cells, table)
    route = _route(optional(columns.route), table)
    gold = gold_of(cells, table)
    if gold is None and route == "reasoning":
        raise RowFault(
            "a problem of the route 'reasoning' needs an answer to check; its source has `gold: null`. Set `route: "
            "helpful` or `route: safety` for prompts that no answer is known to, or say what the answers are"
        )
    reason = None if gold is None else check_gold(gold)
    if reason is not None:
        raise RowFault(reason)
    language = _language(optional(columns.language), table)
    difficulty = optional(columns.difficulty)
    turns = _countdown(gold, language) if makes_prompts else conversation(values, table.columns)
    given = "" if optional(columns.starter) is None else f"\n\n{plain_code(cells(str(columns.starter)))}"
    if isinstance(gold, RepositoryGold):
        given += shown_files(gold, language)
    last = turns[-1].content + given + _listed_options(cells, table, turns[-1].content) + table.prompt_suffix
    if isinstance(gold, OwnGold):
        gold = replace(gold, prompt=last)
    return Problem(
        id=f"{name}/{number if columns.id is None else plain_text(cells(columns.id), columns.id)}",
        messages=(*turns[:-1], Message(role="user", content=last)),
        gold=gold,
        domain=optional(columns.domain) or table.domain or (table.gold or route).rpartition(":")[2],
        language=language,
        difficulty=None if difficulty is None else whole(difficulty, str(columns.difficulty)),
        route=route,
    )


def _language(text: str | None, table: Table) -> Language:
    match text:
        case None:
            return table.language
        case "en" | "zh":
            return text
    raise RowFault(f"column {table.columns.language!r} holds {text!r}; expected en or zh")


def _route(text: str | None, table: Table) -> Route:
    match text:
        case None:
            return table.route
        case "reasoning" | "helpful" | "safety":
            return text
    raise RowFault(f"column {table.columns.route!r} holds {text!r}; expected reasoning, helpful or safety")


def _countdown(gold: Gold | None, language: Language) -> list[Message]:
    assert isinstance(gold, ExpressionGold)
    text = _COUNTDOWN[language].format(
        numbers=", ".join(map(str, gold.numbers)), target=gold.target, operators=", ".join(gold.operators)
    )
    return [Message(role="user", content=text)]


def conversation(values: Mapping[str, Any], columns: ProblemColumns | PreferenceColumns) -> list[Message]:
    """The turns of the messages column, or the prompt as the one turn; a prompt may hold turns, too."""
    column = columns.messages or columns.prompt
    value = cell(values, column)
    if value is ABSENT:
        raise RowFault(f"column {column!r} is missing")
    if columns.messages is not None or is_conversation(unpacked(value)):
        return asked(question_of(value, column), values, columns)
    if isinstance(value, list | dict):
        raise RowFault(f"column {column!r} holds {type(value).__name__} {value!r:.80}; expected text")
    return asked([Message(role="user", content=plain_text(value, column))], values, columns)


def _listed_options(cells: Cells, table: Table, question: str) -> str:
    """The lettered options, unless the question lists them already."""
    options = options_of(cells, table)[1]
    lines = list(zip(LETTERS, options, strict=False))  # fewer options than letters
    if all(re.search(rf"\b{letter}\W{{1,3}}{re.escape(text)}", question) for letter, text in lines):
        return ""
    return "\n" + "".join(f"\n{letter}. {text}" for letter, text in lines)
