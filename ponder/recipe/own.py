"""Names of the user's own functions: `rewards.py:brevity` is the function `brevity` of the file `rewards.py`.

Such a name may stand wherever a built-in one does. The file is found from the folder of the recipe.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator

from ponder.errors import RecipeError

__all__ = ["OWN_FORM", "OwnName", "OwnNames", "OwnRole", "OwnUse", "is_own"]

OWN_FORM = "file.py:function"
_OWN = re.compile(r"(?P<file>.+\.py):(?P<function>[^\W\d]\w*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnName:
    """Example: OwnName(file="rewards.py", function="brevity"), written `rewards.py:brevity`."""

    file: str
    function: str

    @classmethod
    def read(cls, text: str) -> Self:
        """The name that `text` writes; RecipeError where it is not of the form `file.py:function`."""
        found = _OWN.fullmatch(text)
        if found is None:
            raise RecipeError(
                f"{text!r} names no function of a file of your own: expected {OWN_FORM}, such as rewards.py:brevity"
            )
        return cls(file=found["file"], function=found["function"])

    def __str__(self) -> str:
        return f"{self.file}:{self.function}"


OwnRole = Literal["reward", "verifier", "rule", "problems", "tool", "environment"]
"""What an own function is there for, and so what it is called with and may return (docs/own-code.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnUse:
    """An own function by name, what it is used as, and the arguments it is given by name."""

    role: OwnRole
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The file the function is in."""
        return OwnName.read(self.function).file


def is_own(text: str) -> bool:
    """Whether `text` is meant as the name of an own function; no built-in name holds a colon or ends in `.py`."""
    return ":" in text or text.endswith(".py")


def _of_the_form(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if _OWN.fullmatch(name) is None:
            raise ValueError(f"{name!r} names no function of a file of your own: expected {OWN_FORM}")
    return names


OwnNames = Annotated[tuple[str, ...], AfterValidator(_of_the_form)]
"""Names of own functions, where nothing else may stand."""
