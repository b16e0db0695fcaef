"""Rows of a table become preference pairs and labelled responses, by the source's columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from ponder.errors import DataError
from ponder.recipe.reward_model import FilePreferences, HubPreferences
from ponder.records import LabelledResponse, Language, Message, PreferencePair
from ponder.task.cell import ABSENT, cell
from ponder.task.context import asked, beside, unread
from ponder.task.dialogue import split_dialogue
from ponder.task.fault import RowFault, known_names
from ponder.task.gold import plain_text, unpacked
from ponder.task.row import conversation
from ponder.task.table import Row
from ponder.task.turns import THINKING_KEYS, is_conversation, is_empty, turns_of

__all__ = ["check_columns", "label_of", "pair_of"]

Table = FilePreferences | HubPreferences
Values = Mapping[str, Any]
_SAFE = {"true": True, "1": True, "safe": True, "false": False, "0": False, "unsafe": False}


def check_columns(rows: Sequence[Row], table: Table, name: str, *, pairs: bool) -> None:
    """DataError if no row has a column that the source names or needs."""
    readable = [row.values for row in rows if row.values is not None]
    columns = table.columns
    needed = ["chosen", "rejected"] if pairs else ["response", "safe"]
    if table.form == "answers":
        needed.append("messages" if columns.messages is not None else "prompt")
    named = [*((field, str(columns.model_dump()[field])) for field in needed), *beside(columns)]
    for field, column in named if readable else ():
        if all(cell(values, column) is ABSENT for values in readable):
            there = dict.fromkeys(key for values in readable for key in values if isinstance(key, str))
            hint = " Where whole dialogues stand in one column, set `form: dialogues`." if field == "prompt" else ""
            raise DataError(
                f"Source {name!r} has no column {column!r}, which `columns.{field}` names. "
                f"{known_names(column, there)}. Set `columns.{field}` to one of them.{hint}"
            )


def pair_of(number: int, values: Values, table: Table, name: str) -> PreferencePair:
    """The pair of one row; RowFault where it is none. Ids are `name/row`, or `name/` and the id column."""
    columns = table.columns
    prompt, chosen = _reply(values, columns.chosen, table)
    other, rejected = _reply(values, columns.rejected, table)
    if prompt != other:
        raise RowFault("the two dialogues differ before their last turn, so they answer different questions")
    if chosen == rejected:
        raise RowFault("chosen and rejected are the same text")
    return PreferencePair(
        id=_id(number, values, table, name),
        messages=prompt,
        chosen=chosen,
        rejected=rejected,
        domain=_optional(values, columns.domain) or table.domain or "general",
        language=_language(values, table),
    )


def label_of(number: int, values: Values, table: Table, name: str) -> LabelledResponse:
    """The labelled response of one row, as `pair_of`."""
    prompt, response = _reply(values, table.columns.response, table, whole=True)
    if (key := next(unread(THINKING_KEYS, values, table.columns), None)) is not None:
        raise RowFault(
            f"the row has thinking in column {key!r}, and its label is one of the whole response: put it into "
            f"{table.columns.response!r} between <think> and </think>, or name the column in `columns.ignored`"
        )
    label = _present(values, table.columns.safe)
    safe = _SAFE.get(str(label).strip().lower())
    if safe is None:
        raise RowFault(f"column {table.columns.safe!r} holds {label!r}; expected true or false, 1 or 0, safe or unsafe")
    return LabelledResponse(
        id=_id(number, values, table, name),
        messages=prompt,
        response=response,
        safe=safe,
        domain=_optional(values, table.columns.domain) or table.domain or "safety",
        language=_language(values, table),
    )


def _reply(values: Values, column: str, table: Table, whole: bool = False) -> tuple[tuple[Message, ...], str]:
    """What was asked, and the reply in `column`; the `whole` reply has the thinking that a turn keeps apart."""
    found = _present(values, column)
    if is_conversation(unpacked(found)):
        return _last_turn(found, column, values, table, whole)
    if not isinstance(found, str):
        raise RowFault(f"column {column!r} holds {found!r:.80}; expected text")
    if table.form == "dialogues":
        told, reply = split_dialogue(found, column)
        prompt = tuple(asked(told, values, table.columns))
    else:
        prompt, reply = tuple(conversation(values, table.columns)), found
    return prompt, plain_text(reply, column)


def _last_turn(value: Any, column: str, values: Values, table: Table, whole: bool) -> tuple[tuple[Message, ...], str]:
    """The reply at the end of a conversation. What was asked stands before it, in the prompt's column, or in both."""
    *before, last = turns_of(value, column)
    if last.role != "assistant":
        raise RowFault(f"column {column!r} ends with a turn of the {last.role}; expected the assistant's reply")
    told = tuple(turn.message for turn in before)
    said = last.content
    thoughts = [last.thinking, *(str(last.keys[key]) for key in THINKING_KEYS if not is_empty(last.keys.get(key)))]
    if whole and (thinking := next((one for one in thoughts if one), None)) is not None:
        said = f"<think>{thinking}</think> {said}"
    if table.form == "answers":
        prompt = tuple(conversation(values, table.columns))
        if told and told != prompt[-len(told) :]:
            raise RowFault(f"column {column!r} answers {told[-1].content[:60]!r}, which is not what the prompt asks")
        return prompt, said
    if not told or told[-1].role != "user":
        raise RowFault(f"column {column!r} has no user turn that its last one answers")
    return tuple(asked(told, values, table.columns)), said


def _present(values: Values, column: str) -> Any:
    value = cell(values, column)
    if value is ABSENT:
        raise RowFault(f"column {column!r} is missing")
    return value


def _optional(values: Values, column: str | None) -> str | None:
    value = ABSENT if column is None else cell(values, column)
    return None if value in (ABSENT, None, "") else str(value)


def _id(number: int, values: Values, table: Table, name: str) -> str:
    return f"{name}/{_optional(values, table.columns.id) or number}"


def _language(values: Values, table: Table) -> Language:
    match _optional(values, table.columns.language):
        case None:
            return table.language
        case "en" | "zh" as language:
            return "en" if language == "en" else "zh"
        case other:
            raise RowFault(f"column {table.columns.language!r} holds {other!r}; expected en or zh")
