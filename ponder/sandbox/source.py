"""The text that runs: what stands before a program, and the program."""

import re

__all__ = ["joined"]

_FUTURE = re.compile(r"^from __future__ import .*\n?", re.MULTILINE)


def joined(*parts: str) -> str:
    """The parts as one program. What must come first, wherever an answer has it, does."""
    before, program = "".join(parts[:-1]), parts[-1]
    if not before.strip():
        return before + program
    whole = before + program
    first = [f"{line.rstrip()}\n" for line in _FUTURE.findall(whole)]
    return "".join([*first, _FUTURE.sub("", whole)]) if first else whole
