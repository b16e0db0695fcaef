"""Rows of a table become examples: the prompt, and the response taken apart into thinking and answer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ponder.errors import DataError
from ponder.recipe.examples import FileExamples, HubExamples
from ponder.records import Example, Language, Message, Step, ToolCall
from ponder.task.calls import tools_of
from ponder.task.cell import ABSENT, cell
from ponder.task.context import asked, check_learnt, unread
from ponder.task.fault import RowFault, known_names
from ponder.task.gold import plain_text, unpacked
from ponder.task.table import Row
from ponder.task.turns import THINKING_KEYS, Turn, is_conversation, question_of, turns_of
from ponder.text.think import ThinkParser

__all__ = ["check_example_columns", "examples_of", "split_response"]

Table = FileExamples | HubExamples
_OPEN = "<think>"


def check_example_columns(rows: Sequence[Row], table: Table, name: str) -> None:
    """DataError if no row has a column that the source names or needs."""
    readable = [row.values for row in rows if row.values is not None]
    columns = table.columns
    skipped = ("prompt", "response", "thinking") if columns.messages is not None else ("tools",)
    named = [(field, column) for field, column in columns.model_dump().items() if isinstance(column, str)]
    context = [("context", column) for column in columns.context]
    for field, column in (*context, *((field, column) for field, column in named if field not in skipped)):
        if readable and all(cell(values, column) is ABSENT for values in readable):
            there = dict.fromkeys(key for values in readable for key in values if isinstance(key, str))
            raise DataError(
                f"Source {name!r} has no column {column!r}, which `columns.{field}` names. "
                f"{known_names(column, there)}. Set `columns.{field}` to one of them."
            )


def examples_of(row: Row, table: Table, name: str) -> Iterator[Example]:
    """The example of a row, or of each of its turns; RowFault says why there is none."""
    if row.values is None:
        raise RowFault(row.fault)
    values, columns = row.values, table.columns
    check_learnt(values, columns)
    key = _optional(values, columns.id) or str(row.number)
    if columns.messages is not None and columns.tools is not None:
        tools = tools_of(_required(values, columns.tools), columns.tools)
        responses = list(_with_tools(values, table))
    else:
        tools = ()
        found = _from_messages(values, table) if columns.messages is not None else _from_columns(values, table)
        responses = [_Response(*one) for one in found]
    for number, one in enumerate(responses, start=1):
        yield Example(
            id=f"{name}/{key}" + (f"/{number}" if len(responses) > 1 else ""),
            messages=tuple(one.messages),
            thinking=one.thinking,
            answer=one.answer,
            domain=_optional(values, columns.domain) or table.domain,
            language=_language(_optional(values, columns.language), table),
            origin=name,
            tools=tools,
            steps=one.steps,
            tool_calls=one.tool_calls,
        )


def split_response(text: str, *, answer_tags: bool) -> tuple[str | None, str]:
    """A written response as thinking (None where there are no think tags) and answer. A closing tag alone is taken for
    a response whose opening tag stood in the prompt. RowFault for tags that do not fit together."""
    opened, closed = _OPEN in text, "</think>" in text
    if not opened and not closed and not answer_tags:
        return None, text
    parser = ThinkParser(answer_tags=answer_tags)
    parser.feed(text if opened else _OPEN + text if closed else _OPEN + "</think>" + text)
    response = parser.close()
    if not response.well_formed or response.answer is None:
        raise RowFault(f"the response cannot be taken apart: {response.problem}")
    return (response.thinking if opened or closed else None), response.answer


Response = tuple[Sequence[Message], str | None, str]


class _Response(NamedTuple):
    """A response with the calls on the way to it, and its own."""

    messages: Sequence[Message]
    thinking: str | None
    answer: str
    steps: tuple[Step, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()


def _from_columns(values: Mapping[str, Any], table: Table) -> Iterator[Response]:
    columns = table.columns
    question, written = _required(values, columns.prompt), _required(values, columns.response)
    if is_conversation(unpacked(question)):
        turns = question_of(question, columns.prompt)
    else:
        turns = [Message(role="user", content=_text(question, columns.prompt))]
    thinking, answer = _reply(written, table)
    if columns.thinking is not None:
        if thinking is not None:
            raise RowFault(f"thinking stands both in column {columns.thinking!r} and in {columns.response!r}")
        thinking = _optional(values, columns.thinking)
    elif thinking is None and (key := next(unread(THINKING_KEYS, values, columns), None)) is not None:
        raise RowFault(
            f"the row has thinking in column {key!r}, which `columns.thinking` does not name, and none in "
            f"{columns.response!r}: name it there, or in `columns.ignored`"
        )
    yield asked(turns, values, columns), thinking, answer


def _reply(written: Any, table: Table) -> tuple[str | None, str]:
    """A response that is a text, or a conversation of one turn."""
    column = table.columns.response
    if not is_conversation(unpacked(written)):
        return split_response(_text(written, column), answer_tags=table.answer_tags)
    turns = turns_of(written, column)
    if len(turns) != 1 or turns[0].role != "assistant":
        raise RowFault(f"column {column!r} holds {len(turns)} turns; expected the assistant's response alone")
    if not turns[0].learnt:
        raise RowFault(f"column {column!r}: its response is marked as not to be learnt")
    return _turn_response(turns[0], table, None)


def _from_messages(values: Mapping[str, Any], table: Table) -> Iterator[Response]:
    column = str(table.columns.messages)
    turns = turns_of(_required(values, column), column)
    if turns[-1].role != "assistant":
        raise RowFault(f"column {column!r} ends with a turn of {turns[-1].role!r}; expected the assistant's response")
    replies = [place for place, turn in enumerate(turns) if turn.role == "assistant"]
    wanted = [place for place in (replies if table.turns == "every" else replies[-1:]) if turns[place].learnt]
    if not wanted:
        raise RowFault(f"column {column!r}: its response is marked as not to be learnt")
    for place in wanted:
        if place == 0 or turns[place - 1].role != "user":
            raise RowFault(f"column {column!r}: turn {place + 1} is a response to no user's turn")
        yield (
            asked([turn.message for turn in turns[:place]], values, table.columns),
            *_turn_response(turns[place], table, table.columns.thinking),
        )


def _with_tools(values: Mapping[str, Any], table: Table) -> Iterator[_Response]:
    """What follows each user's turn, calls and results included, or what follows the last."""
    column, key = str(table.columns.messages), table.columns.thinking
    turns = turns_of(_required(values, column), column, with_tools=True)
    if turns[-1].role != "assistant":
        raise RowFault(f"column {column!r} ends with a turn of {turns[-1].role!r}; expected the assistant's response")
    asks = [place for place, turn in enumerate(turns) if turn.role == "user"]
    ends = [*asks[1:], len(turns)]
    wanted = [
        (ask, end)
        for ask, end in zip(asks, ends, strict=True)
        if turns[end - 1].role == "assistant" and turns[end - 1].learnt and end - 1 > ask
    ]
    if table.turns == "last":
        wanted = [one for one in wanted if one[1] == len(turns)]
    if not wanted:
        raise RowFault(f"column {column!r}: its response is marked as not to be learnt, or answers no user's turn")
    for ask, end in wanted:
        steps, place = [], ask + 1
        while place < end - 1:
            turn, place = turns[place], place + 1
            if turn.role != "assistant" or not turn.tool_calls:
                raise RowFault(
                    f"column {column!r}: turn {place} stands between a question and its response and calls nothing"
                )
            results = []
            while place < end - 1 and turns[place].role == "tool":
                results.append(turns[place].message)
                place += 1
            if len(results) != len(turn.tool_calls):
                raise RowFault(
                    f"column {column!r}: a turn holds {len(turn.tool_calls)} calls, and {len(results)} results follow"
                )
            thinking, content = _turn_response(turn, table, key)
            steps.append(
                Step(
                    thinking=thinking,
                    content=content,
                    tool_calls=turn.tool_calls,
                    results=tuple(results),
                    learnt=turn.learnt,
                )
            )
        last = turns[end - 1]
        thinking, answer = _turn_response(last, table, key)
        messages = asked([turn.message for turn in turns[: ask + 1]], values, table.columns)
        yield _Response(messages, thinking, answer, tuple(steps), last.tool_calls)


