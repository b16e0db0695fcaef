"""Every keep rule by table, and the choice among the responses to one problem."""

from typing import Any

import pytest
from pydantic import ValidationError

from ponder.ask import Reply
from ponder.curate import Candidate, Rejected, choose, why_not
from ponder.curate.choose import pass_rate
from ponder.curate.keep import MENDED, as_written
from ponder.curate.readable import longest_paragraph
from ponder.recipe.sample import Keep
from ponder.records import MathGold, Message, Problem, Verdict
from ponder.text.template import TEMPLATES

LOOP = "so we add one and then we add one again " * 12
EN = "First I add the numbers, and then I check them."
ZH = "先把两个数加起来，再检查一遍。"


def candidate(
    thinking: str = EN,
    answer: str = "5",
    *,
    number: int = 0,
    language: Any = "en",
    outcome: Any = "right",
    gold: bool = True,
    **reply: Any,
) -> Candidate:
    text = f"<think>{thinking}</think> <answer>{answer}</answer>"
    made = Reply(**({"text": text, "completion_tokens": 20} | reply))
    return Candidate(
        problem=Problem(
            id="p",
            messages=(Message(role="user", content="What is 2+3?"),),
            gold=MathGold(answer="5") if gold else None,
            domain="math",
            language=language,
        ),
        number=number,
        reply=made,
        response=TEMPLATES["r1-zero"].split(made.text, finished=made.finish_reason == "stop"),
        text=made.text,
        verdict=Verdict(outcome=outcome, reason="as told", score=float(outcome == "right")) if gold else None,
    )


@pytest.mark.parametrize(
    ("keep", "fields", "reason"),
    [
        ({}, {}, None),
        ({}, {"outcome": "wrong"}, None),
        ({}, {"failure": "status 500", "text": ""}, "failed"),
        ({}, {"finish_reason": "length"}, "cut"),
        ({}, {"answer": " "}, "no_answer"),
        ({}, {"text": "5"}, "not_well_formed"),
        ({}, {"text": f"<think>{EN}</think> so <answer>5</answer>"}, "not_well_formed"),
        ({"unfinished": True}, {"finish_reason": "length"}, None),
        ({"unfinished": True}, {"text": f"<think>{EN}</think> so <answer>5</answer>"}, None),
        ({"unfinished": True}, {"answer": " "}, "no_answer"),
        ({"unfinished": True}, {"failure": "status 500", "text": ""}, "failed"),
        ({"unfinished": True, "correct": True}, {"finish_reason": "length", "outcome": "wrong"}, "wrong"),
        ({"correct": True}, {}, None),
        ({"correct": True}, {"outcome": "wrong"}, "wrong"),
        ({"correct": True}, {"outcome": "cannot_tell"}, "cannot_tell"),
        ({"correct": True}, {"gold": False}, "no_gold"),
        ({"min_tokens": 20}, {}, None),
        ({"min_tokens": 21}, {}, "too_short"),
        ({"max_tokens": 20}, {}, None),
        ({"max_tokens": 19}, {}, "too_long"),
        ({"max_tokens": 19}, {"completion_tokens": None}, "length_unknown"),
        ({"readable": {}}, {}, None),
        ({"readable": {}}, {"thinking": LOOP}, "unreadable"),
        ({"readable": {"max_repetition": 1.0}}, {"thinking": LOOP}, None),
        ({"readable": {}}, {"thinking": "a\n```python\nx = 1\n```"}, "unreadable"),
        ({"readable": {"code_blocks": True}}, {"thinking": "a\n```python\nx = 1\n```"}, None),
        ({"readable": {}}, {"thinking": "`x = 1` is inline"}, None),
        ({"readable": {"max_paragraph_words": 10}}, {"thinking": "one two three\n\nfour five six seven eight"}, None),
        ({"readable": {"max_paragraph_words": 10}}, {"thinking": "one two three four five\nsix seven 8 9 10 11"},
         "unreadable"),
        ({"readable": {"max_paragraph_words": 10}}, {"thinking": ZH}, "unreadable"),
        ({}, {"thinking": LOOP + "\n```\n```" + ZH}, None),
        ({"one_language": 0.95}, {}, None),
        ({"one_language": 0.95}, {"thinking": ZH}, "mixed_language"),
        ({"one_language": 0.95}, {"thinking": ZH, "language": "zh"}, None),
        ({"one_language": 0.95}, {"thinking": EN + ZH}, "mixed_language"),
        ({"one_language": 0.3}, {"thinking": EN + ZH}, None),
        ({"one_language": 0.95}, {"thinking": "2+3=5"}, None),
    ],
)  # fmt: skip
def test_rules(keep: dict[str, Any], fields: dict[str, Any], reason: str | None) -> None:
    found = why_not(candidate(**fields), Keep.model_validate(keep))
    assert (found.reason if found else None) == reason
    assert found is None or (found.id == "p#0" and found.detail)


def test_what_rewriting_mends_is_asked_after_it() -> None:
    keep = Keep.model_validate({"correct": True, "readable": {}, "one_language": 0.95})
    assert why_not(candidate(LOOP + ZH), keep, MENDED) is None
    wrong = why_not(candidate(LOOP + ZH, outcome="wrong"), keep, MENDED)
    assert wrong is not None and wrong.reason == "wrong"


