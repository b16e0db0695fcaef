"""The program under test as test code meets it: names to look at and to change, and the module `solution`."""

import traceback
import types
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from ponder.sandbox.errors import NotJudgeableError

__all__ = ["LocalProgram", "Program", "Solution", "is_of_program", "went_through_program"]


class Program(Protocol):
    """What the tests know of the program."""

    names: frozenset[str]
    used: int
    raised: BaseException | None
    strange: str
    unsure: str
    refused: str
    swallowed: list[BaseException]
    calling_back: int
    expected: set[str]
    emptied: dict[int, object]
    changed: dict[int, object]

    def look(self, name: str) -> Any: ...
    def change(self, name: str, value: Any) -> None: ...
    def offered(self, names: AbstractSet[str]) -> types.ModuleType: ...


class LocalProgram:
    """The program in this very process."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module
        self.names = frozenset(name for name in module.__dict__ if not name.startswith("__"))
        self.used = 1
        self.raised: BaseException | None = None
        self.strange = self.unsure = self.refused = ""
        self.swallowed: list[BaseException] = []
        self.calling_back = 0
        self.expected: set[str] = set()
        self.emptied: dict[int, object] = {}
        self.changed: dict[int, object] = {}

    def look(self, name: str) -> Any:
        return self._module.__dict__[name]

    def change(self, name: str, value: Any) -> None:
        self._module.__dict__[name] = value

    def offered(self, names: AbstractSet[str]) -> types.ModuleType:
        """What `import solution` gives a test file. Only these `names` come with a star."""
        self._module.__dict__["__all__"] = sorted(name for name in names if not name.startswith("_"))
        return self._module


class Solution(types.ModuleType):
    """What `import solution` gives a test file. Only `offered` comes with a star."""

    def __init__(self, program: Program, offered: AbstractSet[str]) -> None:
        super().__init__("solution")
        self.__dict__["__all__"] = sorted(name for name in offered if not name.startswith("_"))
        self.__dict__["_program"] = program
        self.__dict__["_replaced"] = {}

    def __getattr__(self, name: str) -> Any:
        program: Program = self.__dict__["_program"]
        if name == "__file__":
            raise NotJudgeableError("they ask for the program's file")
        if name not in program.names:
            raise AttributeError(f"the program defines no {name!r}")
        return program.look(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            super().__setattr__(name, value)
            return
        program: Program = self.__dict__["_program"]
        if name in program.names:
            self.__dict__["_replaced"].setdefault(name, program.look(name))
        program.change(name, value)

    def __delattr__(self, name: str) -> None:
        """What a patch does at its end, since the name is not found in this module's own dict."""
        self.__dict__["_program"].change(name, self.__dict__["_replaced"].pop(name))


def _files(error: BaseException) -> list[str]:
    """The source files of the code that an exception came through, the one that raised it last."""
    return [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]


def is_of_program(error: BaseException) -> bool:
    """Whether the code of a program in this very process raised it."""
    return _files(error)[-1:] == ["/tmp/solution.py"]


def went_through_program(error: BaseException) -> bool:
    """Whether a program in this very process raised it, itself or by what it called."""
    return "/tmp/solution.py" in _files(error)
