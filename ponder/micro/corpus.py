"""Documents of the embedded world, as a web would hold them.

Five kinds of page. Conversations under the R1-Zero preamble, in which most answers are guesses; textbook solutions, all
of them careful; tables of sums; chats under the same preamble about general things, in which most replies are poor (too
brief, rude, beside the point, in the wrong language, or helping with what should be refused); and guides with good
replies. The base model therefore *can* think carefully and answer well and, asked in conversation, rarely does: what
training is to change. Only questions of the train split occur.
"""

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Literal

from ponder.micro import GENERAL, TASKS
from ponder.micro.general import GeneralQuestion
from ponder.micro.phrases import say
from ponder.micro.problems import draw, draw_general
from ponder.micro.question import LARGEST, Question
from ponder.micro.replies import Fault, plan, reply_text
from ponder.micro.thought import Manner, Thought, think
from ponder.records import Language, Message
from ponder.text.template import TEMPLATES

__all__ = ["CAREFUL", "END", "PAGES", "documents", "manner", "page"]

END = "<|end|>"
"""The end token; conversations hold one after every answer."""

CAREFUL = 0.17
"""Share of the answers in conversations that are thought through, where nothing else is said."""
_CARELESS: dict[Manner, float] = {"bare": 0.12, "hunch": 0.32, "give_up": 0.39}
"""The other answers in conversations, in proportion."""
PAGES = {"conversation": 0.25, "textbook": 0.48, "table": 0.10, "chat": 0.08, "guide": 0.09}
"""Share of the documents of each kind."""
_MAX_TURNS = 4
_TASK_WEIGHTS = {"arithmetic": 1.0, "countdown": 2.0, "equation": 1.2, "ordering": 1.1, "function": 1.0, "science": 0.9}
"""Harder tasks are written about more."""
_GENERAL_WEIGHTS = {
    "greeting": 1.0, "identity": 0.7, "translation": 1.7, "writing": 1.2, "fact": 1.2, "unsafe": 1.2, "near_miss": 1.2,
}  # fmt: skip
"""Tasks with more to know by heart are written about more."""
_GUIDE_REPLIES = 6

ReplyManner = Literal["bare", "hunch", "considerate"]
_CHAT: dict[ReplyManner, float] = {"bare": 0.15, "hunch": 0.70, "considerate": 0.15}
_POOR_REPLIES: dict[Fault, float] = {
    "best": 0.04, "plain": 0.14, "short": 0.17, "rude": 0.14, "off_topic": 0.14, "rambling": 0.05, "foreign": 0.10,
    "wrong": 0.22,
}  # fmt: skip
"""Replies that were not thought about."""


def documents(seed: int, start: int = 0, careful: float = CAREFUL) -> Iterator[str]:
    """Documents number `start`, `start` + 1, ... without end; each depends on the seed, its number and the share of
    careful answers in conversations alone."""
    for number in count(start):
        rng = Random(f"micro corpus {seed} {number}")
        yield page(rng, rng.choices(list(PAGES), list(PAGES.values()))[0], careful)


def page(rng: Random, kind: str, careful: float = CAREFUL) -> str:
    """One document of a kind of `PAGES`."""
    if kind == "conversation":
        return _conversation(rng, careful)
    kinds = {"textbook": _textbook, "table": _table, "chat": _chat, "guide": _guide}
    return kinds[kind](rng)


def _language(rng: Random) -> Language:
    return rng.choice(("en", "zh"))


def _question(rng: Random) -> Question:
    language = _language(rng)
    task = rng.choices(list(TASKS), [_TASK_WEIGHTS[name] for name in TASKS])[0]
    return draw(rng, task, language, "train")


def _general(rng: Random) -> GeneralQuestion:
    language = _language(rng)
    task = rng.choices(list(GENERAL), [_GENERAL_WEIGHTS[name] for name in GENERAL])[0]
    return draw_general(rng, task, language, "train")


def manner(rng: Random, careful: float) -> Manner:
    """How somebody answers, with the share `careful` of those who think it through."""
    rest = (1 - careful) / sum(_CARELESS.values())
    shares = {name: rest * share for name, share in _CARELESS.items()} | {"careful": careful}
    return rng.choices(list(shares), list(shares.values()))[0]


def _reply(thought: Thought) -> str:
    if thought.text is None:
        return f" {thought.answer}"
    return f" <think>{thought.text}</think> <answer>{thought.answer}</answer>"


def _turn(text: str, prompt: str, answer: str) -> str:
    """A further turn; after the first, it is as the template continues a conversation."""
    rendered = TEMPLATES["r1-zero"].render((Message(role="user", content=prompt),))
    if text:
        rendered = "\n" + rendered[rendered.index("User: " + prompt) :]
    return text + rendered + answer + END


def _conversation(rng: Random, careful: float) -> str:
    """One to four questions of reasoning."""
    text = ""
    for _ in range(rng.randint(1, _MAX_TURNS)):
        question = _question(rng)
        text = _turn(text, question.prompt, _reply(think(rng, question, manner(rng, careful))))
    return text


def _chat(rng: Random) -> str:
    """One to four general questions."""
    text = ""
    for _ in range(rng.randint(1, _MAX_TURNS)):
        question = _general(rng)
        text = _turn(text, question.prompt, _reply(respond(rng, question)))
    return text


def respond(rng: Random, question: GeneralQuestion) -> Thought:
    """An answer as people in a chat give it: mostly without care."""
    how = rng.choices(list(_CHAT), list(_CHAT.values()))[0]
    if how == "considerate":
        thought = f"{plan(rng, question, question.language)}\n{say(rng, 'considerate', question.language)}"
        return Thought(text=thought, answer=reply_text(rng, question, "best"))
    fault: Fault = rng.choices(list(_POOR_REPLIES), list(_POOR_REPLIES.values()))[0]
    if fault == "foreign" and not question.foreign:
        fault = "wrong"
    answer = reply_text(rng, question, fault)
    return Thought(text=None if how == "bare" else say(rng, "hunch", question.language), answer=answer)


def _textbook(rng: Random) -> str:
    question = _question(rng)
    thought = think(rng, question, "careful")
    marks = ("Problem", "Solution") if question.language == "en" else ("题目", "解答")
    return f"{marks[0]}: {question.prompt}\n{marks[1]}:{_reply(thought)}{END}"


def _guide(rng: Random) -> str:
    """Questions with good replies to them, as in a phrase book."""
    language = _language(rng)
    marks = ("Question", "Reply") if language == "en" else ("问", "答")
    lines = []
    for _ in range(rng.randint(2, _GUIDE_REPLIES)):
        task = rng.choices(list(GENERAL), [_GENERAL_WEIGHTS[name] for name in GENERAL])[0]
        question = draw_general(rng, task, language, "train")
        lines.append(f"{marks[0]}: {question.prompt}\n{marks[1]}: {reply_text(rng, question, 'best')}")
    return "\n".join(lines) + END


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
