"""What test files import that is no part of the standard library: parts of pytest and numpy, as modules.

Anything else of them cannot be judged, and says so.
"""

import types
from collections.abc import Mapping
from typing import Any

from ponder.sandbox.errors import NotJudgeableError
from ponder.sandbox.numpy_stand_in import NUMPY, NUMPY_TESTING
from ponder.sandbox.pytest_stand_in import PYTEST

__all__ = ["STAND_INS"]


class _Module(types.ModuleType):
    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        super().__init__(name)
        self.__dict__.update(members)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotJudgeableError(f"they use {self.__name__}.{name}, and {self.__name__} is not there")


_TESTING = _Module("numpy.testing", NUMPY_TESTING)
STAND_INS: Mapping[str, types.ModuleType] = {
    "pytest": _Module("pytest", PYTEST),
    "numpy": _Module("numpy", {**NUMPY, "testing": _TESTING}),
    "numpy.testing": _TESTING,
}
"""Modules as `import` finds them, in the tests' process."""
