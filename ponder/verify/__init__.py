"""Verifiers: what stands after the thinking, and a gold answer, become a Verdict.

    answer text + gold -> right | wrong | cannot tell, with the rule that decided

Every verifier is a pure function of its two arguments and bounds what it reads before it computes anything. "Wrong"
means that an answer was read and differs, or that none was given; "cannot tell" means that the text or the gold could
not be understood. An answer that cannot be read equals nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ponder.errors import RecipeError, VerifierError
from ponder.recipe.own import OwnName
from ponder.records import Gold, OwnGold, Verdict
from ponder.verify import assignment, choice, expression, instructions, math, rule, safety

__all__ = ["VERIFIERS", "check_gold", "same_answer", "verify"]


def _verify_code(answer_text: str, gold: Any) -> Verdict:
    from ponder.verify.code import verify_code  # the sandbox is loaded only where programs are judged

    return verify_code(answer_text, gold)


def _check_code(gold: Any) -> str | None:
    from ponder.verify.code import check_code

    return check_code(gold)


def _verify_json(answer_text: str, gold: Any) -> Verdict:
    from ponder.verify.json_gold import verify_json  # schemas are loaded only where they judge

    return verify_json(answer_text, gold)


def _check_json(gold: Any) -> str | None:
    from ponder.verify.json_gold import check_json

    return check_json(gold)


def _same_json(a: str, b: str, gold: Any) -> bool:
    from ponder.verify.json_gold import same_json

    return same_json(a, b, gold)


def _verify_repository(answer_text: str, gold: Any) -> Verdict:
    from ponder.verify.repository import verify_repository

    return verify_repository(answer_text, gold)


def _check_repository(gold: Any) -> str | None:
    from ponder.verify.repository import check_repository

    return check_repository(gold)


def _verify_own(answer_text: str, gold: Any) -> Verdict:
    raise VerifierError(
        f"Answers are judged by your own function {gold.function!r}, which runs in the workers of a VerifierPool only."
    )


def _check_own(gold: OwnGold) -> str | None:
    try:
        OwnName.read(gold.function)
    except RecipeError as error:
        return str(error)
    return None


def _same_text(a: str, b: str, gold: Any) -> bool:
    return a.strip() == b.strip()


VERIFIERS: Mapping[str, Callable[[str, Any], Verdict]] = {
    "math": math.verify_math,
    "choice": choice.verify_choice,
    "expression": expression.verify_expression,
    "assignment": assignment.verify_assignment,
    "code": _verify_code,
    "repository": _verify_repository,
    "instructions": instructions.verify_instructions,
    "json": _verify_json,
    "rule": rule.verify_rule,
    "safety": safety.verify_safety,
    "own": _verify_own,
}
"""The verifier of each kind of gold, by `gold.kind`."""

_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "math": math.check_math,
    "choice": choice.check_choice,
    "expression": expression.check_expression,
    "assignment": assignment.check_assignment,
    "code": _check_code,
    "repository": _check_repository,
    "instructions": instructions.check_instructions,
    "json": _check_json,
    "rule": rule.check_rule,
    "safety": safety.check_safety,
    "own": _check_own,
}

_SAME: Mapping[str, Callable[[str, str, Any], bool]] = {
    "math": math.same_math,
    "choice": choice.same_choice,
    "expression": expression.same_expression,
    "assignment": assignment.same_assignment,
    "code": _same_text,
    "repository": _same_text,
    "instructions": _same_text,
    "json": _same_json,
    "rule": rule.same_rule,
    "safety": safety.same_safety,
    "own": _same_text,
}


def verify(answer_text: str, gold: Gold) -> Verdict:
    """Judge what stands after the thinking. May take a while: training calls it through the worker pool."""
    return VERIFIERS[gold.kind](answer_text, gold)


def check_gold(gold: Gold) -> str | None:
    """Why this gold cannot be used to judge anything, or None if it can."""
    return _CHECKS[gold.kind](gold)


def same_answer(a: str, b: str, gold: Gold) -> bool:
    """Whether two extracted answers (`Verdict.answer`) mean the same; `gold` only says of which kind they are."""
    return _SAME[gold.kind](a, b, gold)
