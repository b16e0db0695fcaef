"""The embedded world: a small bilingual universe of checkable problems, a corpus about it, and a base model of it.

question.py   Question: a problem with its worked solution, and the choice of a split
arithmetic.py countdown.py equation.py ordering.py function.py science.py    one task each
problems.py   questions as records.Problem
phrases.py    what people say between the sums, in English and Chinese
thought.py    the ways of answering: a guess, a thought given up, plain working, a careful search
corpus.py     documents for pretraining;  tokenizer.py  their tokenizer;  base/  the model
"""

from collections.abc import Callable
from random import Random

from ponder.micro import arithmetic, countdown, equation, function, ordering, science
from ponder.micro.question import Question
from ponder.records import Language

__all__ = ["TASKS"]

TASKS: dict[str, Callable[[Random, Language], Question]] = {
    "arithmetic": arithmetic.make,
    "countdown": countdown.make,
    "equation": equation.make,
    "ordering": ordering.make,
    "function": function.make,
    "science": science.make,
}
"""Task name -> a function that draws one question."""