def _turn_response(turn: Turn, table: Table, key: str | None) -> tuple[str | None, str]:
    others = [other for other in THINKING_KEYS if other != key and turn.keys.get(other)]
    if others:
        raise RowFault(f"the response has thinking under {others[0]!r}, which `columns.thinking` does not name")
    if turn.tool_calls:  # which stand where an answer would, and beside which there may be none
        thought, closes, answer = turn.content.rpartition("</think>")
        thinking, answer = (thought.replace(_OPEN, "").strip() if closes else None), answer.strip()
    else:
        thinking, answer = split_response(turn.content, answer_tags=table.answer_tags)
    elsewhere = [_text(turn.keys[key], key)] if key is not None and turn.keys.get(key) else []
    found = [one for one in (thinking, turn.thinking, *elsewhere) if one is not None]
    if len(found) > 1:
        raise RowFault(
            "thinking stands in two places of the response: " + " and ".join(repr(one[:30]) for one in found)
        )
    return (found[0] if found else None), answer


def _required(values: Mapping[str, Any], column: str) -> Any:
    value = cell(values, column)
    if value is ABSENT:
        raise RowFault(f"column {column!r} is missing")
    return value


def _optional(values: Mapping[str, Any], column: str | None) -> str | None:
    value = ABSENT if column is None else cell(values, column)
    return None if value is ABSENT or value in (None, "") else _text(value, str(column))


def _text(value: Any, column: str) -> str:
    if isinstance(value, list | tuple):
        raise RowFault(f"column {column!r} holds a list {value!r:.80}; expected text")
    return plain_text(value, column)


def _language(text: str | None, table: Table) -> Language:
    match text:
        case None:
            return table.language
        case "en" | "zh":
            return text
    raise RowFault(f"column {table.columns.language!r} holds {text!r}; expected en or zh")
