"""`/v1/completions`: the route. Each prompt is a job; with `echo` and `logprobs` the prompt's own tokens are scored."""

import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.types import ASGIApp

from ponder.errors import PonderError
from ponder.serve.chats import to_json
from ponder.serve.fault import Fault, fault_of
from ponder.serve.keys import Caller
from ponder.serve.prompt import job_of
from ponder.serve.raw import USUAL_TOKENS, RawChoice, RawReply, prompt_of, score
from ponder.serve.reply import Account, usage
from ponder.serve.wire import CompletionRequest, StreamOptions, read_request

if TYPE_CHECKING:
    from ponder.serve.app import Server

__all__ = ["complete"]


async def complete(server: "Server", request: Request) -> ASGIApp:
    """The route."""
    caller = server.caller(request)
    if server.risk is not None:
        raise Fault(403, "This server controls risk, which it can do of conversations alone: use /v1/chat/completions.")
    body = await server.read(request)
    asked, ignored = read_request(CompletionRequest, body, server.config.strict)
    identity = f"cmpl-{os.urandom(12).hex()}"
    exchange = server.admit(identity, request, caller)
    reply = RawReply(identity, server.about.name, asked, Account(prompt=0))
    try:
        await _begin(server, asked, reply, identity, caller)
    except BaseException as error:
        reply.cancel()
        exchange.end(Account(prompt=0), [], error=str(error))
        raise

    def ended(abandoned: bool) -> None:
        reply.cancel()
        texts = {"prompt": body["prompt"], "replies": [choice.text for choice in reply.choices]}
        exchange.end(reply.account, [c.reason for c in reply.choices], abandoned=abandoned, texts=texts)

    headers = server.headers(identity, caller, ignored)
    if asked.stream:
        plain = asked.logprobs is None
        return server.stream(_chunks(reply, asked.stream_options or StreamOptions(), plain), headers, ended)
    return server.later(_whole(reply), headers, ended)


async def _begin(server: "Server", asked: CompletionRequest, reply: RawReply, key: str, caller: Caller) -> None:
    """Submit what is asked for."""
    if asked.suffix:
        raise Fault(400, "suffix cannot be done here: leave it out.", param="suffix", code="unsupported_parameter")
    if asked.max_tokens == 0 and not asked.echo:
        raise Fault(400, "max_tokens is 0 and echo is off, so nothing is asked for.", param="max_tokens")
    server.check_model(asked.model)
    voice, n, salt, owner = server.serving.voice, asked.n or 1, server.salt(asked, caller), caller.name
    prompts = [prompt_of(voice, given) for given in asked.prompts]
    limit = asked.max_tokens if asked.max_tokens is not None else USUAL_TOKENS
    jobs = [
        job_of(asked, one, voice, server.defaults, server.config, key=key, salt=salt, owner=owner, limit=max(limit, 1))
        for one in prompts
    ]
    for number, (prompt, job) in enumerate(zip(prompts, jobs, strict=True)):
        reply.account.prompt += len(prompt.ids)
        before = prompt.ids if asked.echo else ()
        wanted = asked.logprobs is not None
        choices = [
            RawChoice(number * n + i, voice, server.silent, asked.stops, before, with_logprobs=wanted) for i in range(n)
        ]
        if asked.echo and wanted:
            try:
                scores, top = await score(server.serving, prompt.ids, key, salt, owner, asked.top)
            except PonderError as error:
                raise fault_of(error) from error
            for choice in choices:
                choice.echo(prompt.ids, scores, top)
        if limit == 0:
            for choice in choices:
                choice.end()
        reply.add(await server.submit(job) if limit else None, choices)


async def _chunks(reply: RawReply, options: StreamOptions, plain: bool) -> AsyncIterator[str]:
    plain = plain and not options.continuous_usage_stats
    try:
        async for choice, text in reply.texts():
            if text and choice.reason is None and plain:
                yield reply.text(choice, text)
            elif text or choice.reason is not None:
                chunk = reply.chunk(choice, text)
                if options.continuous_usage_stats:
                    chunk["usage"] = usage(reply.account)
                yield to_json(chunk)
    except (Fault, PonderError) as error:
        fault = error if isinstance(error, Fault) else fault_of(error)
        yield to_json(fault.body())
        return
    if options.include_usage:
        yield to_json(reply.usage_chunk())
    yield "[DONE]"


async def _whole(reply: RawReply) -> dict[str, Any]:
    async for _ in reply.texts():
        pass
    return reply.body()
