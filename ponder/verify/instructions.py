"""Instruction following: an answer and the IFEval constraints of its prompt (arXiv 2311.07911).

Text and an InstructionGold in, Verdict out. The whole answer is judged. An empty answer follows nothing. The constraint
types are in `constraints`.
"""

from collections.abc import Mapping
from typing import Any

from ponder.records import InstructionGold, Verdict
from ponder.verify.constraints import CONSTRAINTS

__all__ = ["check_instructions", "verify_instructions"]

_MAX_CHARS = 200_000
_RELATIONS = ("less than", "at least")


def verify_instructions(answer_text: str, gold: InstructionGold) -> Verdict:
    """Right when every constraint holds; the reason names those that do not."""
    text = answer_text.rpartition("</think>")[2].strip()
    if not text:
        return Verdict(outcome="wrong", reason="no answer: nothing stands after the thinking")
    if len(text) > _MAX_CHARS:
        return Verdict(outcome="cannot_tell", reason=f"the answer has more than {_MAX_CHARS} characters")
    unusable = check_instructions(gold)
    if unusable is not None:
        return Verdict(outcome="cannot_tell", reason=unusable, answer=text)
    broken = [
        name
        for name, arguments in zip(gold.instruction_ids, gold.arguments, strict=True)
        if not CONSTRAINTS[name].holds(text, arguments)
    ]
    if broken:
        return Verdict(outcome="wrong", reason=f"does not follow {', '.join(broken)}", answer=text)
    return Verdict(
        outcome="right", reason=f"follows all {len(gold.instruction_ids)} constraints", answer=text, score=1.0
    )


def check_instructions(gold: InstructionGold) -> str | None:
    """Why this gold is unusable, or None."""
    if not gold.instruction_ids:
        return "the instruction gold has no constraints"
    if len(gold.instruction_ids) != len(gold.arguments):
        return f"the instruction gold has {len(gold.instruction_ids)} constraints but {len(gold.arguments)} arguments"
    for name, arguments in zip(gold.instruction_ids, gold.arguments, strict=True):
        if name not in CONSTRAINTS:
            return f"the constraint {name!r} is unknown or needs a model"
        problem = _bad_argument(arguments, CONSTRAINTS[name].arguments)
        if problem is not None:
            return f"the constraint {name!r} {problem}"
    return None


def _bad_argument(arguments: Mapping[str, Any], expected: Mapping[str, type]) -> str | None:
    for name, kind in expected.items():
        if name not in arguments:
            return f"lacks the argument {name!r}"
        value = arguments[name]
        # Tables that keep numbers as floats write 3.0 for 3.
        if kind is int and not (isinstance(value, int | float) and value == int(value)):
            return f"has {name!r} = {value!r}, expected a whole number"
        if kind is str and not (isinstance(value, str) and value.strip()):
            return f"has {name!r} = {value!r}, expected a text"
        if kind is list and not (isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value)):
            return f"has {name!r} = {value!r}, expected a list of texts"
        if "relation" in name and value not in _RELATIONS:
            return f"has {name!r} = {value!r}, expected one of {', '.join(_RELATIONS)}"
    return None
