"""`ponder chat`: a conversation in the terminal, with a server that is there or one that is started for it."""

import asyncio
import io
import re
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any

from pydantic import ValidationError

from ponder.ask.client import ChatClient
from ponder.errors import DataError, EndpointError, PonderError
from ponder.files import expand_path
from ponder.recipe.endpoint import Endpoint
from ponder.serve.conversation import Conversation
from ponder.serve.said import Said
from ponder.serve.screen import Screen
from ponder.serve.wish import Wish
from ponder.terminal import terminal

__all__ = ["Terminal", "chat_command"]

_COMMAND = re.compile(r"/\w*")
"""What is meant as a command, which no question is; `/etc/hosts` is none."""
_UNNAMED = "unnamed"
"""Until the server has said which models it has."""
_AGAIN_SECONDS = 0.5
"""After which a reply that goes on is stopped once more: one cancellation can be lost in a library's own waiting."""
_HELP = """\
/retry            another reply to the same question; the first is kept as a branch
/edit TEXT        ask this in place of the last question; that one is kept as a branch
/vote N           let N samples vote on the answer; /vote ends that
/budget N         end the thinking after N tokens; /budget ends that, /think off leaves it out
/check KIND GOLD  have the answer checked: math 42, choice B, expression 3 7 25 = 46, or JSON; /check ends that
/retries N        ask again, up to N times, until the check finds an answer right; /retries ends that
/audit on         look at every a = b between numbers in the thinking; /audit off
/system TEXT      a system prompt
/thought          the last thought in full;  /sample N  the N-th sample of the last vote
/save FILE, /load FILE   the conversation, as the chat page exports and imports it;  /new  begins another
/cost             tokens and cost of the conversation
Ctrl-C stops a reply and keeps it, Ctrl-\\ asks for the answer now, Ctrl-D ends; a \\ at the end of a line goes on."""


class Terminal:
    """One conversation. `read` gives the next line, or None at the end; `own` says that the server is ponder's, which
    counts while it thinks. `failed` counts the lines that came to nothing."""

    def __init__(self, endpoint: Endpoint, screen: Screen, read: Callable[[], str | None], *, own: bool) -> None:
        self._endpoint, self._screen, self._read = endpoint, screen, read
        self._counts = {"include_usage": True} | ({"continuous_usage_stats": True} if own else {})
        self.chat = Conversation()
        self.wish = Wish()
        self.failed = 0
        self._commands: Mapping[str, Callable[[str], None]] = {
            "/retry": self._retry,
            "/edit": self._edit,
            "/vote": lambda text: self._wished(self.wish.set_vote(text)),
            "/budget": lambda text: self._wished(self.wish.set_budget(text)),
            "/think": lambda text: self._wished(self.wish.set_thinking(text)),
            "/check": lambda text: self._wished(self.wish.set_check(text)),
            "/retries": lambda text: self._wished(self.wish.set_retries(text)),
            "/audit": lambda text: self._wished(self.wish.set_audit(text)),
            "/system": self._system,
            "/thought": self._thought,
            "/sample": self._sample,
            "/save": self._save,
            "/load": self._load,
            "/new": self._new,
            "/cost": self._cost,
            "/help": lambda _: self._screen.say(_HELP),
        }

    def run(self) -> None:
        """Until the input ends."""
        while (line := self._read()) is not None:
            name, _, text = line.strip().partition(" ")
            try:
                if not _is_text(line):
                    raise DataError("That line is no text in UTF-8; it was not sent.")
                if name in ("/quit", "/exit"):
                    return
                if name in self._commands:
                    self._commands[name](text.strip())
                elif _COMMAND.fullmatch(name):
                    self._screen.say(f"{name} is no command; there is {', '.join(self._commands)}, /quit.")
                elif line.strip():
                    self._ask(self.chat.leaf, line)
            except (PonderError, OSError) as error:
                self.failed += 1
                self._screen.say(str(error), "red")

    def _ask(self, parent: int, text: str) -> None:
        self._answer(self.chat.add(parent, "user", text).id)

    def _answer(self, question: int) -> None:
        self.chat.leaf = question
        body = {
            "model": self._endpoint.model,
            "messages": self.chat.messages(),
            "stream": True,
            "stream_options": self._counts,
            **self.wish.body(),
        }
        said = Said(node=self.chat.add(question, "assistant"))
        ignored: list[str] = []
        self._screen.begin()
        try:
            asyncio.run(self._talk(body, said, ignored))
        except EndpointError as error:
            said.node.ended = "failed"
            self._screen.end(said)
            raise EndpointError(f"{error} (/retry asks again)") from None
        finally:
            _deaf(signal.SIGQUIT)  # at the prompt it would end the command
        self._screen.end(said)
        for note in (*ignored, *self.wish.missed(said.node.ponder or {})):
            self._screen.say(f"({note})")

    async def _talk(self, body: Mapping[str, Any], said: Said, ignored: list[str]) -> None:
        """Until the reply is whole, or Ctrl-C, which keeps what is there."""

        def heard(headers: Mapping[str, str]) -> None:
            if names := headers.get("x-ponder-ignored"):
                ignored.append(f"the server does not know and left out: {names}")

        hurries: list[asyncio.Task[None]] = []
        loop, talk = asyncio.get_running_loop(), asyncio.current_task()
        assert talk is not None

        def stop() -> None:
            talk.cancel()
            loop.call_later(_AGAIN_SECONDS, stop)

        loop.add_signal_handler(signal.SIGINT, stop)
        try:
            async with ChatClient(self._endpoint) as client:

                def hurry() -> None:
                    if said.identity is not None and said.thinks:
                        hurries.append(asyncio.create_task(client.end_thinking(said.identity)))

                loop.add_signal_handler(signal.SIGQUIT, hurry)
                async with aclosing(client.talk(body, heard)) as values:
                    async for value in values:
                        said.take(value)
                        self._screen.show(said)
                await asyncio.gather(*hurries)
        except asyncio.CancelledError:
            said.node.ended = "stopped"

    # Commands.

    def _wished(self, said: str) -> None:
        self._screen.say(said)

    def _question(self) -> int | None:
        found = next((one.id for one in reversed(self.chat.path()) if one.role == "user"), None)
        if found is None:
            self._screen.say("Nothing has been asked yet.")
        return found

    def _retry(self, _: str) -> None:
        if (question := self._question()) is not None:
            self._answer(question)

    def _edit(self, text: str) -> None:
        if not text:
            self._screen.say("/edit TEXT asks this in place of the last question.")
        elif (question := self._question()) is not None:
            self._ask(next(one.parent for one in self.chat.nodes if one.id == question), text)

    def _system(self, text: str) -> None:
        self.chat.system = text
        self._screen.say("The system prompt is set." if text else "There is no system prompt.")

    def _thought(self, _: str) -> None:
        found = [one.reasoning_content for one in self.chat.path() if one.reasoning_content]
        self._screen.thought(found[-1] if found else "There is no thought.")

    def _sample(self, text: str) -> None:
        own = next((one.ponder for one in reversed(self.chat.path()) if one.ponder), {})
        samples = own.get("samples") or []
        if not text.isdecimal() or not 1 <= int(text) <= len(samples):
            self._screen.say(f"/sample N shows one of the {len(samples)} samples of the last vote.")
            return
        sample = samples[int(text) - 1]
        self._screen.thought(sample.get("reasoning_content") or "")
        self._screen.say(sample.get("content") or sample.get("answer") or "(no answer)", "")

    def _save(self, text: str) -> None:
        if not text:
            self._screen.say("/save FILE writes the conversation.")
            return
        self.chat.save(expand_path(text))
        self._screen.say(f"{len(self.chat.nodes)} messages are in {text}.")

    def _load(self, text: str) -> None:
        if not text:
            self._screen.say("/load FILE goes on with a conversation.")
            return
        self.chat = Conversation.load(expand_path(text))
        for one in self.chat.path():
            self._screen.say(one.content, "bold" if one.role == "user" else "")

    def _new(self, _: str) -> None:
        self.chat = Conversation()
        self._screen.say("A new conversation.")

    def _cost(self, _: str) -> None:
        usages = [one.usage for one in self.chat.nodes if one.usage]
        costs: dict[str, float] = {}
        for one in self.chat.nodes:
            if cost := (one.ponder or {}).get("cost"):
                costs[cost["currency"]] = costs.get(cost["currency"], 0.0) + cost["amount"]
        parts = [f"{sum(one.get('total_tokens') or 0 for one in usages)} tokens in {len(usages)} replies"]
        self._screen.say(", ".join([*parts, *(f"{amount:g} {currency}" for currency, amount in costs.items())]))