def test_longest_paragraph() -> None:
    assert longest_paragraph("") == 0
    assert longest_paragraph("one two\nthree\n \nfour") == 3
    assert longest_paragraph("一二三 four 五") == 5


def numbers(found: tuple[list[Candidate], list[Rejected]]) -> tuple[list[int], list[tuple[str, str]]]:
    return [one.number for one in found[0]], [(one.id, one.reason) for one in found[1]]


THREE = [candidate("a and b", number=0), candidate("a and  B!", number=1), candidate("b and a", number=2)]


@pytest.mark.parametrize(
    ("keep", "kept", "rejected"),
    [
        ({}, [0, 1, 2], []),
        ({"distinct": 5}, [0, 2], [("p#1", "repeated")]),
        ({"distinct": 1}, [0], [("p#1", "repeated"), ("p#2", "enough")]),
        ({"pass_rate": [0.0, 0.5]}, [0, 1, 2], []),
        ({"pass_rate": [0.5, 1.0]}, [0, 1, 2], []),
        ({"pass_rate": [0.51, 1.0]}, [], [("p#0", "pass_rate"), ("p#1", "pass_rate"), ("p#2", "pass_rate")]),
    ],
)
def test_choice(keep: dict[str, Any], kept: list[int], rejected: list[tuple[str, str]]) -> None:
    assert numbers(choose(THREE, Keep.model_validate(keep), 0.5, 100)) == (kept, rejected)


def test_signs_make_solutions_different() -> None:
    pair = [candidate("1+2", number=0), candidate("1-2", number=1)]
    assert numbers(choose(pair, Keep(distinct=2), 0.5, 100))[0] == [0, 1]


def test_best_of_by_reward() -> None:
    group = [
        candidate("one two", number=0, outcome="wrong", answer="4"),
        candidate(ZH, number=1),
        candidate(EN, number=2),
        candidate(EN + " Yes.", number=3),
    ]
    rejected = [("p#1", "not_best"), ("p#0", "not_best")]
    assert numbers(choose(group, Keep(best_of=2), 0.75, 100)) == ([2, 3], rejected)  # accuracy, format and language
    by_language = Keep(best_of=1, rewards={"language": -1.0})
    assert numbers(choose(group, by_language, 0.75, 100))[0] == [1]
    assert numbers(choose(group, Keep(best_of=9), 0.75, 100))[0] == [0, 1, 2, 3]
    assert numbers(choose(group, Keep(best_of=2, distinct=1), 0.75, 100))[0] == [2]


@pytest.mark.parametrize(
    ("rewards", "gold", "tokens", "kept", "reasons"),
    [
        ({"accuracy": 1.0}, False, 20, [], ["not_ranked"] * 2),  # no gold, so no accuracy
        ({"accuracy": 1.0, "language": 0.0}, False, 20, [], ["not_ranked"] * 2),
        ({"accuracy": 1.0, "repetition": 1.0}, False, 20, [0], ["not_best"]),
        ({"length": 1.0}, True, None, [], ["length_unknown"] * 2),
        ({"length": 0.0, "format": 1.0}, True, None, [0], ["not_best"]),
        ({"length": 1.0}, True, 20, [0], ["not_best"]),
    ],
)
def test_what_no_reward_can_rank_is_left_out(
    rewards: dict[str, float], gold: bool, tokens: int | None, kept: list[int], reasons: list[str]
) -> None:
    pair = [candidate(f"one {i}", number=i, gold=gold, completion_tokens=tokens) for i in range(2)]
    found, rejected = numbers(choose(pair, Keep(best_of=1, rewards=rewards), None, 100))
    assert found == kept and [reason for _, reason in rejected] == reasons


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"best_of": 1, "rewards": {"preference": 1.0}}, ["preference", "rank nothing"]),
        ({"best_of": 1, "rewards": {"accuracy": 1.0, "preference": 0.5}}, ["preference", "rank nothing"]),
        ({"best_of": 1, "rewards": {}}, ["none has a weight"]),
        ({"best_of": 1, "rewards": {"accuracy": 0.0}}, ["none has a weight"]),
        ({"rewards": {"accuracy": 2.0}}, ["best_of", "not set"]),
    ],
)
def test_rankings_that_rank_nothing_are_refused(keep: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Keep.model_validate(keep)
    assert all(word in str(caught.value) for word in words)


def test_pass_rate_counts_replies() -> None:
    group = [candidate(number=0), candidate(number=1, outcome="wrong"), candidate(number=2, failure="lost")]
    assert pass_rate(group) == 0.5
    assert pass_rate([candidate(gold=False)]) is None
    assert pass_rate([candidate(failure="lost")]) is None
    assert numbers(choose([candidate(gold=False)], Keep(pass_rate=(0, 1)), None, 100))[0] == []


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("<think>\nso 2 + 3", "so 2 + 3", "so 2 + 3"),
        ("<think>one</think> <answer>5", "one", "one <answer>5".replace("<answer>", "")),
        ("<think>one</think> <answer>5</answer>", "one", "5"),
        ("</think></answer>", "", ""),
    ],
)
def test_what_was_written_stands_for_what_is_missing(text: str, thinking: str, answer: str) -> None:
    found = as_written(TEMPLATES["r1-zero"].split(text, finished=False), text)
    assert (found.thinking or "", found.answer) == (thinking, answer)
