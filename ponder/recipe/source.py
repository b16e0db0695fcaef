"""YAML text to plain values, remembering on which line each value stands.

Reads the core schema of YAML 1.2, since that of 1.1 surprises: here only `true` and `false` are booleans (`yes`, `on`
and `no` stay words), `1e-6` is a number, `010` is ten and `1:30` is text. Anchors, aliases and `<<` work; a key given
twice is an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ponder.errors import RecipeError
from ponder.recipe.base import Component

__all__ = ["OVERRIDE", "Source", "Where", "dotted", "parse_value", "read_source"]

OVERRIDE = "override "
"""How the origin of a value begins that does not stand in the file."""
Where = tuple[str | int, ...]
"""The way from the top of a recipe to a value: keys and list indices."""

_MOST_VALUES, _DEEPEST, _MOST_DIGITS = 100_000, 50, 1_000
"""More no recipe has; aliases of aliases would fill all memory."""
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_WHOLE = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def dotted(where: Where) -> str:
    """`("stages", "zero", 0)` as `stages.zero.0`."""
    return ".".join(str(part) for part in where)


@dataclass(slots=True)
class Source:
    """The values of a recipe file and where they came from; `form` and `called` are for files that are no recipes.

    `origins` maps a value's place to `file:line`, or to the override that set it. Example:
    Source(data={"name": "x"}, origins={("name",): "recipes/x.yaml:1"}, file="recipes/x.yaml").
    """

    data: dict[str, Any]
    origins: dict[Where, str] = field(default_factory=dict)
    file: str = "recipe"
    form: type[Component] | None = None
    called: str = "the recipe"

    def origin(self, where: Where) -> str:
        """Origin of the value, or of the nearest value around it that has one."""
        for end in range(len(where), -1, -1):
            if where[:end] in self.origins:
                return self.origins[where[:end]]
        return self.file

    def overridden(self, where: Where) -> Iterator[tuple[Where, str]]:
        """The places within `where` that overrides have set, each with its override, in their order."""
        for place, origin in self.origins.items():
            if place[: len(where)] == where and origin.startswith(OVERRIDE):
                yield place, origin


def read_source(path: Path, form: type[Component] | None = None, called: str = "the recipe") -> Source:
    """The values of a recipe file, or of one of another `form`; raises RecipeError when it cannot be read, or is no
    YAML mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if form is not None:
            raise RecipeError(f"there is no file {str(path)!r} with {called}") from None
        raise RecipeError(f"there is no recipe at {str(path)!r}: {_nearby(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{called} {str(path)!r} cannot be read ({error}): give a YAML file in UTF-8") from None
    source = Source(data={}, file=str(path), form=form, called=called)
    top = _compose(text, str(path))
    if not isinstance(top, yaml.MappingNode):
        expected = "a recipe is a YAML mapping with `name` and `stages`" if form is None else f"{called}: expected keys"
        raise RecipeError(f"{path}: {expected}, got {_kind_of(top)}")
    source.data = _Builder(source).value(top, ())
    return source


def parse_value(text: str, name: str) -> Any:
    """One YAML value given as text; `name` stands for the file in errors. RecipeError for what YAML takes as none and
    is not empty."""
    node = _compose(text, name)
    if node is None and text.strip():
        raise RecipeError(f"{name}: {text!r} begins a comment in YAML, so that nothing is left: write '\"{text}\"'")
    return None if node is None else _Builder(Source(data={}, file=name)).value(node, ())


def _nearby(path: Path) -> str:
    folder = path.parent
    found = sorted(p.name for p in folder.glob("*.yaml")) if folder.is_dir() else []
    if not folder.is_dir():
        return f"{str(folder)!r} is no folder; the path starts at the working directory {str(Path.cwd())!r}"
    holds = f"holds {', '.join(found)}" if found else "holds no .yaml file"
    return f"{str(folder)!r} {holds}; name one that is there, or one that `ponder recipes` lists"


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
        return node
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        reason = " ".join(part for part in (error.problem, error.context) if part)
        raise RecipeError(
            f"{name}{line}: not valid YAML: {reason}; check indentation (spaces, no tabs), quotes and brackets there"
        ) from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{name}: not valid YAML: {error}") from None
    except RecursionError:
        raise RecipeError(
            f"{name}: lists or mappings stand hundreds deep in each other; no recipe needs that"
        ) from None


def _kind_of(node: yaml.Node | None) -> str:
    if node is None:
        return "an empty file"
    return "a list" if isinstance(node, yaml.SequenceNode) else f"the single value {node.value!r}"


class _Builder:
    """Builds values from nodes. An alias is built anew each time, so that overriding one use leaves the others."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.open: list[yaml.Node] = []
        self.built = 0

    def value(self, node: yaml.Node, where: Where) -> Any:
        if any(node is outer for outer in self.open):
            raise RecipeError(f"{self.line(node)}: {dotted(where)} contains itself through an alias; write it out")
        self.built += 1
        if self.built > _MOST_VALUES or len(self.open) > _DEEPEST:
            raise RecipeError(
                f"{self.line(node)}: the recipe holds more than {_MOST_VALUES:,} values, its aliases written out, or "
                f"stands {_DEEPEST} deep in itself; no recipe needs that"
            )
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, where)
            if isinstance(node, yaml.SequenceNode):
                return [self.item(child, (*where, index)) for index, child in enumerate(node.value)]
            assert isinstance(node, yaml.ScalarNode), node
            return self.scalar(node)
        finally:
            self.open.pop()

    def item(self, node: yaml.Node, where: Where) -> Any:
        self.source.origins[where] = self.line(node)
        return self.value(node, where)

    def mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for merged in self.merges(node):
            result = {**self.value(merged, where), **result}
        lines: dict[str, str] = {}
        for key, child in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise RecipeError(f"{self.line(key)}: a key in {dotted(where) or 'the recipe'} is a list or a mapping")
            name = key.value
            if name in lines:
                raise RecipeError(
                    f"{self.line(key)}: key {name!r} stands twice in {dotted(where) or 'the recipe'}, first at "
                    f"{lines[name]}; remove one of them"
                )
            lines[name] = self.line(key)
            self.source.origins[(*where, name)] = self.line(key)
            result[name] = self.value(child, (*where, name))
        return result

    def merges(self, node: yaml.MappingNode) -> Iterator[yaml.MappingNode]:
        for key, child in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for one in child.value if isinstance(child, yaml.SequenceNode) else [child]:
                    if not isinstance(one, yaml.MappingNode):
                        raise RecipeError(f"{self.line(child)}: `<<` takes a mapping or a list of mappings")
                    yield one

    def scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        if node.style is not None:  # quoted, or a block of text
            return text
        if _NULL.fullmatch(text):
            return None
        if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
            return bool(_TRUE.fullmatch(text))
        if _WHOLE.fullmatch(text):
            if len(text) > _MOST_DIGITS:
                raise RecipeError(f"{self.line(node)}: a number of {len(text):,} digits; put quotes around a text")
            return int(text.replace("_", ""))
        if _FLOAT.fullmatch(text):
            return float(text.replace("_", ""))
        return text

    def line(self, node: yaml.Node) -> str:
        return f"{self.source.file}:{node.start_mark.line + 1}"
