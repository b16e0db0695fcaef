"""Format: the structure of thinking and answer, paid only when the answer can be read.

A `Response` (a completion taken apart by its template) in, Verdict out. Tags alone, an empty answer and an answer that
the verifier of its gold cannot read are wrong, so that nothing is earned by the structure alone.
"""

import re

from ponder.records import ChoiceGold, ExpressionGold, Gold, JsonGold, MathGold, Verdict
from ponder.text.think import Response
from ponder.verify.answer import find_answer

__all__ = ["check_form", "pay_form", "verify_format"]


_EITHER = re.compile(r"\bor\b|或", re.IGNORECASE)


def verify_format(response: Response, gold: Gold | None = None) -> Verdict:
    """Right when the response is well formed and its answer readable, whether or not it equals the gold.

    Without a gold, readable means that an answer is found at all.
    """
    form = check_form(response, gold)
    if gold is None or form.outcome != "right":
        return form
    from ponder.verify import verify  # this module is a part of that package

    assert response.answer is not None
    return pay_form(verify(response.answer, gold), gold)


def check_form(response: Response, gold: Gold | None = None) -> Verdict:
    """The structure alone, and whether an answer is found that holds a letter or a digit; JSON is whole by itself, and
    nothing is looked for in it."""
    if not response.well_formed or response.answer is None:
        return Verdict(outcome="wrong", reason=response.problem or "there is no answer")
    if isinstance(gold, JsonGold):
        return Verdict(outcome="right", reason="well formed", answer=response.answer, score=1.0)
    found = find_answer(response.answer)
    if found.text is None:
        return Verdict(outcome="wrong", reason=found.rule)
    if not any(character.isalnum() for character in found.text):
        return Verdict(outcome="wrong", reason=f"well formed, but the answer is not readable: {found.text[:20]!r}")
    return Verdict(outcome="right", reason="well formed", answer=found.text, score=1.0)


def pay_form(judged: Verdict, gold: Gold) -> Verdict:
    """The verdict on a well-formed response, from what the verifier of its gold made of the answer."""
    if judged.answer is None:
        return Verdict(outcome="wrong", reason=f"well formed, but the answer is not readable: {judged.reason}")
    one = isinstance(gold, MathGold | ChoiceGold | ExpressionGold) and judged.outcome != "right"
    if one and _EITHER.search(judged.answer):
        return Verdict(outcome="wrong", reason="well formed, but several answers are none")
    return Verdict(outcome="right", reason="well formed", answer=judged.answer, score=1.0)
