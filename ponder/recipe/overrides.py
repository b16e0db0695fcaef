"""Overrides of single values: `stages.zero.steps=5`, `stages.zero.problems.0.count=10`."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

from ponder.errors import RecipeError
from ponder.recipe.describe import component_at
from ponder.recipe.objective import Objective
from ponder.recipe.source import OVERRIDE, Source, Where, dotted, parse_value

__all__ = ["apply_overrides"]

_DOT = re.compile(r"\.(?!py:)")
"""What parts keys; `rewards.py:brevity` is one key, the name of a function of the user's own."""


def apply_overrides(source: Source, overrides: Sequence[str]) -> None:
    """Set each `dotted.key=value` in `source` in order. The value is YAML; a missing component on the way is begun."""
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise RecipeError(
                f"override {override!r} is not of the form dotted.key=value; write for instance stages.zero.steps=5"
            )
        name = f"{OVERRIDE}{override!r}"
        _set(source, tuple(_DOT.split(key.strip())), parse_value(text, name), name)


def _set(source: Source, path: tuple[str, ...], value: Any, name: str) -> None:
    node: Any = source.data
    where: Where = ()
    for part in path[:-1]:
        where = (*where, _step(source, node, where, part, name))
        child = node.get(part) if isinstance(node, dict) else node[where[-1]]
        if isinstance(child, str) and component_at(source, where) is Objective:
            child = {"preset": child}  # a preset's name alone is short for this
        if child is None:
            child = {}
        node[where[-1]] = child
        node = child
    where = (*where, _step(source, node, where, path[-1], name))
    node[where[-1]] = value
    for below in [place for place in source.origins if place[: len(where)] == where]:
        del source.origins[below]
    source.origins[where] = name


def _step(source: Source, node: Any, where: Where, part: str, name: str) -> str | int:
    """`part` as a key or index into `node`; raises RecipeError when it cannot be one."""
    here = dotted(where) or source.called
    if isinstance(node, dict):
        if where == ("stages",) and part not in node:
            near = difflib.get_close_matches(part, node, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise RecipeError(f"{name}: {source.file} has no stage {part!r}, only {', '.join(node)}{meant}")
        return part
    if isinstance(node, list):
        if not part.isdigit() or int(part) >= len(node):
            raise RecipeError(
                f"{name}: {here} is a list of {len(node)} (first index 0), and {part!r} is no index into it; "
                f"use {here}.0 to {here}.{len(node) - 1}, or give the whole list as {here}=[...]"
            )
        return int(part)
    raise RecipeError(
        f"{name}: {here} is the single value {node!r}, which has nothing named {part!r}; "
        f"leave out `.{part}` to replace the value"
    )
