"""Whether tests ask for more than values: output, files, the clock, classes."""

import re
from collections.abc import Sequence

from ponder.sandbox.names import code_names

__all__ = ["is_worldly"]

_IMPORTS = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+(.+))", re.MULTILINE)
_PURE_MODULES = frozenset({
    "bisect", "cmath", "collections", "decimal", "fractions", "functools", "heapq", "itertools", "json", "math",
    "numpy", "operator", "pytest", "re", "solution", "string", "typing", "unittest",
})  # fmt: skip
_OF_EVERY_FILE = frozenset({"__name__", "__module__", "__qualname__"})
_WORLDLY_NAMES = frozenset({
    "callable", "capfd", "capsys", "delattr", "dir", "eval", "exec", "getattr", "globals", "hasattr", "hash", "id",
    "input", "isinstance", "issubclass", "locals", "memoryview", "mock", "monkeypatch", "open", "patch", "print",
    "setattr", "tmp_path", "tmp_path_factory", "type", "vars", "assertIs", "assertIsNot", "assertIsInstance",
    "assertNotIsInstance", "assertLogs", "assertNoLogs", "assertWarns", "assertWarnsRegex", "warns",
})  # fmt: skip


def is_worldly(tests: Sequence[str]) -> bool:
    """Whether the tests may ask for more than values: output, files, the clock, classes. Too often is harmless."""
    for test in tests:
        for source, names in _IMPORTS.findall(test):
            modules = [source] if source else [name.partition(" as ")[0].strip() for name in names.split(",")]
            if any(module.partition(".")[0] not in _PURE_MODULES or ".mock" in module for module in modules):
                return True
        try:
            code = compile(test, "<tests>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return True
        if any(name in _WORLDLY_NAMES or name.startswith("__") for name in {*code_names(code)} - _OF_EVERY_FILE):
            return True
    return False
