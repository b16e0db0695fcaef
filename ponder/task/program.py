"""Columns of a `code` problem become a CodeGold, in the forms that sets of such problems come in.

asserts (MBPP) | check(candidate) with the question's beginning (HumanEval) | a file that imports `solution`
inputs and outputs (APPS, TACO, CodeContests) | cases with `testtype` (LiveCodeBench) | text that follows (MultiPL-E)
"""

import base64
import io
import json
import pickle
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from ponder.recipe.problems import FileProblems, HubProblems, ProblemColumns
from ponder.records import CodeGold
from ponder.task.fault import RowFault

__all__ = ["code_gold", "plain_code", "tests_columns"]

_MAX_PACKED_BYTES = 256 << 20
"""Largest text that packed tests may unpack to."""
_PRELUDE = (
    "import bisect, collections, copy, datetime, functools, heapq, itertools, json, math, operator, random, re\n"
    "import string, sys\nfrom bisect import *\nfrom collections import *\nfrom copy import *\n"
    "from functools import *\nfrom heapq import *\nfrom itertools import *\nfrom math import *\n"
    "from typing import *\nfrom builtins import pow\nsys.setrecursionlimit(50000)\n"
)
"""What programs of such sets take for granted, since the sites they come from, and their own judge, have it."""


def tests_columns(columns: ProblemColumns) -> tuple[str, ...]:
    """The columns that hold tests."""
    return (columns.tests,) if isinstance(columns.tests, str) else columns.tests


def plain_code(value: Any) -> str:
    """A cell with code, as it stands; a list (the tests of MBPP) as its lines."""
    return (
        "\n".join(map(str, value) if isinstance(value, list | tuple) else [str(value)]).replace("\r\n", "\n").rstrip()
    )


def code_gold(cells: Any, table: FileProblems | HubProblems) -> CodeGold:
    """The gold of a row. RowFault where its tests are of no known form."""
    columns = table.columns
    tests = [_unpacked(cells(name), name) for name in tests_columns(columns)]
    shared: dict[str, Any] = {
        "answer": _program(cells, columns.answer),
        "program_language": table.program_language,
        "comparison": table.comparison,
        "seconds": _seconds(cells, table),
    }
    cases = _cases(tests, ", ".join(map(repr, tests_columns(columns))))
    if cases is not None:
        inputs, outputs, called = cases
        if called is None and columns.entry_point is not None and _is_functional(tests):
            called = _name(cells(columns.entry_point), columns.entry_point)
        if called is None:
            typed = table.program_language == "python" and any(
                _is_mappings(one) and "testtype" in one[0] for one in tests
            )
            return CodeGold(
                tests=_texts(inputs, "inputs"),
                outputs=_texts(outputs, "outputs"),
                form="stdio",
                prefix=_PRELUDE if typed else "",
                **shared,
            )
        starter = "" if columns.starter is None else plain_code(cells(columns.starter))
        return _functional(inputs, outputs, called, starter, shared)
    parts = tuple(part for one, name in zip(tests, tests_columns(columns), strict=True) for part in _parts(one, name))
    if not any(part.strip() for part in parts):
        raise RowFault(f"column {tests_columns(columns)[0]!r} is empty")
    if table.program_language != "python":
        return _appended(parts, cells, columns, shared)
    if len(parts) == 1 and re.search(r"^\s*(?:from|import)\s+solution\b", parts[0], re.MULTILINE):
        return CodeGold(tests=parts, form="unittest", **shared)
    if columns.entry_point is None:
        return CodeGold(tests=parts, **shared)
    entry_point = _name(cells(columns.entry_point), columns.entry_point)
    code = "\n".join(parts)
    if re.search(r"^(?:async )?def check\(", code, re.MULTILINE):
        code += f"\ncheck({entry_point})\n"
    prefix = _beginning(str(cells(columns.prompt)), entry_point)
    return CodeGold(tests=(code,), prefix=prefix, entry_point=entry_point, **shared)


