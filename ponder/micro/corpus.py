"""Documents of the embedded world, as a web would hold them.

Three kinds of page: conversations under the R1-Zero preamble, in which most answers are guesses; textbook solutions,
all of them careful; and tables of sums. The base model therefore *can* think carefully and, asked in conversation,
rarely does: what reinforcement learning is to change. Only questions of the train split occur.
"""

from collections.abc import Iterator
from itertools import count
from random import Random

from ponder.micro import TASKS
from ponder.micro.problems import draw
from ponder.micro.question import LARGEST, Question
from ponder.micro.thought import Manner, Thought, think
from ponder.records import Language, Message
from ponder.text.template import TEMPLATES

__all__ = ["END", "documents"]

END = "<|end|>"
"""The end token; conversations hold one after every answer."""

_CONVERSATION: dict[Manner, float] = {"bare": 0.12, "hunch": 0.32, "give_up": 0.39, "careful": 0.17}
_PAGES = {"conversation": 0.30, "textbook": 0.58, "table": 0.12}
_MAX_TURNS = 4
_TASK_WEIGHTS = {"arithmetic": 1.0, "countdown": 2.0, "equation": 1.2, "ordering": 0.8, "function": 1.0, "science": 0.7}
"""Harder tasks are written about more."""


def documents(seed: int, start: int = 0) -> Iterator[str]:
    """Documents number `start`, `start` + 1, ... without end; each depends on the seed and its number alone."""
    kinds = {"conversation": _conversation, "textbook": _textbook, "table": _table}
    for number in count(start):
        rng = Random(f"micro corpus {seed} {number}")
        yield kinds[rng.choices(list(_PAGES), list(_PAGES.values()))[0]](rng)


def _question(rng: Random) -> Question:
    language: Language = rng.choice(("en", "zh"))
    task = rng.choices(list(TASKS), [_TASK_WEIGHTS[name] for name in TASKS])[0]
    return draw(rng, task, language, "train")


def _manner(rng: Random) -> Manner:
    return rng.choices(list(_CONVERSATION), list(_CONVERSATION.values()))[0]


def _reply(thought: Thought) -> str:
    if thought.text is None:
        return f" {thought.answer}"
    return f" <think>{thought.text}</think> <answer>{thought.answer}</answer>"


def _conversation(rng: Random) -> str:
    """One to four questions; after the first, a turn is as the template continues a conversation."""
    text = ""
    for turn in range(rng.randint(1, _MAX_TURNS)):
        question = _question(rng)
        prompt = TEMPLATES["r1-zero"].render((Message(role="user", content=question.prompt),))
        if turn:
            prompt = "\n" + prompt[prompt.index("User: " + question.prompt) :]
        text += prompt + _reply(think(rng, question, _manner(rng))) + END
    return text


def _textbook(rng: Random) -> str:
    question = _question(rng)
    thought = think(rng, question, "careful")
    marks = ("Problem", "Solution") if question.language == "en" else ("题目", "解答")
    return f"{marks[0]}: {question.prompt}\n{marks[1]}:{_reply(thought)}{END}"


def _table(rng: Random) -> str:
    """A column of sums of one kind, in the ranges the tasks use."""
    lines = []
    operator = rng.choice("+-*/")
    for _ in range(rng.randint(10, 30)):
        a, b = rng.randint(1, LARGEST), rng.randint(1, 40)
        if operator in "*/":
            b = rng.randint(2, 12)
            a = rng.randint(2, LARGEST // b)
            lines.append(f"{a}*{b}={a * b}" if operator == "*" else f"{a * b}/{b}={a}")
        elif operator == "+" and a + b <= LARGEST:
            lines.append(f"{a}+{b}={a + b}")
        else:
            a, b = max(a, b), min(a, b)
            lines.append(f"{a}-{b}={a - b}")
    return "\n".join(lines) + END
