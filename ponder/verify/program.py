"""Which part of an answer is the program, and which names it is expected to define."""

import ast
import builtins
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ponder.records import CodeGold

__all__ = ["Program", "expected_names", "find_entry", "find_program"]

_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([^\s`]*)[^\n]*$", re.MULTILINE)
_COMMENTS = re.compile(r"\s*(?:(?:#|//)[^\n]*(?:\n\s*|\Z))*")
_VERSION = re.compile(r"[\d.]+$")
_LANGUAGES = {
    "python": frozenset({"", "python", "python3", "py", "py3"}),
    "cpp": frozenset({"", "cpp", "c++", "cc", "cxx", "c"}),
    "javascript": frozenset({"", "javascript", "js", "node", "mjs"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Example: Program(source="def f(x):\\n    return x", rule="last code block"). Where `source` is None, `rule` says
    why there is no program."""

    source: str | None
    rule: str


def find_program(text: str, gold: CodeGold) -> Program:
    """The program in `text`: inside the last answer tag if there is one, the last code block of the gold's language
    (that holds more than comments, if one does, and defines what is tested, if one does; else that names the language,
    if one does), or else the whole text."""
    rule = ""
    text = text.replace("\ufeff", "")
    if "</think>" in text:
        text = text.rpartition("</think>")[2]
    tagged = _tagged(text)
    if tagged is not None:
        text, rule = tagged, "answer tag, "
    languages = _LANGUAGES[gold.program_language]
    known = [(name, body) for name, body in _blocks(text) if name in languages or _VERSION.sub("", name) in languages]
    known = [(name, body) for name, body in known if not _COMMENTS.fullmatch(body)] or known
    if known:
        # A block that names no language is as likely sample output.
        blocks = [body for language, body in known if language] or [body for _, body in known]
        tested = frozenset([gold.entry_point]) if gold.entry_point else _tested(gold.form, gold.tests)
        source, rule = ([b for _, b in known if _defines(b, tested)] or blocks)[-1], rule + "last code block"
    elif _FENCE.search(text):
        return Program(source=None, rule=f"no program: no code block is {gold.program_language}")
    else:
        source, rule = text, rule + "whole text"
    if not source.strip():
        return Program(source=None, rule="no program: nothing stands where it should")
    return Program(source=source, rule=rule)


def _tagged(text: str) -> str | None:
    """What stands in the last answer tag that is closed."""
    inside: str | None = None
    start: int | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            start = tag.end() if start is None else start
        elif start is not None:
            inside, start = text[start : tag.start()], None
    return inside


def _defines(source: str, names: frozenset[str]) -> bool:
    one = "|".join(map(re.escape, sorted(names)))
    pattern = rf"^(?:(?:async[ ]+)?def|class)[ ]+(?:{one})\b|^(?:{one})[ ]*="
    return bool(names) and re.search(pattern, source, re.MULTILINE) is not None


@lru_cache(maxsize=1024)
def _tested(form: str, tests: tuple[str, ...]) -> frozenset[str]:
    """The names that the tests take from the program: what they import from it, or call and neither define nor have."""
    if form == "stdio":
        return frozenset()
    try:
        nodes = [node for test in tests for node in ast.walk(ast.parse(test))]
    except (SyntaxError, ValueError):
        return frozenset()
    if form == "unittest":
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "solution"]
        return frozenset(alias.name for node in imports for alias in node.names)
    called = {name for node in nodes if isinstance(node, ast.expr) and (name := _called(node)) is not None}
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return frozenset(called - defined - builtins.__dict__.keys())


def _blocks(text: str) -> list[tuple[str, str]]:
    """Language and body of each fenced block; an unclosed last block reaches to the end."""
    blocks: list[tuple[str, str]] = []
    fence, language, start, margin = "", "", 0, ""
    for mark in _FENCE.finditer(text):
        if not fence:
            fence, language, start = mark[1], mark[2].lower(), mark.end() + 1
            margin = text[mark.start() : mark.start(1)]
        elif mark[1].startswith(fence) and not mark[2]:
            blocks.append((language, _moved(text[start : mark.start()], margin)))
            fence = ""
    if fence:
        blocks.append((language, _moved(text[start:], margin)))
    return blocks


def _moved(body: str, margin: str) -> str:
    """A block that stands in a list item, without the margin that it has there."""
    lines = body.splitlines(keepends=True)
    inside = margin and all(line.startswith(margin) or not line.strip() for line in lines)
    return "".join(line.removeprefix(margin) for line in lines) if inside else body


def find_entry(gold: CodeGold) -> str | None:
    """The function the tests check: named by the gold, or the last one that its prefix begins to define, or a built-in
    that is all the tests call (MBPP has a `sum` of its own)."""
    if gold.entry_point is not None:
        return gold.entry_point
    names = re.findall(r"^def (\w+)", gold.prefix, re.MULTILINE)
    return names[-1] if names else _shadowed(gold.tests)


@lru_cache(maxsize=1024)
def _shadowed(tests: tuple[str, ...]) -> str | None:
    try:
        asserts = [s.test for t in tests for s in ast.parse(t).body if isinstance(s, ast.Assert)]
    except (SyntaxError, ValueError):
        return None
    tested = {_called(expression.left if isinstance(expression, ast.Compare) else expression) for expression in asserts}
    used = {node.id for expression in asserts for node in ast.walk(expression) if isinstance(node, ast.Name)}
    return next(iter(tested)) if len(tested) == 1 and used <= builtins.__dict__.keys() else None


def _called(expression: ast.expr) -> str | None:
    match expression:
        case ast.Call(func=ast.Name(id=name)):
            return name
        case _:
            return None


def expected_names(gold: CodeGold) -> tuple[list[str], dict[str, list[str]]]:
    """Names that a right program defines and the prefix does not, and which of them are classes, with the methods they
    have there, by the gold's own program."""
    names, classes = _defined(gold.answer or "")
    return sorted(names - _defined(gold.prefix)[0]), {name: sorted(methods) for name, methods in classes.items()}


_ORDER = frozenset({"__lt__", "__le__", "__gt__", "__ge__"})


@lru_cache(maxsize=1024)
def _defined(source: str) -> tuple[frozenset[str], Mapping[str, frozenset[str]]]:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return frozenset(), {}
    classes: dict[str, frozenset[str]] = {}
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            classes[statement.name] = _methods(statement, classes)
    functions = {s.name for s in body if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef)}
    targets = (target for s in body if isinstance(s, ast.Assign) for target in s.targets)
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(classes.keys() | functions | names), classes


def _methods(statement: ast.ClassDef, known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Methods that the class has itself, by an assignment, by a decorator that orders, or from a class before it."""
    methods = {s.name for s in statement.body if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef)}
    targets = (target for s in statement.body if isinstance(s, ast.Assign) for target in s.targets)
    methods |= {target.id for target in targets if isinstance(target, ast.Name)}
    for base in statement.bases:
        if isinstance(base, ast.Name):
            methods |= known.get(base.id, frozenset())
    if any("order" in ast.unparse(decorator) for decorator in statement.decorator_list):
        methods |= _ORDER
    if "__iter__" in methods or "__getitem__" in methods:
        methods.add("__contains__")
    return frozenset(methods)