def _beginning(question: str, entry_point: str) -> str:
    """The question, where it is the beginning of a program (HumanEval) and not words about one."""
    if re.search(rf"^(?:async )?(?:def|class) {entry_point}\b", question, re.MULTILINE) is None:
        return ""
    for whole in (question, f"{question.rstrip()}\n    pass\n"):
        try:
            compile(whole, "<question>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue
        return question
    return ""


def _seconds(cells: Any, table: FileProblems | HubProblems) -> float | None:
    name = table.columns.time_limit
    value = None if name is None else cells(name)
    if value is None:
        return table.time_limit
    if isinstance(value, Mapping) and value.keys() == {"seconds", "nanos"}:  # CodeContests
        value = int(value["seconds"]) + int(value["nanos"]) / 1e9
    found = re.fullmatch(r"\s*([0-9.]+)\s*(s|sec|seconds?)?\s*", str(value))
    seconds = float(found[1]) if found is not None and found[1].count(".") < 2 and found[1] != "." else 0.0
    if not 0 < seconds <= 60:
        raise RowFault(
            f"column {name!r} holds {value!r:.80}; expected a time limit of more than 0 and at most 60 seconds"
        )
    return seconds


Cases = tuple[list[Any], list[Any], str | None]
"""Inputs, outputs and the name of the function to call, where there is one."""


def _cases(tests: Sequence[Any], where: str) -> Cases | None:
    """Tests that are data: inputs with outputs. None where they are code."""
    inputs: list[Any] = []
    outputs: list[Any] = []
    called: str | None = None
    data = [one for one in tests if isinstance(one, Mapping) or _is_mappings(one)]
    if not data:
        return None
    if len(data) != len([one for one in tests if one not in (None, "", [])]):
        raise RowFault(f"{where} hold tests of different forms")
    for one in data:
        if isinstance(one, Mapping):
            if {"input", "output"} <= one.keys():  # CodeContests
                one = {"inputs": one["input"], "outputs": one["output"]}
            if not {"inputs", "outputs"} <= one.keys():
                raise RowFault(f"{where} holds an object with {', '.join(map(str, one))}; expected inputs and outputs")
            inputs += _list(one["inputs"], "inputs")
            outputs += _list(one["outputs"], "outputs")
            if one.get("fn_name"):
                called = str(one["fn_name"])
            continue
        kinds = {str(case.get("testtype", "stdin")) for case in one}
        if kinds - {"stdin", "functional"} or len(kinds) > 1:
            raise RowFault(
                f"{where} has cases of the type {', '.join(sorted(kinds))}; expected all stdin or functional"
            )
        for case in one:
            if not {"input", "output"} <= case.keys():
                raise RowFault(f"{where} has a case with {', '.join(map(str, case))}; expected input and output")
            inputs.append(case["input"])
            outputs.append(case["output"])
            called = str(case["fn_name"]) if case.get("fn_name") else called
    if len(inputs) != len(outputs):
        raise RowFault(f"{where} holds {len(inputs)} inputs and {len(outputs)} outputs")
    return inputs, outputs, called


def _is_functional(tests: Sequence[Any]) -> bool:
    return any(_is_mappings(one) and one[0].get("testtype") == "functional" for one in tests)


def _functional(
    inputs: Sequence[Any], outputs: Sequence[Any], called: str, starter: str, shared: Mapping[str, Any]
) -> CodeGold:
    """Calls of a function, or of a method of `Solution`, with arguments as JSON: a list, or one value a line."""
    if not called.isidentifier():
        raise RowFault(f"the function to call is {called!r}, which is no name")
    method = re.search(r"^\s*class\s+Solution\b", starter, re.MULTILINE) is not None
    function = f"Solution().{called}" if method else called
    tests = []
    # APPS wraps the results of some of its functions in lists, and does not say of which: both are right there.
    wrapped = all(isinstance(output, list) and len(output) == 1 for output in outputs)
    for given, expected in zip(inputs, outputs, strict=True):
        arguments = [_value(line) for line in given.splitlines() if line.strip()] if isinstance(given, str) else given
        if not isinstance(arguments, list | tuple):
            raise RowFault(
                f"an input of {called} is {given!r:.80}; expected a list of arguments, or one JSON value a line"
            )
        wanted = _value(expected) if isinstance(expected, str) and isinstance(given, str) else expected
        call = f"{function}({', '.join(map(_literal, arguments))})"
        right = [wanted, wanted[0]] if wrapped else [wanted]
        right += [tuple(one) for one in right if isinstance(one, list)]  # JSON has none, and a program may return one
        if len(right) > 1:
            tests.append(f"assert {call} in ({', '.join(map(_literal, right))})")
        else:
            tests.append(f"assert {call} == {_literal(wanted)}")
    entry = "Solution" if method else called
    return CodeGold(tests=tuple(tests), prefix=_PRELUDE, entry_point=entry, **shared)


def _value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise RowFault(f"an argument is {line!r:.80}; expected JSON") from None


def _literal(value: Any) -> str:
    text = repr(value)
    if re.search(r"(?<!['\w])(?:nan|inf)\b", text) and not isinstance(value, str):
        raise RowFault(f"an argument holds {text[:80]}, which is no number")
    return text


def _appended(parts: tuple[str, ...], cells: Any, columns: ProblemColumns, shared: Mapping[str, Any]) -> CodeGold:
    """Tests in the program's own language, to be put after it."""
    code = "\n".join(parts)
    named = re.search(r"\bcandidate\s*=\s*(\w+)", code)
    if columns.entry_point is not None:
        entry = _name(cells(columns.entry_point), columns.entry_point)
    elif named is not None:
        entry = named[1]
    else:
        raise RowFault("the tests name no function: expected `candidate = NAME` in them, or a column entry_point")
    return CodeGold(tests=(code,), form="appended", prefix=str(cells(columns.prompt)), entry_point=entry, **shared)


def _unpacked(value: Any, name: str) -> Any:
    """Tests as JSON, or packed as LiveCodeBench packs its private ones: base64 of zlib of a pickled JSON text."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return value
    if len(text) < 40 or re.fullmatch(r"[A-Za-z0-9+/\s]+={0,2}", text) is None:
        return value
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(text), _MAX_PACKED_BYTES)
        unpacked = raw.decode() if raw[:1] in (b"[", b"{") else _OnlyText(io.BytesIO(raw)).load()
        return json.loads(unpacked)
    except (ValueError, TypeError, EOFError, zlib.error, pickle.UnpicklingError, RecursionError) as error:
        raise RowFault(f"column {name!r} holds packed tests that cannot be unpacked: {str(error)[:100]}") from None


class _OnlyText(pickle.Unpickler):
    """Reads a pickled text; anything with a class in it is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it holds a {module}.{name}")


def _program(cells: Any, name: str) -> str | None:
    """A program that passes, as it stands, if the row has one."""
    try:
        value = cells(name)
    except RowFault:
        return None
    return value if isinstance(value, str) and value.strip() else None


def _name(value: Any, column: str) -> str:
    name = str(value).strip() if value is not None else ""
    if not name.isidentifier():
        raise RowFault(f"column {column!r} holds {value!r:.80}; expected the name of a function")
    return name


def _is_mappings(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise RowFault(f"{name} is {value!r:.80}; expected a list")
    return list(value)


def _parts(value: Any, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(part for part in _texts([value] if isinstance(value, str) else value, name) if part.strip())


def _texts(value: Any, name: str) -> tuple[str, ...]:
    """A list of texts, kept as they are; an input that is a list of lines becomes those lines."""
    if not isinstance(value, list | tuple):
        raise RowFault(f"column {name!r} holds {value!r:.80}; expected a list of texts")
    joined = [
        "\n".join(item) if isinstance(item, list) and all(isinstance(x, str) for x in item) else item for item in value
    ]
    if not all(isinstance(item, str) for item in joined):
        raise RowFault(f"column {name!r} holds {value!r:.80}; expected a list of texts")
    return tuple(joined)
