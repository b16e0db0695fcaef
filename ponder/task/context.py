"""What a row holds beside its question: read where the source names it, and where it does not, the row is left out
instead of being taken for another."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ponder.recipe.context import ContextColumns
from ponder.records import Message
from ponder.task.cell import ABSENT, cell
from ponder.task.fault import RowFault
from ponder.task.gold import plain_text
from ponder.task.turns import is_empty, says

__all__ = ["asked", "beside", "check_learnt", "unread"]

_MORE = ("input", "context", "passage", "documents", "system", "system_prompt", "history", "chat_template_kwargs")
_USED = ("tools", "functions", "tool_calls", "function_call", "images", "image", "videos", "video", "audios", "audio")
"""Columns without which what is asked is something else: more of it, and what it uses."""


def asked(turns: Sequence[Message], values: Mapping[str, Any], columns: ContextColumns) -> list[Message]:
    """The turns with what the row holds beside them; RowFault where the source does not read something of that."""
    for name in unread((*_MORE, *_USED), values, columns):
        read = "name it in `columns.context` or `columns.system` to read it, or in `columns.ignored`"
        if name in _USED:
            read = "it is not read (tools are by `columns.tools`, in examples with `messages`); name it in "
            read += "`columns.ignored` where the row is meant without it"
        raise RowFault(
            f"column {name!r} holds {values[name]!r:.80}, without which what is asked is something else: {read}"
        )
    *before, last = turns
    more = [plain_text(value, name) for name in columns.context if not is_empty(value := _present(values, name))]
    found = [*before, Message(role=last.role, content="\n\n".join((last.content, *more)))]
    if columns.system is None or is_empty(system := _present(values, columns.system)):
        return found
    if found[0].role == "system":
        raise RowFault(f"a system turn stands both in column {columns.system!r} and in the conversation")
    return [Message(role="system", content=plain_text(system, columns.system)), *found]


def unread(names: Iterable[str], values: Mapping[str, Any], columns: ContextColumns) -> Iterator[str]:
    """Those of the columns that hold something and that the source neither reads nor ignores."""
    read = frozenset(_read(columns))
    return (name for name in names if name not in read and not is_empty(values.get(name)))


def check_learnt(values: Mapping[str, Any], columns: ContextColumns) -> None:
    """RowFault for a row that says of itself that it is not to be learnt."""
    read = frozenset(_read(columns))
    for name in ("weight", "train"):
        value = values.get(name)
        if name in read or is_empty(value):
            continue
        learnt = says(value)
        if learnt is None:
            raise RowFault(
                f"column {name!r} holds {value!r:.40}; expected 0 or 1, true or false, which says whether the row is "
                f"learnt. Name it in `columns.ignored` where it says something else"
            )
        if not learnt:
            raise RowFault(f"its response is marked as not to be learnt ({name!r}: {value!r:.40})")


def beside(columns: ContextColumns) -> Iterator[tuple[str, str]]:
    """The columns beside the question that the source reads, each with the field that names it."""
    yield from (("context", column) for column in columns.context)
    if columns.system is not None:
        yield "system", columns.system


def _present(values: Mapping[str, Any], column: str) -> Any:
    value = cell(values, column)
    if value is ABSENT:
        raise RowFault(f"column {column!r} is missing")
    return value


def _read(columns: ContextColumns) -> Iterator[str]:
    """The columns that a source names, and the objects it reaches into."""
    for named in columns.model_dump().values():
        for column in (named,) if isinstance(named, str) else named or ():
            yield column
            yield column.partition(".")[0]
