"""Who a model talks with: the first messages of a conversation, and what each reply is answered with, or the end.

    begin(problems) -> problems whose messages begin the conversation
    read(voice, text) -> Said      answer(problem, replies, said) -> a wait for an Answer

Replies that call tools are answered by the toolbox; the others by the class of the user's own where there is one, and
else by nobody. Nothing of a conversation is kept here or in a worker: the class is made anew for every answer and given
all replies so far, so that any worker may answer, and one that died has taken nothing with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ponder.environment.toolbox import Result, Toolbox
from ponder.errors import RecipeError
from ponder.own import Called, OwnCode
from ponder.policy.voice import Voice
from ponder.recipe.environment import Environment
from ponder.records import Message, Problem, ToolCall, from_json
from ponder.text import CallFault, Reading
from ponder.verify.pool import VerifierPool

__all__ = ["Answer", "Said", "World"]

_MOST_CALLS = 16
"""Calls of one turn that are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A turn of the model's: as a message, its thinking left out, and as what was read of it."""

    message: Message
    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a reply is answered with; `messages` are None at the end. `failure` says why there is none."""

    messages: tuple[Message, ...] | None = None
    failed_calls: int = 0
    seconds: float = 0.0
    failure: str = ""


class World:
    """What a recipe's environment is, with the workers that it needs."""

    def __init__(self, config: Environment, pool: VerifierPool, own: OwnCode) -> None:
        self.config, self._pool = config, pool
        self._toolbox = Toolbox(config, pool, own)

    def voiced(self, voice: Voice) -> Voice:
        """The voice of one who knows the tools."""
        return replace(voice, tools=self._toolbox.tools)

    def begin(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        """The problems with the first messages of their conversations. RecipeError where the class gives none."""
        if self.config.own is None:
            return tuple(problems)
        asked = [(problem, self._ask(problem, ())) for problem in problems]
        found = []
        for problem, wait in asked:
            called = wait()
            if called.failure is not None:
                raise RecipeError(
                    f"{called.failure.reason}: so a conversation about problem {problem.id!r} cannot begin"
                    + (f".\n{called.failure.traceback}" if called.failure.traceback else "")
                )
            found.append(replace(problem, messages=_messages(called)))
        return tuple(found)

    def read(self, voice: Voice, text: str) -> Said:
        """A turn of the model's taken apart."""
        template = voice.template
        spoken = template.spoken(text)
        reading = template.read_calls(voice.tokenizer, spoken, voice.tools) if voice.tools else Reading(text=spoken)
        content = reading.text
        if not reading.items and (answer := template.split(text).answer) is not None:
            content = answer
        return Said(message=Message(role="assistant", content=content, tool_calls=reading.calls), reading=reading)

    def goes_on(self, said: Said) -> bool:
        """Whether there is anybody to answer."""
        return bool(said.reading.items) or self.config.own is not None

    def answer(self, problem: Problem | None, replies: Sequence[Message], said: Said) -> Callable[[], Answer]:
        """Begin to answer; what is returned waits for it. `replies` are the earlier turns without calls."""
        if not said.reading.items:
            assert problem is not None, "a class of the user's own is made with the problem"
            wait = self._ask(problem, (*replies, said.message))
            return lambda: self._of_own(wait())
        items = said.reading.items
        begun = [self._begin(place, item) for place, item in enumerate(items)]

        def results() -> Answer:
            found = [finish() for finish in begun]
            return Answer(
                messages=tuple(_told(item, result) for item, result in zip(items, found, strict=True)),
                failed_calls=sum(result.failed for result in found),
                seconds=sum(result.seconds for result in found),
            )

        return results

    def _begin(self, place: int, item: ToolCall | CallFault) -> Callable[[], Result]:
        """Begin the call at a place of a turn; what is no call is told why."""
        if isinstance(item, CallFault):
            reason = item.reason
            return lambda: Result(text=f"error: this is no call: {reason}", failed=False, seconds=0.0)
        if place >= _MOST_CALLS:
            return lambda: Result(text=f"error: more than {_MOST_CALLS} calls in one turn", failed=True, seconds=0.0)
        return self._toolbox.call(item)

    def _ask(self, problem: Problem, replies: Sequence[Message]) -> Callable[[], Called]:
        config = self.config
        assert config.own is not None
        future = self._pool.call(
            "environment", config.own, problem, tuple(replies), dict(config.arguments), seconds=config.call_seconds
        )
        return future.result

    def _of_own(self, called: Called) -> Answer:
        if called.failure is not None:
            return Answer(failure=called.failure.reason)
        return Answer(messages=None if called.value is None else _messages(called), seconds=called.seconds)


def _told(item: ToolCall | CallFault, result: Result) -> Message:
    if isinstance(item, CallFault):
        return Message(role="tool", content=result.text)
    return Message(role="tool", content=result.text, tool_call_id=item.id, name=item.name)


def _messages(called: Called) -> tuple[Message, ...]:
    return tuple(from_json(Message, one) for one in called.value)
