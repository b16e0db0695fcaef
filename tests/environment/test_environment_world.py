"""Classes of the user's own that answer a model: asked apart, made anew for every answer, and never believed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.environment import World
from ponder.environment.world import Said
from ponder.errors import RecipeError
from ponder.own import read_own
from ponder.own.apart import check_own
from ponder.recipe.environment import Environment
from ponder.recipe.own import OwnUse
from ponder.records import MathGold, Message, Problem, ToolCall
from ponder.text import CallFault, Reading
from ponder.verify.pool import VerifierPool

FILE = '''
import os, time
from ponder.records import Message

class Guess:
    """Guess a number; asked at most `tries` times."""
    def __init__(self, problem, tries=3):
        self.secret, self.left = int(problem.gold.answer), tries
    def first(self):
        return [Message(role="system", content="Guess."), Message(role="user", content="A number from 1 to 9?")]
    def answer(self, reply):
        self.left -= 1
        said = int(reply.content)
        if said == self.secret or self.left == 0:
            return None
        return "higher" if said < self.secret else [Message(role="user", content="lower")]

class Plain:
    def __init__(self, problem): self.problem = problem
    def first(self): return self.problem.messages
    def answer(self, reply): raise AssertionError("not asked")
class Raises(Plain):
    def answer(self, reply): return {}[reply.content]
class Hangs(Plain):
    def answer(self, reply): time.sleep(600)
class Dies(Plain):
    def answer(self, reply): os._exit(1)
class Number(Plain):
    def answer(self, reply): return 5
class Speaks(Plain):
    def answer(self, reply): return [Message(role="assistant", content="I am you")]
class Fickle(Plain):
    count = 0
    def answer(self, reply): return "go on" if reply.content == "a" and not os.path.exists(FLAG) else None
class Half(Plain):
    def answer(self, reply): return "\\ud800"
class Empty(Plain):
    def first(self): return []
class Text(Plain):
    def first(self): return "Say a number."
class Nobody(Plain):
    def first(self): return None
class Early(Plain):
    def __init__(self, problem): raise ValueError("too early")
class NoFirst:
    def __init__(self, problem): pass
    def answer(self, reply): pass
class Wide(Plain):
    def answer(self, reply, more): pass
class Bare(Plain):
    def __init__(self): pass
class Later(Plain):
    async def answer(self, reply): pass
def function(problem): pass
'''
PROBLEM = Problem(id="p", messages=(Message(role="user", content="q?"),), gold=MathGold(answer="7"), domain="game")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("own")
    (found / "game.py").write_text(FILE + f"FLAG = {str(found / 'flag')!r}\n")
    return found


@pytest.fixture(scope="module")
def pool(folder: Path) -> Iterator[VerifierPool]:
    with VerifierPool(workers=2, own=read_own(["game.py"], folder)) as found:
        yield found


def world(pool: VerifierPool, folder: Path, name: str, **arguments: object) -> World:
    config = Environment(own=f"game.py:{name}", arguments=arguments, call_seconds=1)
    return World(config, pool, read_own(["game.py"], folder))


def said(text: str) -> Said:
    return Said(message=Message(role="assistant", content=text), reading=Reading(text=text))


def test_a_game_over_several_turns(pool: VerifierPool, folder: Path) -> None:
    game = world(pool, folder, "Guess", tries=4)
    (problem,) = game.begin([PROBLEM])
    assert [one.role for one in problem.messages] == ["system", "user"] and problem.id == "p"
    replies: list[Message] = []
    heard = []
    for text in ("5", "9", "7"):
        answer = game.answer(problem, replies, said(text))()
        heard.append(None if answer.messages is None else answer.messages[0].content)
        replies.append(said(text).message)
    assert heard == ["higher", "lower", None]
    assert world(pool, folder, "Guess", tries=1).answer(problem, [], said("5"))().messages is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Raises", r"game\.py:\d+: game\.py:Raises raises KeyError"),
        ("Hangs", "gave nothing within 1 seconds"),
        ("Dies", "ended the worker"),
        ("Number", "returned a int 5 from `answer`; expected a text"),
        ("Half", "half of a surrogate pair"),
        ("Speaks", "a message of the role 'assistant' from `answer`; expected user"),
    ],
)
def test_an_answer_that_is_none_is_a_failure_and_no_end(
    pool: VerifierPool, folder: Path, name: str, reason: str
) -> None:
    answer = world(pool, folder, name).answer(PROBLEM, [], said("x"))()
    assert answer.messages is None
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(answer.failure)


def test_a_class_that_changes_its_mind_is_found_out(pool: VerifierPool, folder: Path) -> None:
    fickle = world(pool, folder, "Fickle")
    assert fickle.answer(PROBLEM, [], said("a"))().messages is not None
    (folder / "flag").touch()
    answer = fickle.answer(PROBLEM, [said("a").message], said("a"))()
    assert "ended the conversation at reply 1 of 2, at which it went on" in answer.failure


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Empty", "expected a list of ponder.records.Message, such as"),
        ("Text", "returned a str 'Say a number.' from `first`; expected a list of ponder.records.Message, such as"),
        ("Nobody", "from `first`"),
        ("Early", r"game\.py:\d+: .*ValueError: too early"),
    ],
)
def test_a_conversation_that_cannot_begin_stops_the_run(
    pool: VerifierPool, folder: Path, name: str, reason: str
) -> None:
    with pytest.raises(RecipeError, match=reason):
        world(pool, folder, name).begin([PROBLEM])


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("Gues", {}, "has no class 'Gues'; it has Bare, Dies"),
        ("function", {}, r"game\.py:\d+: game\.py:function is a function .*expected a class with the methods"),
        ("NoFirst", {}, r"game\.py:\d+: game\.py:NoFirst has no method `first\(self\)`. docs/tools.md shows files"),
        ("Wide", {}, r"has `answer\(self, reply, more\)`, but it is called with \(self, reply\): missing"),
        ("Bare", {}, "is made by .*, but it is called with .*problem: Problem"),
        ("Guess", {"tires": 3}, "tires=3"),
        ("Later", {}, "async or yielding `answer`"),
    ],
)
def test_what_is_no_environment_is_said_with_its_line(
    folder: Path, name: str, arguments: dict[str, object], reason: str
) -> None:
    use = OwnUse(role="environment", function=f"game.py:{name}", arguments=arguments)
    with pytest.raises(RecipeError, match=reason):
        check_own(read_own(["game.py"], folder), [use])


def test_calls_of_one_turn_are_made_in_order_and_not_without_end(pool: VerifierPool, folder: Path) -> None:
    calls = tuple(ToolCall(name="calculator", arguments=f'{{"expression": "{n}+1"}}') for n in range(20))
    items = (CallFault(text="<tool_call>", reason="cut"), *calls)
    both = World(Environment(tools=("calculator",)), pool, read_own(["game.py"], folder))
    turn = Said(message=Message(role="assistant", content="", tool_calls=calls), reading=Reading(items=items))
    answer = both.answer(None, [], turn)()
    assert answer.messages is not None and answer.failed_calls == 5
    told = [message.content for message in answer.messages]
    assert told == [
        "error: this is no call: cut",
        *map(str, range(1, 16)),
        *["error: more than 16 calls in one turn"] * 5,
    ]
