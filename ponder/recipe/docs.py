"""The page docs/recipe.md, made from the recipe's classes: `python -m ponder.recipe.docs > docs/recipe.md`."""

import inspect
import json
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from ponder.recipe.base import Component
from ponder.recipe.compute import ComputePlan
from ponder.recipe.describe import alternatives, tag_of
from ponder.recipe.objective import PRESETS
from ponder.recipe.recipe import Recipe
from ponder.recipe.serve import ServeConfig
from ponder.recipe.sft import SFT_PRESETS

__all__ = ["components", "markdown"]

_HEAD = """\
# Recipes

A recipe is a YAML file. Every key it may have stands on this page, which is made from `ponder/recipe/` by `make docs`.
An unknown key is an error that names the nearest known one. Any value can be set on the command line by its dotted key:

    ponder run zero-micro stages.zero.steps=20 stages.zero.objective=dapo
    ponder run zero-micro stages.zero.problems.0.count=100 stages.zero.objective.kl_coefficient=0.01

`true` and `false` are the only booleans (`yes` and `on` are text), `1e-6` is a number, `null` or nothing is no value,
and a key that stands twice is an error. Anchors (`&a`, `*a`, `<<: *a`) work.
"""

_PRESETS_OF = {"Objective": PRESETS, "SftStage": SFT_PRESETS}
"""Presets by the component that has them."""

_PRESETS_HEAD = """
What each preset sets; a key given in the recipe goes before it.

| preset | sets |
|---|---|
"""

_PLAIN: dict[object, str] = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def components() -> list[type[Component]]:
    """Every component class, outer before inner, alternatives in their order."""
    found: list[type[Component]] = []
    waiting: list[type[Component]] = [Recipe, ServeConfig, ComputePlan]
    while waiting:
        component = waiting.pop(0)
        if component not in found:
            found.append(component)
            inner = (c for f in component.model_fields.values() for c in _components_in(f.annotation))
            waiting = [*inner, *waiting] if component is Recipe else [*waiting, *inner]
    return found


def markdown() -> str:
    """The whole page."""
    parts = [_HEAD]
    for component in components():
        parts.append(f"\n## {_title(component)}\n\n{inspect.getdoc(component)}\n\n")
        parts.append("| key | value | default | meaning |\n|---|---|---|---|\n")
        parts += [f"| `{name}` | {' | '.join(_cells(field))} |\n" for name, field in component.model_fields.items()]
        if component.__name__ in _PRESETS_OF:
            presets = _PRESETS_OF[component.__name__]
            parts.append(_PRESETS_HEAD)
            parts += [f"| `{name}` | {_settings(values)} |\n" for name, values in presets.items()]
    return "".join(parts)


def _components_in(annotation: object) -> Iterator[type[Component]]:
    for one in alternatives(annotation):
        if isinstance(one, type) and issubclass(one, Component):
            yield one
        else:
            for argument in get_args(one):
                yield from _components_in(argument)


def _title(component: type[Component]) -> str:
    tag = tag_of(component)
    if tag is None:
        return component.__name__
    return f"{component.__name__} (`{tag[0]}: {tag[1]}`)"


def _cells(field: FieldInfo) -> tuple[str, str, str]:
    meaning = " ".join((field.description or "").split())
    limits = [text for one in field.metadata if (text := _limit(one))]
    kind = ", ".join([_kind(field.annotation), *limits])
    return kind, _default(field), meaning.replace("|", "\\|")


def _kind(annotation: Any) -> str:
    words = []
    for one in alternatives(annotation):
        origin, arguments = get_origin(one), get_args(one)
        if one is type(None):
            words.append("null")
        elif isinstance(one, type) and issubclass(one, Component):
            anchor = "".join(c for c in _title(one).lower() if c.isalnum() or c in " _-").replace(" ", "-")
            words.append(f"[{one.__name__}](#{anchor})")
        elif origin is Literal:
            words += [f"`{value}`" for value in arguments]
        elif origin is tuple and arguments[-1] is ...:
            words.append(f"list of {_kind(arguments[0])}")
        elif origin is tuple:
            words.append(f"[{', '.join(_kind(a) for a in arguments)}]")
        elif origin is dict:
            words.append(f"{{name: {_kind(arguments[1])}}}")
        else:
            words.append(_PLAIN.get(one, "anything"))
    return " or ".join(words)


def _limit(constraint: object) -> str:
    text = repr(constraint)
    name, _, value = text.rstrip(")").partition("(")
    _, _, number = value.partition("=")
    signs = {"Ge": "at least", "Gt": "above", "Le": "at most", "Lt": "below", "MinLen": "length at least"}
    return f"{signs[name]} {number}" if name in signs else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, Component):
        changed = {name: getattr(value, name) for name in sorted(value.model_fields_set)}
        return _settings(changed) or "its defaults"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"`{name}: {json.dumps(value)}`" for name, value in values.items())


if __name__ == "__main__":
    print(markdown(), end="")
