"""Risk control: keywords select turns, a judge decides, and what is unsafe is noted or withheld.

Of a conversation before anything is computed; of a reply while it is written, and as a whole. Nothing is edited: a turn
passes as it is, or nothing more of it is sent.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal

from ponder.judge.keywords import Keywords, Watch, read_rules
from ponder.recipe.risk import RiskAction, RiskConfig
from ponder.records import Message, Tool
from ponder.serve.chat import Chat, Unasked
from ponder.serve.choice import Choice, Delta
from ponder.serve.deciders import Decider, Selected, within
from ponder.serve.metrics import Metrics

__all__ = ["Risk", "Turned"]

Where = Literal["prompt", "reply"]
_SPOKEN: tuple[Literal["thinking"], Literal["answer"]] = ("thinking", "answer")


class Risk:
    """What a service does about risk; DataError for rules that cannot be used. `say` is told why a judge fails, once
    until it fails otherwise or gives a verdict."""

    def __init__(self, config: RiskConfig, decider: Decider, metrics: Metrics, say: Callable[[str], None]) -> None:
        self.config = config
        self.keywords = Keywords(read_rules(config.rules))
        self._decider, self._metrics, self._say = decider, metrics, say
        self._failure: str | None = None

    async def of_prompt(self, messages: Sequence[Message], tools: Sequence[Tool]) -> RiskAction:
        """What is done about a conversation, and about what it says of the tools on offer."""
        action = self.config.prompt_action
        if action == "pass":
            return "pass"
        texts = [*map(_said, messages), *map(_told, tools)]
        rules = await asyncio.to_thread(self._found, texts)  # seconds, where the conversation is long
        turn = Selected(messages=tuple(messages), response=None, tools=tuple(tools))
        return await self._decided("prompt", rules, turn, action)

    def _found(self, texts: Iterable[str]) -> set[str]:
        return {rule for text in texts for rule in self.keywords.found(text)}

    async def of_reply(self, messages: Sequence[Message], response: str, rules: Iterable[str]) -> RiskAction:
        """What is done about a reply, whole or so far, that rules have selected."""
        turn = Selected(messages=tuple(messages), response=response)
        return await self._decided("reply", set(rules), turn, self.config.reply)

    async def _decided(self, where: Where, rules: set[str], turn: Selected, action: RiskAction) -> RiskAction:
        if not rules:
            return "pass"
        verdict = await within(self._decider, turn, self.config.seconds)
        failure = verdict.reason if verdict.outcome == "cannot_tell" else None
        if failure is not None and failure != self._failure:
            self._say(f"risk control: no verdict on a {where} (on_failure: {self.config.on_failure}): {failure}")
        self._failure = failure
        if failure is not None:
            self._metrics.risk(where, rules, "failed")
            return action if self.config.on_failure == "withhold" else "pass"
        unsafe = verdict.outcome == "wrong"
        self._metrics.risk(where, rules, {"note": "noted", "withhold": "withheld"}[action] if unsafe else "passed")
        return action if unsafe else "pass"

    def close(self) -> None:
        """Nothing more is asked."""
        self._decider.close()


def _said(message: Message) -> str:
    return "\n".join([message.content, *(call.arguments for call in message.tool_calls)])


def _told(tool: Tool) -> str:
    return f"{tool.name}\n{tool.description}\n{json.dumps(tool.parameters, ensure_ascii=False)}"


@dataclass
class _State:
    """Of one choice: a watch for each kind of text, and what has not been sent yet."""

    watches: dict[str, Watch]
    held: list[Delta] = field(default_factory=list)
    kind: str | None = None
    over: bool = False

    @property
    def rules(self) -> set[str]:
        return {rule for watch in self.watches.values() for rule in watch.found}

    @property
    def matched(self) -> bool:
        return any(watch.matched for watch in self.watches.values())

    def take(self, delta: Delta) -> None:
        """Look at it; what may be the beginning of a word stays with its watch."""
        if delta.kind == "thinking" or delta.kind == "answer":
            if settled := self.watches[delta.kind].feed(delta.text):
                self.held.append(replace(delta, text=settled))
            return
        if delta.call is not None:
            self.watches["call"].feed(delta.call.arguments)
        self.held.append(delta)

    def release(self, index: int) -> None:
        """What the watches kept stands behind what came before it."""
        self.watches["call"].release()
        for kind in _SPOKEN:
            if text := self.watches[kind].release():
                self.held.append(Delta(index=index, kind=kind, text=text))


class Turned:
    """The deltas of one reply under control."""

    def __init__(self, risk: Risk, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> None:
        self._risk, self._messages, self._tools = risk, messages, tools
        self._prompt: RiskAction | None = None
        self._states: dict[int, _State] = defaultdict(
            lambda: _State({kind: risk.keywords.watch() for kind in (*_SPOKEN, "call")})
        )
        self._notes: list[tuple[int, dict[str, str]]] = []

    def again(self) -> "Turned":
        """For another reply to the same conversation, which is not judged anew."""
        other = Turned(self._risk, self._messages, self._tools)
        other._prompt = self._prompt
        return other

    async def before(self) -> bool:
        """Whether the conversation may be answered."""
        if self._prompt is None:
            self._prompt = await self._risk.of_prompt(self._messages, self._tools)
        return self._prompt != "withhold"

    def notes(self, choice: int | None = None) -> list[dict[str, str]]:
        """What was done about the conversation, and about this choice or all."""
        asked = [] if self._prompt in (None, "pass") else [{"where": "prompt", "action": str(self._prompt)}]
        return [*asked, *(note for index, note in self._notes if choice in (None, index))]

    async def deltas(self, reply: Chat) -> AsyncGenerator[tuple[Choice, Delta]]:
        """What may be sent of the reply."""
        if isinstance(reply.ticket, Unasked):
            for choice in reply.choices:
                for refusal in self.refused(choice):
                    yield choice, refusal
            return
        async with aclosing(reply.computed()) as computed:
            async for choice, delta in computed:
                state = self._states[choice.index]
                passed = [] if state.over else await self._passed(choice, state, delta)
                if passed is None:
                    state.over = True
                    reply.ticket.cancel(choice.index)
                    passed = self.refused(choice)
                for one in passed:
                    yield choice, one

    def refused(self, choice: Choice) -> list[Delta]:
        """The choice is withheld, and this is said in its place."""
        text = self._risk.config.refusal
        choice.withhold(text)
        return [
            Delta(index=choice.index, kind="refusal", text=text),
            Delta(index=choice.index, reason=choice.reason),
        ]

    async def _passed(self, choice: Choice, state: _State, delta: Delta) -> list[Delta] | None:
        """What may be sent now; None where the choice is withheld."""
        ends = delta.reason is not None
        if delta.kind != state.kind:  # no word goes on in another kind of text
            state.release(choice.index)
        state.kind = delta.kind
        state.take(delta)
        if state.matched or (ends and state.rules):
            action = await self._risk.of_reply(self._messages, _written(choice), state.rules)
            if action == "withhold" or (action == "note" and ends):
                self._notes.append((choice.index, {"where": "reply", "action": action}))
            if action == "withhold":
                return None
            state.release(choice.index)
        if not ends and (self._risk.config.hold == "turn" or state.rules):
            return []
        sent, state.held = state.held, []
        return sent


def _written(choice: Choice) -> str:
    """The reply as a judge reads it."""
    thought = f"<think>\n{choice.thinking}\n</think>\n\n" if choice.thinking else ""
    calls = "".join(f"\n{call.name}({call.arguments})" for call in choice.calls)
    return thought + choice.answer + calls
