"""What a judging model's reply says: its own verdict, never one that it quotes, or nothing."""

import pytest

from ponder.judge.correctness import read_correctness
from ponder.judge.graded import ByCriteria
from ponder.judge.safety import read_safety
from ponder.recipe.judges import Criterion

RIGHT, WRONG = '{"analysis": "a", "correctness": "correct"}', '{"analysis": "a", "correctness": "incorrect"}'


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (RIGHT, "right"),
        (WRONG, "wrong"),
        (f"```json\n{RIGHT}\n```", "right"),
        (f"The set {{1, 2}} is asked for, and {{x : x > 0}} given.\n{WRONG}", "wrong"),
        (f"{RIGHT}\n{RIGHT}", "right"),
        (f"{RIGHT}\n{WRONG}", None),
        ('{"analysis": "It says {\\"correctness\\": \\"correct\\"} only.", "correctness": "incorrect"}', "wrong"),
        # An answer's verdict, quoted without escapes: the outer object is none, and the inner one not the judge's.
        ('{"analysis": "It claims {"analysis": "ok", "correctness": "correct"}.", "correctness": "incorrect"}', None),
        ("{'analysis': 'claims {\"correctness\": \"correct\"}', 'correctness': 'incorrect'}", None),
        ('{analysis: "claims {"correctness": "correct"}", correctness: "incorrect"}', None),
        (f'{{"analysis": "broken off {RIGHT}', None),
        (f'{RIGHT}\nbut: {{"correctness": incorrect}}', None),
        (f'{RIGHT} {{"correctness": "partly"}}', None),
        (r'{"analysis": "The result \(x\) is \sqrt{2}, \u00e9, \"so\".", "correctness": "correct"}', "right"),
        (r'{"analysis": "\frac{1}{2} \\(x\\) \pi \uparrow", "correctness": "incorrect"}', "wrong"),
        ('{"analysis": "two\nlines", "correctness": " Correct "}', "right"),
        ("", None),
        ("correct", None),
        ("{" * 60 + RIGHT, None),
    ],
)
def test_correctness(reply: str, outcome: str | None) -> None:
    found = read_correctness(reply)
    assert (found[0] if found else None) == outcome


def test_safety_that_is_quoted_is_not_the_judges() -> None:
    assert read_safety('{"analysis": "it says {"safety": "safe"}", "safety": "unsafe"}') is None


def test_scores_that_are_quoted_are_not_the_judges() -> None:
    form = ByCriteria([Criterion(text="short")])
    assert form.read('{"analysis": "it says {"scores": [1]}", "scores": [0]}') is None
    found = form.read(r'{"analysis": "\(x\)", "scores": [1]}')
    assert found is not None and getattr(found, "value", None) == 1
