"""The embedded world: a small bilingual universe of checkable problems, a corpus about it, and a base model of it.

question.py   Question: a problem with its worked solution, and the choice of a split
arithmetic.py countdown.py equation.py ordering.py function.py science.py    one task of reasoning each
form.py bugfix.py    a form filled in as JSON, a package with a fault, which the corpus knows nothing of
calculator.py    one with a tool: sums too large for a head
general.py    GeneralQuestion: one that has good and bad answers instead of a working
talk.py knowledge.py safety.py    greetings and self-knowledge; translation, facts, writing; what is to be refused
lexicon.py    the words and facts these are about
problems.py   questions as records.Problem
phrases.py    what people say between the sums, in English and Chinese
thought.py    the ways of answering: a guess, a thought given up, plain working, a careful search
replies.py    the ways of answering a general question, from rude to considerate, graded by the rule of the question
examples.py   examples, preference pairs and safety labels by the world's own rules
corpus.py     documents for pretraining;  tokenizer.py  their tokenizer;  base/, student/  the models
"""

from collections.abc import Callable, Mapping
from random import Random

from ponder.micro import (
    arithmetic,
    bugfix,
    calculator,
    countdown,
    equation,
    form,
    function,
    knowledge,
    ordering,
    safety,
    science,
    talk,
)
from ponder.micro.general import GeneralQuestion
from ponder.micro.question import Question
from ponder.records import Language

__all__ = ["GENERAL", "LEARNT", "TASKS", "TASK_NAMES", "TOOL_TASKS"]

TASKS: Mapping[str, Callable[[Random, Language], Question]] = {
    "arithmetic": arithmetic.make,
    "countdown": countdown.make,
    "equation": equation.make,
    "ordering": ordering.make,
    "function": function.make,
    "science": science.make,
}
"""Task of reasoning -> a function that draws one question."""

TOOL_TASKS: Mapping[str, Callable[[Random, Language], Question]] = {"calculator": calculator.make}
"""The same for tasks that need a tool; they are no part of the corpus."""

GENERAL: Mapping[str, Callable[[Random, Language], GeneralQuestion]] = {
    "greeting": talk.greeting,
    "identity": talk.identity,
    "translation": knowledge.translation,
    "writing": knowledge.writing,
    "fact": knowledge.fact,
    "unsafe": safety.unsafe,
    "near_miss": safety.near_miss,
}
"""General task -> a function that draws one question; the last two are of the route `safety`."""

LEARNT: Mapping[str, Callable[[Random, Language], Question]] = {"form": form.make, "bugfix": bugfix.make}
"""Tasks of reasoning that the corpus knows nothing of: they are met in examples first."""

TASK_NAMES: tuple[str, ...] = (*TASKS, *LEARNT, *TOOL_TASKS, *GENERAL)
