"""Each reward by a table, their sum, and DAPO's penalty against the equation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import RecipeError
from ponder.records import ChoiceGold, FinishReason, Gold, Language, MathGold, Message, Problem, Verdict
from ponder.reward import REWARDS, Judged, overlong_penalty
from ponder.reward.combine import check_names, score
from ponder.text import TEMPLATES
from ponder.verify import verify

QUESTION = "What is seventeen plus two?"


def judge(
    completion: str,
    gold: Gold | None = MathGold(answer="19"),  # noqa: B008  (frozen)
    *,
    template: str = "r1-zero",
    language: Language = "en",
    tokens: int = 10,
    finish: FinishReason = "stop",
    question: str = QUESTION,
) -> Judged:
    problem = Problem(
        id="p", messages=(Message(role="user", content=question),), gold=gold, domain="d", language=language
    )
    response = TEMPLATES[template].split(completion)
    verdict = Verdict(outcome="wrong", reason="no answer")
    if response.answer is not None and gold is not None:
        verdict = verify(response.answer, gold)
    return Judged(
        problem=problem,
        response=response,
        verdict=verdict,
        completion_tokens=tokens,
        finish_reason=finish,
        max_tokens=100,
    )


def full(answer: str, thinking: str = "seventeen and two") -> str:
    return f" <think>{thinking}</think> <answer>{answer}</answer>"


@pytest.mark.parametrize(
    ("completion", "accuracy", "formatted"),
    [
        (full("19"), 1, 1),
        (full("\\boxed{19}"), 1, 1),
        (full("20"), 0, 1),
        (full(""), 0, 0),
        (full("..."), 0, 0),
        (full("\u200b"), 0, 0),
        (full("A or B or C"), 0, 0),
        (full("18 or 20"), 0, 0),
        (full("18 或 20"), 0, 0),
        (full("A, B, C, D"), 0, 0),
        (full(QUESTION), 0, 0),
        (full("<answer></answer>"), 0, 0),
        ("<think>19</think>", 0, 0),
        ("<think>19", 0, 0),
        ("<think></think><answer></answer>", 0, 0),
        ("19", 1, 0),
        ("<think>x</think> 19", 1, 0),
        (full("19") + " bye", 1, 0),
        (full("20") + full("19"), 1, 0),
        (full("19") + full("20"), 0, 0),
        ("", 0, 0),
    ],
)
def test_accuracy_and_format(completion: str, accuracy: float, formatted: float) -> None:
    judged = judge(completion)
    assert REWARDS["accuracy"](judged) == accuracy
    assert REWARDS["format"](judged) == formatted


def test_format_of_chat_sees_the_prefill() -> None:
    assert REWARDS["format"](judge("seventeen\n</think>\n\nIt is 19.", template="r1")) == 1
    assert REWARDS["format"](judge("It is 19.", template="r1")) == 0
    assert REWARDS["format"](judge("</think><answer></answer>", template="r1")) == 0


def test_a_truncated_completion_has_no_format() -> None:
    assert REWARDS["format"](judge(full("19"), finish="length")) == 0


def test_the_question_again_is_no_answer() -> None:
    question = "Start with 6, subtract 6, then add 19. What is the result?"
    for answer, accuracy in [(question, 0), (question + " ", 0), (question + " 19", 1), ("19", 1)]:
        judged = judge(full(answer), question=question)
        assert REWARDS["accuracy"](judged) == REWARDS["format"](judged) == accuracy


@pytest.mark.parametrize(
    "thinking",
    ["reasoning process here", "The assistant first thinks about the reasoning process", QUESTION, QUESTION * 2],
)
def test_the_prompt_copied_is_no_thought(thinking: str) -> None:
    judged = judge(full("19", thinking))
    assert REWARDS["format"](judged) == 0 and REWARDS["language"](judged) == 0
    assert REWARDS["accuracy"](judged) == 1  # what is right is right, however it was found
    assert REWARDS["format"](judge(full("19", f"{thinking} 17 + 2 = 19"))) == 1


def test_the_example_of_the_form_earns_nothing() -> None:
    judged = judge(" <think> reasoning process here </think> <answer> answer here </answer>")
    assert [REWARDS[name](judged) for name in ("accuracy", "format", "language")] == [0, 0, 0]


def test_format_with_other_golds() -> None:
    choice = ChoiceGold(answer="B", options=("x", "y", "z"))
    assert REWARDS["format"](judge(full("A"), choice)) == 1
    assert REWARDS["format"](judge(full("x or y or z"), choice)) == 0
    assert REWARDS["format"](judge(full("anything"), None)) == 1
    assert REWARDS["accuracy"](judge(full("anything"), None)) is None


def test_cannot_tell_pays_no_accuracy() -> None:
    judged = judge(full("19"))
    unsure = Judged(
        problem=judged.problem,
        response=judged.response,
        verdict=Verdict(outcome="cannot_tell", reason="timeout"),
        completion_tokens=1,
        finish_reason="stop",
        max_tokens=2,
    )
    assert REWARDS["accuracy"](unsure) == 0 and REWARDS["format"](unsure) == 0


def test_language_is_that_of_the_problem() -> None:
    mixed = full("19", "seventeen and 十七")
    assert REWARDS["language"](judge(mixed)) == 0.5
    assert REWARDS["language"](judge(full("19", "十七加二"), language="zh")) == 1
    assert REWARDS["language"](judge(full("19", "17 + 2"))) is None
    assert REWARDS["language"](judge("19")) is None


@given(
    tokens=st.integers(1, 30_000),
    max_tokens=st.integers(1, 30_000),
    buffer=st.floats(0.01, 1.0),
)
def test_overlong_penalty_is_the_equation(tokens: int, max_tokens: int, buffer: float) -> None:
    cache = buffer * max_tokens
    if tokens <= max_tokens - cache:
        expected = 0.0
    elif tokens <= max_tokens:
        expected = ((max_tokens - cache) - tokens) / cache
    else:
        expected = -1.0
    assert overlong_penalty(tokens, max_tokens, buffer) == pytest.approx(expected, abs=1e-9)


def test_length_penalises_the_last_fifth() -> None:
    assert [REWARDS["length"](judge("", tokens=n)) for n in (1, 80, 90, 100)] == [0, 0, -0.5, -1]


def test_repetition() -> None:
    words = " ".join(f"word{i}" for i in range(50))
    assert REWARDS["repetition"](judge(full("19", words))) == 0
    looped = REWARDS["repetition"](judge(full("19", "again and " * 200)))
    assert looped is not None and -1 < looped < -0.9
    assert REWARDS["repetition"](judge(full("19", words + " " + words))) == pytest.approx(-41 / 92)
    chinese = REWARDS["repetition"](judge(full("19", "重新算一遍" * 40)))
    assert chinese is not None and chinese < -0.9
    assert REWARDS["repetition"](judge("")) == 0


def test_score_is_the_weighted_sum_of_what_applies() -> None:
    rewards, total = score(
        judge(full("19", "17 + 2")), {"accuracy": 1.0, "format": 0.5, "language": 3.0, "length": 0.0}
    )
    assert rewards == {"accuracy": 1, "format": 1, "language": None, "length": 0}
    assert total == 1.5
    assert score(judge(full("19")), {"accuracy": -2.0})[1] == -2.0


def test_unknown_rewards_are_named() -> None:
    with pytest.raises(RecipeError, match=r"no reward 'acuracy'; did you mean 'accuracy'\? Known: accuracy, chance"):
        score(judge(""), {"acuracy": 1.0})
    with pytest.raises(RecipeError, match="no reward 'zzz'"):
        check_names(["zzz"])
