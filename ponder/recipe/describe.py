"""What may stand at a place of a recipe: the component class, its fields and their documentation."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ponder.recipe.base import Component
from ponder.recipe.recipe import Recipe
from ponder.recipe.source import Source, Where

__all__ = ["alternatives", "component_at", "tag_of"]


def component_at(source: Source, where: Where) -> type[Component] | None:
    """The component that stands at `where`, or None where no component stands or its tag is unknown."""
    kind: object = source.form or Recipe
    data: object = source.data
    for part in where:
        kind = _inside(_choose(kind, data), part)
        data = _child(data, part)
    chosen = _choose(kind, data)
    return chosen if isinstance(chosen, type) and issubclass(chosen, Component) else None


def alternatives(annotation: object) -> Iterator[object]:
    """The members of a possibly annotated union; anything else is its own only member."""
    if get_origin(annotation) is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from alternatives(member)
    else:
        yield annotation


def tag_of(component: type[Component]) -> tuple[str, str] | None:
    """Name and value of the field that tells this alternative from its siblings, such as ("kind", "rl")."""
    for name in ("kind", "source"):
        if name in component.model_fields:
            annotation = component.model_fields[name].annotation
            if get_origin(annotation) is Literal:
                return name, get_args(annotation)[0]
    return None


def _choose(annotation: object, data: object) -> object:
    """The member of a union that `data` is meant as: by its tag, else the first component or container."""
    members = [m for m in alternatives(annotation) if m is not type(None)]
    if len(members) > 1 and isinstance(data, dict):
        for member in members:
            if isinstance(member, type) and issubclass(member, Component):
                tag = tag_of(member)
                if tag is not None and data.get(tag[0]) == tag[1]:
                    return member
        return None
    return members[0] if members else None


def _inside(kind: object, part: str | int) -> object:
    """The annotation of what stands under `part`."""
    if isinstance(kind, type) and issubclass(kind, Component):
        described = kind.model_fields.get(str(part))
        return None if described is None else described.annotation
    arguments: tuple[Any, ...] = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    if get_origin(kind) is tuple:
        return arguments[0]
    return None


def _child(data: object, part: str | int) -> object:
    if isinstance(data, dict):
        return data.get(part)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return None