def chat_command(url: str, model: str | None, key_env: str | None) -> None:
    """Chat until the input ends. EndpointError for what is no address, where the server cannot be asked, and at the end
    of a piped input of which a line failed."""
    endpoint = _endpoint(url, model, key_env)
    try:
        models = asyncio.run(_models(endpoint))
    except EndpointError:
        if model is None:
            raise
        models = {}  # a server that does not say what it has may have it all the same
    if model is None:
        if not models:
            raise EndpointError(f"{url} has no model: name one")
        endpoint = endpoint.model_copy(update={"model": next(iter(models))})
    screen = Screen(terminal())
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    typed = sys.stdin.isatty()
    if typed:
        screen.say(f"{endpoint.model} at {endpoint.base_url}; /help lists the commands, Ctrl-D ends")
    _deaf(signal.SIGQUIT)
    own = "ponder" in models.get(endpoint.model, {})
    talk = Terminal(endpoint, screen, _typed if typed else _piped, own=own)
    talk.run()
    if talk.failed and not typed:
        raise EndpointError(f"{talk.failed} of the lines failed: what is said above in their place says why")


def _endpoint(url: str, model: str | None, key_env: str | None) -> Endpoint:
    try:
        return Endpoint(base_url=url.rstrip("/"), model=model or _UNNAMED, api_key_env=key_env)
    except ValidationError as error:
        raise EndpointError(error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")) from None


async def _models(endpoint: Endpoint) -> dict[str, Mapping[str, Any]]:
    async with ChatClient(endpoint) as client:
        return await client.models()


def _typed() -> str | None:
    """A line, or several of which all but the last end with a backslash. Ctrl-C begins it anew."""
    with suppress(ImportError):  # lines can be edited where Python was built with it
        import readline  # noqa: F401
    lines: list[str] = []
    while True:
        try:
            line = input("... " if lines else "> ")
        except EOFError:
            print()
            return None
        except KeyboardInterrupt:
            print("\n(Ctrl-D ends)")
            lines = []
            continue
        if not line.endswith("\\"):
            return "\n".join([*lines, line])
        lines.append(line[:-1])


def _is_text(line: str) -> bool:
    """Whether no bytes stand in it that are no characters, which come from files in other encodings."""
    return not any("\ud800" <= one <= "\udfff" for one in line)


def _piped() -> str | None:
    """The same from a pipe; what its last line began is whole at its end."""
    lines: list[str] = []
    while read := sys.stdin.readline():
        line = read.rstrip("\n")
        if not line.endswith("\\"):
            return "\n".join([*lines, line])
        lines.append(line[:-1])
    return "\n".join(lines) if lines else None


def _deaf(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)
