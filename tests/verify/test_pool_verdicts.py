"""The worker pool judges, times out, survives and counts."""

from collections.abc import Iterator

import pytest

from ponder.records import ChoiceGold, CodeGold, ExpressionGold, MathGold
from ponder.verify.pool import VerifierPool

ADD = CodeGold(tests=("assert add(1, 2) == 3", "assert add(0, 0) == 0"))


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=1) as shared:
        yield shared


@pytest.mark.parametrize(
    ("text", "gold", "outcome"),
    [
        (r"so \boxed{3}", MathGold(answer="3"), "right"),
        (r"so \boxed{4}", MathGold(answer="3"), "wrong"),
        ("ANSWER: B", ChoiceGold(answer="B"), "right"),
        ("<answer>(1+2)*3</answer>", ExpressionGold(numbers=(1, 2, 3), target=9), "right"),
        ("```python\ndef add(a, b):\n    return a + b\n```", ADD, "right"),
        ("```python\ndef add(a, b):\n    return 3\n```", ADD, "wrong"),
        (None, MathGold(answer="3"), "wrong"),
        ("x" * 200_000, MathGold(answer="3"), "cannot_tell"),
        ("broken \ud800 unicode \\boxed{3}", MathGold(answer="3"), "right"),
    ],
)
def test_every_kind_is_judged(pool: VerifierPool, text: str | None, gold, outcome: str) -> None:
    verdict = pool.submit(text, gold).result(timeout=60)
    assert verdict.outcome == outcome, verdict
