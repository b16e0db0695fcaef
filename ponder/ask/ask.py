"""A question to a model and what came back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from ponder.records import FinishReason, Message, Problem, Talk, Unwritten
from ponder.text.think import Response

__all__ = ["Ask", "Asker", "Reply", "ask_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One reply wanted. `number` tells several replies to the same messages apart, `id` names it for people. `problem`
    is what a conversation is about, where a class of the user's own answers the model.

    Example: Ask(id="gsm8k/17", messages=(Message(role="user", content="What is 2+3?"),), number=0).
    """

    id: str
    messages: tuple[Message, ...]
    number: int = 0
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model replied, or `failure`: why there is no reply.

    `text` is as the model wrote it, tags included; `reasoning` is thinking that the server sent apart from it. Token
    counts and cost are None where they are not known; `cached_tokens` are those of the prompt's that a server found in
    its cache. With a `talk` the text is the last turn of a conversation, and its tokens are those of all turns.
    """

    text: str = ""
    reasoning: str | None = None
    finish_reason: FinishReason = "stop"
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    failure: str = ""
    talk: Annotated[Talk | None, Unwritten] = None


class Asker(Protocol):
    """Anything that can be asked; its replies stand in a log, so that nothing is asked twice."""

    def ask(self, asks: Sequence[Ask]) -> None:
        """Make sure that each of them has a reply, or a failure, in the log. Raises EndpointError where going on makes
        no sense."""
        ...

    def reply(self, ask: Ask) -> Reply:
        """What the log holds for something that was asked."""
        ...

    def split(self, reply: Reply) -> Response:
        """The reply taken apart into thinking and answer."""
        ...

    def text(self, reply: Reply) -> str:
        """The whole response with its thinking between tags, as the asked model's own form has it."""
        ...


def ask_all(asker: Asker, asks: Sequence[Ask]) -> list[Reply]:
    """The replies to all of them, in their order."""
    asker.ask(asks)
    return [asker.reply(ask) for ask in asks]
