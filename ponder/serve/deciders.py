"""Who decides on a turn that keywords selected: a model served here or elsewhere, or a trained scorer.

decide(Turn) -> Verdict: right for safe, wrong for unsafe; cannot_tell where the judge fails
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ponder.ask.ask import Ask
from ponder.ask.client import ChatClient
from ponder.ask.form import RequestForm
from ponder.ask.key import api_key
from ponder.ask.reply import split_reply
from ponder.errors import PonderError
from ponder.judge.judge import Answered
from ponder.judge.safety import ask_request_safety, ask_safety, read_safety
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.risk import RiskConfig
from ponder.recipe.rollout import Sampling
from ponder.recipe.serve import ServeConfig
from ponder.records import Message, Problem, Tool, Verdict
from ponder.serve.chat import Chat
from ponder.serve.fault import Fault
from ponder.serve.grammar import value
from ponder.serve.guide import GrammarGuide
from ponder.serve.prompt import Defaults, chat_prompt, job_of
from ponder.serve.serving import Serving
from ponder.serve.wire import ChatRequest, Turn

__all__ = ["Decider", "Selected", "open_decider", "within"]

_GREEDY = Defaults(temperature=0.0, top_p=1.0)
_FORM = {
    "type": "object",
    "properties": {"analysis": {"type": "string", "maxLength": 300}, "safety": {"enum": ["safe", "unsafe"]}},
    "required": ["analysis", "safety"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A conversation that ends with a user's turn, the tools on offer, and the reply to it, whole or so far; None where
    there is none yet."""

    messages: tuple[Message, ...]
    response: str | None
    tools: tuple[Tool, ...] = ()

    def asked(self) -> tuple[Message, ...]:
        """What a judging model is asked."""
        offered = "\n".join(
            f"{one.name}: {one.description} {json.dumps(one.parameters, ensure_ascii=False)}" for one in self.tools
        )
        conversation = "\n\n".join([*([f"tools:\n{offered}"] if offered else []), *map(_written, self.messages)])
        if self.response is None:
            return ask_request_safety(conversation)
        problem = Problem(
            id="turn", messages=(Message(role="user", content=conversation),), gold=None, domain="risk", route="safety"
        )
        return ask_safety(Answered(problem=problem, answer=self.response, response=self.response))


def _written(message: Message) -> str:
    calls = "".join(f"\n{call.name}({call.arguments})" for call in message.tool_calls)
    return f"{message.role}: {message.content}{calls}"


class Decider(Protocol):
    """Anything that decides."""

    async def decide(self, turn: Selected) -> Verdict:
        """Its verdict; raises PonderError or Fault where it fails."""
        ...

    def close(self) -> None:
        """Nothing more is asked."""
        ...


async def open_decider(config: ServeConfig, risk: RiskConfig, serving: Serving, say: Callable[[str], None]) -> Decider:
    """The one that the configuration names; PonderError where it cannot be had."""
    if risk.endpoint is not None:
        api_key(risk.endpoint)  # a key that is missing is told now, not with every verdict
        return _Elsewhere(risk.endpoint, risk.max_tokens)
    if risk.scorer is not None:
        return await asyncio.to_thread(_scored, risk.scorer, config)
    if risk.model is None:
        return _Served(serving, risk.max_tokens, config, own=False)
    apart = config.model_copy(update={"lanes": 1, "template": None})
    return _Served(await Serving.start(apart, risk.model, say), risk.max_tokens, config, own=True)


def _scored(scorer: str, config: ServeConfig) -> Decider:
    from ponder.serve.scored import Scored  # torch, which this process does without otherwise

    return Scored.load(scorer, config)


class _Served:
    """A model in lanes of this server. It answers without a thought, in the form that is read."""

    def __init__(self, serving: Serving, max_tokens: int, config: ServeConfig, *, own: bool) -> None:
        self._serving, self._max_tokens, self._config, self._own = serving, max_tokens, config, own

    async def decide(self, turn: Selected) -> Verdict:
        voice = self._serving.voice
        asked = ChatRequest(messages=tuple(Turn(role="user", content=one.content) for one in turn.asked()))
        prompt = chat_prompt(voice, asked.messages, thinks=False)
        job = job_of(
            asked,
            prompt,
            voice,
            _GREEDY,
            self._config,
            key="risk",
            salt="risk control",
            owner="risk control",
            limit=min(self._max_tokens, voice.window - len(prompt.ids)),
            guide=GrammarGuide(grammar=value(_FORM), thinks=False),
        )
        reply = Chat(
            await self._serving.submit(job),
            voice,
            voice.silent_ids(),
            stops=(),
            opening=prompt.opening,
            with_logprobs=False,
        )
        async for _ in reply.deltas():
            pass
        return _read(reply.choices[0].answer)

    def close(self) -> None:
        if self._own:
            self._serving.close()


class _Elsewhere:
    """A model at an endpoint."""

    def __init__(self, endpoint: Endpoint, max_tokens: int) -> None:
        self._endpoint = endpoint
        self._form = RequestForm(endpoint, Sampling(temperature=0.0, max_tokens=max_tokens), seed=0)

    async def decide(self, turn: Selected) -> Verdict:
        async with ChatClient(self._endpoint) as client:
            reply, _ = await client.chat(self._form.body(Ask(id="risk", messages=turn.asked())), 0)
        if reply.failure:
            return Verdict(outcome="cannot_tell", reason=reply.failure)
        if reply.finish_reason == "length":
            return Verdict(outcome="cannot_tell", reason="the judge's reply is cut at its length limit")
        return _read(split_reply(reply).answer or "")

    def close(self) -> None:
        pass


def _read(text: str) -> Verdict:
    found = read_safety(text)
    if found is None:
        return Verdict(outcome="cannot_tell", reason="the judge's reply does not follow the form")
    return Verdict(outcome=found[0], reason=found[1])


async def within(decider: Decider, turn: Selected, seconds: float) -> Verdict:
    """Its verdict, or `cannot_tell` where it fails or takes longer."""
    try:
        async with asyncio.timeout(seconds):
            return await decider.decide(turn)
    except (PonderError, Fault, TimeoutError) as error:
        return Verdict(outcome="cannot_tell", reason=str(error) or f"no verdict within {seconds:g} seconds")
