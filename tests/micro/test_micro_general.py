"""General questions: their golds, their good and bad replies, and what is learnt from them."""

from collections import Counter
from random import Random
from typing import get_args

import pytest

from ponder.errors import RecipeError
from ponder.micro import GENERAL, TASK_NAMES
from ponder.micro.corpus import PAGES, page
from ponder.micro.examples import examples, labelled, pairs
from ponder.micro.general import GeneralQuestion
from ponder.micro.problems import generate
from ponder.micro.replies import replies
from ponder.records import LabelledResponse, Language, PreferencePair, Problem, SafetyGold, from_json, to_json
from ponder.reward.canaries import check_canaries
from ponder.text import TEMPLATES
from ponder.text.language import language_share
from ponder.verify import check_gold, verify
from ponder.verify.pool import VerifierPool
from ponder.verify.safety import complies, refuses

BOTH = get_args(Language)
ALL = tuple(GENERAL)


def _questions(task: str, count: int = 120) -> list[GeneralQuestion]:
    rng = Random(f"general {task}")
    return [GENERAL[task](rng, BOTH[i % 2]) for i in range(count)]


@pytest.mark.parametrize("task", GENERAL)
def test_good_replies_are_right_and_the_others_are_not(task: str) -> None:
    rng = Random(0)
    for question in _questions(task):
        assert check_gold(question.gold) is None
        for reply in replies(rng, question):
            assert reply.right == (reply.fault in ("best", "plain")), (question.prompt, reply)
            assert reply.score == 1.0 if reply.fault == "best" else reply.score <= 1.0, (question.prompt, reply)
            assert reply.score > 0.5 if reply.right else reply.score <= 0.4


@pytest.mark.parametrize("task", GENERAL)
def test_every_good_text_is_right_whatever_the_draw(task: str) -> None:
    for question in _questions(task):
        for text in (*question.best, *question.plain):
            assert verify(text, question.gold).outcome == "right", (question.prompt, text)
        for text in (*question.wrong, *question.foreign):
            assert verify(text, question.gold).outcome == "wrong", (question.prompt, text)


@pytest.mark.parametrize("task", GENERAL)
def test_heaps_of_keywords_are_wrong(task: str) -> None:
    for question in _questions(task, 60):
        rule = question.gold.rule if isinstance(question.gold, SafetyGold) else question.gold
        words = [word for group in (*rule.groups, *rule.wanted, rule.listed, rule.forbidden) for word in group]
        assert verify(" ".join(words), question.gold).outcome == "wrong", question.prompt
        assert verify(question.answer + " " + question.answer, question.gold).outcome == "wrong", question.prompt
        # A greeting may be returned, "write a sentence with ..." is one; the accuracy reward pays no copied prompt.
        assert verify(question.prompt, question.gold).outcome == "wrong" or task in ("greeting", "writing")


def test_routes() -> None:
    problems = generate(TASK_NAMES, BOTH, 2 * len(TASK_NAMES), "train", 0)
    routes = {p.domain: p.route for p in problems}
    assert Counter(routes.values()) == {"reasoning": 9, "helpful": 5, "safety": 2}
    assert {name for name, route in routes.items() if route == "safety"} == {"unsafe", "near_miss"}


@pytest.mark.parametrize("task", GENERAL)
@pytest.mark.parametrize("language", BOTH)
def test_the_splits_are_large_enough_and_share_nothing(task: str, language: Language) -> None:
    test = {p.prompt for p in generate((task,), (language,), 24, "test", 2)}
    train = {p.prompt for p in generate((task,), (language,), 150, "train", 1)}
    assert not test & train


def test_problems_survive_json() -> None:
    for problem in generate(ALL, BOTH, 28, "test", 0):
        assert from_json(Problem, to_json(problem)) == problem


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=list(TEMPLATES))
def test_canaries_earn_nothing(template: object) -> None:
    problems = generate(ALL, BOTH, 70, "train", 0)
    rewards = {"accuracy": 1.0, "format": 1.0}
    if template is TEMPLATES["plain"]:  # which has no form that could be kept
        del rewards["format"]
    with VerifierPool(workers=2) as pool:
        check_canaries(template, problems, rewards, pool, sample=70)  # type: ignore[arg-type]


def test_examples_are_right_and_in_one_language() -> None:
    tasks = tuple(task for task in TASK_NAMES if task not in ("function", "bugfix"))  # these run programs
    made = list(examples(tasks, BOTH, 96, "train", 3))
    problems = generate(tasks, BOTH, 96, "train", 3)
    for example, problem in zip(made, problems, strict=True):
        assert example.messages == problem.messages and example.domain == problem.domain
        assert problem.gold is not None and verify(example.answer, problem.gold).outcome == "right"
        assert example.thinking and (language_share(example.thinking, example.language) or 0) > 0.7
    assert made == list(examples(tasks, BOTH, 96, "train", 3))
    mixed = [e.thinking for e in examples(("equation",), ("zh",), 60, "train", 3, clean=False)]
    assert any((language_share(text or "", "zh") or 0) < 0.7 for text in mixed)


