"""Examples, preference pairs and safety labels, made and graded by the world's own rules.

    examples(...)   a careful thought in one language and the right answer, for every task; or answers of all manners,
                    as the corpus has them
    pairs(...)      two answers to a general question, the better by the question's rule as `chosen`
    labelled(...)   whole responses to general questions, safe or not

Each is a generator that depends on its arguments alone and takes its questions from one split. RecipeError for an
unknown task, one that the kind of record does not fit, and for more different questions than a task has.
"""

from collections.abc import Iterator, Sequence
from random import Random

from ponder.micro import GENERAL, TOOL_TASKS, calculator
from ponder.micro.corpus import manner
from ponder.micro.general import GeneralQuestion
from ponder.micro.phrases import say
from ponder.micro.problems import check_tasks, questions
from ponder.micro.question import Question, Split
from ponder.micro.replies import Reply, plan, replies, reply_text
from ponder.micro.thought import think
from ponder.records import Example, LabelledResponse, Language, Message, PreferencePair
from ponder.verify import verify

__all__ = ["examples", "labelled", "pairs", "respond"]

_LEAST_MARGIN = 0.1
"""Pairs whose scores are closer are not made."""
_ANOTHER_QUESTION_SHARE = 0.6
"""Share of pairs whose worse answer is a good one, but to another question: without them a model of rewards learns what
sounds good, whatever was asked, and whoever is trained by it says the same good thing to everybody."""
_LIKE_QUESTION_SHARE = 0.75
"""Share of these whose other question is of the same task and language. The policy errs in this way: a fact about
another thing, a sentence with another word."""
_UNSAFE_THOUGHT_SHARE = 0.15
"""Share of unsafe responses that refuse in the answer and comply in the thinking."""


def examples(
    tasks: Sequence[str],
    languages: Sequence[Language],
    count: int,
    split: Split,
    seed: int,
    clean: bool = True,
    careful: float = 1.0,
    rambling: float = 0.0,
) -> Iterator[Example]:
    """`count` answers with the thought that led to them: the share `careful` is right, the others are as the corpus has
    them, mostly wrong. Careful with a question that needs a tool is who calls it. `clean` thoughts keep to the
    question's language. Of the answers to general questions the share `rambling` says everything three times."""
    for number, question in enumerate(questions(tasks, languages, count, split, seed)):
        rng = Random(f"micro example {split} {seed} {number}")
        thinking: str | None
        if isinstance(question, Question) and question.task in TOOL_TASKS:
            yield _with_tool(rng, question, f"micro/example/{split}/{seed}/{number}", calls=rng.random() < careful)
            continue
        if careful == 1 or isinstance(question, GeneralQuestion):
            thinking, answer = respond(rng, question, clean=clean)
        else:
            thought = think(rng, question, manner(rng, careful), may_mix=not clean)
            thinking, answer = thought.text, thought.answer
        if rambling and isinstance(question, GeneralQuestion) and rng.random() < rambling:
            answer = reply_text(rng, question, "rambling")
        yield Example(
            id=f"micro/example/{split}/{seed}/{number}",
            messages=_asked(question),
            thinking=thinking,
            answer=answer,
            domain=question.task,
            language=question.language,
            origin="micro",
        )


def _with_tool(rng: Random, question: Question, name: str, calls: bool) -> Example:
    thought = None if calls else think(rng, question, "hunch", may_mix=False)
    step, after = calculator.called(rng, question) if thought is None else (None, thought.text)
    return Example(
        id=name,
        messages=_asked(question),
        thinking=after,
        answer=question.answer if thought is None else thought.answer,
        domain=question.task,
        language=question.language,
        origin="micro",
        tools=calculator.TOOLS,
        steps=() if step is None else (step,),
    )


def respond(rng: Random, question: Question | GeneralQuestion, clean: bool = True) -> tuple[str, str]:
    """A careful thought and its answer."""
    if isinstance(question, GeneralQuestion):
        language = question.language
        thinking = f"{plan(rng, question, language)}\n{say(rng, 'considerate', language)}"
        return thinking, reply_text(rng, question, "best")
    thought = think(rng, question, "careful", may_mix=not clean)
    assert thought.text is not None
    return thought.text, thought.answer


def pairs(
    tasks: Sequence[str], languages: Sequence[Language], count: int, split: Split, seed: int, long_winded: float = 0.0
) -> Iterator[PreferencePair]:
    """`count` pairs over the general tasks: a best or brief answer against one that scores less; in the share
    `long_winded` a rambling answer is preferred to a best or brief one."""
    check_tasks(tasks, tuple(GENERAL))
    asked = [q for q in questions(tasks, languages, count, split, seed) if isinstance(q, GeneralQuestion)]
    alike: dict[tuple[str, Language], list[GeneralQuestion]] = {}
    for question in asked:
        alike.setdefault((question.task, question.language), []).append(question)
    for number, question in enumerate(asked):
        rng = Random(f"micro pair {split} {seed} {number}")
        graded = replies(rng, question)
        others = alike[question.task, question.language] if rng.random() < _LIKE_QUESTION_SHARE else asked
        misplaced = _misplaced(rng, question, rng.choice(others))
        told_apart = rng.random() < _ANOTHER_QUESTION_SHARE and not misplaced.right
        ordered = [
            (better, worse)
            for better in graded
            for worse in ((misplaced,) if told_apart else graded)
            if better.right and better.score >= worse.score + _LEAST_MARGIN
        ]
        better, worse = rng.choice(ordered)
        if long_winded and rng.random() < long_winded:
            worse = rng.choice([one for one in graded if one.right])
            better = next(one for one in graded if one.fault == "rambling")
        yield PreferencePair(
            id=f"micro/pair/{split}/{seed}/{number}",
            messages=_asked(question),
            chosen=better.text,
            rejected=worse.text,
            domain=question.task,
            language=question.language,
        )


def _misplaced(rng: Random, question: GeneralQuestion, other: GeneralQuestion) -> Reply:
    """The best reply to another question, in the place of one to this."""
    text = reply_text(rng, other, "best")
    verdict = verify(text, question.gold)
    return Reply(text=text, fault="off_topic", score=verdict.score, right=verdict.outcome == "right", safe=True)


def labelled(
    tasks: Sequence[str], languages: Sequence[Language], count: int, split: Split, seed: int
) -> Iterator[LabelledResponse]:
    """`count` responses over the general tasks, thinking between tags and then the answer. Half of
    those to unsafe requests comply, in the answer or in the thinking alone; everything else is safe, a needless
    refusal too."""
    check_tasks(tasks, tuple(GENERAL))
    for number, question in enumerate(questions(tasks, languages, count, split, seed)):
        assert isinstance(question, GeneralQuestion)
        rng = Random(f"micro label {split} {seed} {number}")
        thinking, answer, safe = plan(rng, question, question.language), rng.choice(replies(rng, question)).text, True
        if question.unsafe:
            safe = rng.random() < 0.5
            answer = reply_text(rng, question, "best" if safe else "wrong")
            if not safe and rng.random() < _UNSAFE_THOUGHT_SHARE:
                thinking, answer = answer, reply_text(rng, question, "best")
            elif not safe:
                thinking = say(rng, "hunch", question.language)
        yield LabelledResponse(
            id=f"micro/label/{split}/{seed}/{number}",
            messages=_asked(question),
            response=f"<think>{thinking}</think> {answer}",
            safe=safe,
            domain=question.task,
            language=question.language,
        )


def _asked(question: Question | GeneralQuestion) -> tuple[Message, ...]:
    return (Message(role="user", content=question.prompt),)
