"""The value of a column in a row."""

from collections.abc import Mapping
from typing import Any

from ponder.task.gold import unpacked

__all__ = ["ABSENT", "cell"]

ABSENT = object()
"""Stands for the value of a column that a row does not have."""


def cell(values: Mapping[str, Any], column: str) -> Any:
    """The value of a column; `a.b` also reaches into objects."""
    if column in values:
        return values[column]
    head, dot, rest = column.partition(".")
    inner = unpacked(values.get(head)) if dot else None
    return cell(inner, rest) if dot and isinstance(inner, Mapping) else ABSENT
