"""Format: the structure of thinking and answer, paid only when the answer can be read.

A `Response` (a completion taken apart by its template) in, Verdict out. Tags alone, an empty answer and an answer that
the verifier of its gold cannot read are wrong, so that nothing is earned by the structure alone.
"""

from ponder.records import Gold, Verdict
from ponder.text.think import Response
from ponder.verify.answer import find_answer

__all__ = ["verify_format"]


def verify_format(response: Response, gold: Gold | None = None) -> Verdict:
    """Right when the response is well formed and its answer readable, whether or not it equals the gold.

    Without a gold, readable means that an answer is found at all.
    """
    if not response.well_formed or response.answer is None:
        return Verdict(outcome="wrong", reason=response.problem or "there is no answer")
    found = find_answer(response.answer)
    if found.text is None:
        return Verdict(outcome="wrong", reason=found.rule)
    if gold is None:
        return Verdict(outcome="right", reason="well formed", answer=found.text, score=1.0)
    from ponder.verify import verify  # this module is a part of that package

    judged = verify(response.answer, gold)
    if judged.answer is None:
        return Verdict(outcome="wrong", reason=f"well formed, but the answer is not readable: {judged.reason}")
    return Verdict(outcome="right", reason="well formed", answer=judged.answer, score=1.0)
