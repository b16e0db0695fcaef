"""`/v1/chat/completions`: a conversation in, thinking and answer out."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.types import ASGIApp

from ponder.compute.course import to_begin
from ponder.errors import PonderError
from ponder.serve.chat import Chat, Unasked
from ponder.serve.fault import Fault, fault_of
from ponder.serve.formats import guide_of
from ponder.serve.keys import Caller
from ponder.serve.plan import wanted
from ponder.serve.planned import Planned
from ponder.serve.prompt import chat_prompt, job_of
from ponder.serve.reply import PLAIN, Account, ChatForm, to_json, usage
from ponder.serve.tools import offer_of
from ponder.serve.wire import ChatRequest, StreamOptions, read_request

if TYPE_CHECKING:
    from ponder.serve.app import Server

__all__ = ["begin_chat", "chat", "to_json"]


async def chat(server: "Server", request: Request) -> ASGIApp:
    """The route."""
    caller = server.caller(request)
    body = await server.read(request)
    asked, ignored = read_request(ChatRequest, body, server.config.strict)
    identity = f"chatcmpl-{os.urandom(12).hex()}"
    exchange = server.admit(identity, request, caller)
    try:
        reply = await begin_planned(server, asked, identity, caller)
    except BaseException as error:
        exchange.end(Account(prompt=0), [], error=str(error))
        raise
    form = ChatForm(identity, server.about.name, server.fingerprint(), server.config)

    def ended(abandoned: bool) -> None:
        reply.cancel()
        del server.chats[identity]
        texts = {"messages": body["messages"], "replies": [[c.thinking, c.answer] for c in reply.choices]}
        exchange.end(reply.account, [c.reason for c in reply.choices], abandoned=abandoned, texts=texts)

    headers, with_logprobs = server.headers(identity, caller, ignored), bool(asked.logprobs)
    if asked.stream:
        options = asked.stream_options or StreamOptions()
        return server.stream(_chunks(reply, form, options, with_logprobs), headers, ended)
    return server.later(_whole(reply, form, with_logprobs), headers, ended)


async def begin_planned(server: "Server", asked: ChatRequest, identity: str, caller: Caller) -> Chat | Planned:
    """The same for a request that may want more than one sample."""
    want = None
    if asked.ponder is not None:
        want = await asyncio.to_thread(
            wanted, asked.ponder, asked.thinking_tokens, asked.n or 1, server.config.most_samples, bool(asked.tools)
        )
    if want is None:
        return await begin_chat(server, asked, identity, caller)
    score = server.score_of(asked.messages) if want.plan.best_of is not None else None
    seed = asked.seed if asked.seed is not None else int.from_bytes(os.urandom(8), "big")
    asked = asked.model_copy(update={"seed": seed})  # one seed for all that is sampled

    def begin(samples: range) -> Awaitable[Chat]:
        return begin_chat(server, asked, identity, caller, samples, first)

    first = await begin_chat(server, asked, identity, caller, range(to_begin(want.plan, [])))
    planned = Planned(begin, first, want, server.verifiers, score)
    server.chats[identity] = planned
    return planned


async def begin_chat(
    server: "Server",
    asked: ChatRequest,
    identity: str,
    caller: Caller,
    samples: range | None = None,
    first: Chat | None = None,
) -> Chat:
    """A reply under way, which can be found by its identity; Fault for what cannot be done. `samples` as in `job_of`;
    without them the reply is made of all choices. What `first` has found out of the conversation holds."""
    server.check_model(asked.model)
    voice = server.serving.voice
    offer = await offer_of(asked, voice)
    prompt = chat_prompt(voice, asked.messages, thinks=asked.thinks, tools=offer.tools)
    job = job_of(
        asked,
        prompt,
        voice,
        server.defaults,
        server.config,
        key=identity,
        salt=server.salt(asked, caller),
        owner=caller.name,
        limit=asked.max_completion_tokens or asked.max_tokens,
        guide=offer.guide or await guide_of(asked, voice),
        thinking_tokens=asked.thinking_tokens if asked.thinks else None,
        samples=samples,
    )
    control = server.controlled(asked, offer.tools) if first is None else first.control and first.control.again()
    asks = control is None or await control.before()
    found = Chat(
        await server.submit(job) if asks else Unasked(job),
        voice,
        server.silent,
        stops=asked.stops,
        opening=prompt.opening,
        with_logprobs=bool(asked.logprobs),
        tools=offer.tools,
        control=control,
    )
    if samples is None:
        server.chats[identity] = found
    return found


async def _chunks(
    reply: Chat | Planned, form: ChatForm, options: StreamOptions, with_logprobs: bool
) -> AsyncIterator[str]:
    """The events of a stream. An error in the middle is its last event."""
    begun: set[int] = set()
    whole = with_logprobs or options.continuous_usage_stats
    try:
        async for said in reply.deltas():
            if isinstance(said, str):
                yield said
                continue
            choice, delta = said
            if delta.kind in PLAIN and delta.index in begun and not whole:
                yield form.text(delta)
                continue
            chunk = form.chunk(choice, delta, first=delta.index not in begun, with_logprobs=with_logprobs)
            begun.add(delta.index)
            if options.continuous_usage_stats:
                chunk["usage"] = usage(reply.account)
            if delta.reason is not None and reply.ended:
                chunk["ponder"] = form.own(reply.account, reply.notes(), reply.more())
            yield to_json(chunk)
    except (Fault, PonderError) as error:
        fault = error if isinstance(error, Fault) else fault_of(error)
        yield to_json(fault.body())
        return
    if options.include_usage:
        yield to_json(form.usage_chunk(reply.account))
    yield "[DONE]"


async def _whole(reply: Chat | Planned, form: ChatForm, with_logprobs: bool) -> dict[str, Any]:
    """The reply in one piece."""
    async for _ in reply.deltas():
        pass
    return form.body(reply.choices, reply.account, reply.notes(), reply.more(), with_logprobs)