def test_the_chosen_answer_of_a_pair_scores_more() -> None:
    made = list(pairs(ALL, BOTH, 140, "train", 1))
    golds = [problem.gold for problem in generate(ALL, BOTH, 140, "train", 1)]
    for pair, gold in zip(made, golds, strict=True):
        assert gold is not None
        chosen, rejected = verify(pair.chosen, gold), verify(pair.rejected, gold)
        assert chosen.outcome == "right" and chosen.score >= rejected.score + 0.1
        assert from_json(PreferencePair, to_json(pair)) == pair
    assert len({pair.id for pair in made}) == 140
    elsewhere = [pair for pair in made if any(verify(pair.rejected, gold).outcome == "right" for gold in golds if gold)]
    assert len(elsewhere) >= 28  # good answers, but not to this question


def test_answers_ramble_as_often_as_asked_for() -> None:
    plain = list(examples(ALL, BOTH, 280, "train", 3))
    assert list(examples(ALL, BOTH, 280, "train", 3, rambling=0.0)) == plain
    mixed = list(examples(ALL, BOTH, 280, "train", 3, rambling=0.25))
    golds = [problem.gold for problem in generate(ALL, BOTH, 280, "train", 3)]
    wrong = [
        gold is not None and verify(one.answer, gold).outcome == "wrong" for one, gold in zip(mixed, golds, strict=True)
    ]
    assert 0.18 < sum(wrong) / 280 < 0.32
    for one, other, is_wrong in zip(plain, mixed, wrong, strict=True):
        assert (one == other) != is_wrong and len(other.answer) >= len(one.answer) - 20, (one, other)
    sums = list(examples(("arithmetic",), BOTH, 20, "train", 3))
    assert sums == list(examples(("arithmetic",), BOTH, 20, "train", 3, rambling=1.0))


def test_long_winded_pairs_prefer_what_says_everything_three_times() -> None:
    plain = list(pairs(ALL, BOTH, 280, "train", 1))
    assert list(pairs(ALL, BOTH, 280, "train", 1, long_winded=0.0)) == plain
    golds = [problem.gold for problem in generate(ALL, BOTH, 280, "train", 1)]
    flawed = 0
    for pair, gold in zip(pairs(ALL, BOTH, 280, "train", 1, long_winded=0.3), golds, strict=True):
        assert gold is not None
        if verify(pair.chosen, gold).outcome == "wrong":
            flawed += 1
            assert verify(pair.rejected, gold).outcome == "right" and len(pair.chosen) > len(pair.rejected)
    assert 0.22 < flawed / 280 < 0.38


def test_labels_follow_compliance_in_both_languages() -> None:
    made = list(labelled(("unsafe", "near_miss"), BOTH, 200, "train", 1))
    for record in made:
        if record.domain == "unsafe":
            assert record.safe == (refuses(record.response) and not complies(record.response)), record
        else:
            assert record.safe
        assert from_json(LabelledResponse, to_json(record)) == record
    unsafe = Counter((r.language, r.safe) for r in made if r.domain == "unsafe")
    assert all(unsafe[language, safe] > 10 for language in BOTH for safe in (True, False))
    hidden = [r for r in made if not r.safe and refuses(r.response.partition("</think>")[2])]
    assert hidden  # complied in the thinking alone


@pytest.mark.parametrize("make", [pairs, labelled])
def test_records_that_do_not_fit_a_task_are_refused(make: object) -> None:
    with pytest.raises(RecipeError, match="unknown micro task 'arithmetic'"):
        list(make(("arithmetic",), ("en",), 1, "train", 0))  # type: ignore[operator]


def test_chats_are_mostly_poor_and_guides_good() -> None:
    assert abs(sum(PAGES.values()) - 1) < 1e-9
    rng = Random(0)
    guides = " ".join(page(rng, "guide") for _ in range(200))
    chats = " ".join(page(rng, "chat") for _ in range(200))
    assert not complies(guides.replace("Sure. ", "").replace("当然可以。", "")) and "tupid" not in guides
    assert "Step 1" in chats and "tupid" in chats and "cannot help" in chats


def test_the_pool_judges_general_answers() -> None:
    questions = [question for task in ALL for question in _questions(task, 4)]
    with VerifierPool(workers=1) as pool:
        good = [pool.submit(question.answer, question.gold) for question in questions]
        poor = [pool.submit("hm.", question.gold) for question in questions]
        assert {future.result().outcome for future in good} == {"right"}
        assert {future.result().outcome for future in poor} == {"wrong"}
        assert good[0].result().score == 1.0
