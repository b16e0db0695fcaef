"""The routes: requests checked, given to the engine, answered. What is wrong is one shape of error everywhere."""

import asyncio
import hashlib
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import ponder
from ponder.errors import PonderError
from ponder.recipe.serve import ServeConfig
from ponder.records import Tool
from ponder.rollout.engine import Job
from ponder.serve.answer import Events, Later
from ponder.serve.chat import Chat
from ponder.serve.chats import chat
from ponder.serve.completions import complete
from ponder.serve.exchange import Exchange, RequestLog
from ponder.serve.fault import Fault, fault_of
from ponder.serve.guard import Guard
from ponder.serve.history import messages_of
from ponder.serve.keys import Caller, Keys
from ponder.serve.metrics import Metrics
from ponder.serve.openapi import document
from ponder.serve.page import page
from ponder.serve.planned import Planned, Score
from ponder.serve.prompt import Defaults, chat_prompt
from ponder.serve.responses import respond
from ponder.serve.risk import Risk, Turned
from ponder.serve.serving import Serving, Ticket
from ponder.serve.verifiers import Verifiers
from ponder.serve.wire import ChatRequest, Control, Detokenize, Sampled, Tokenize, Turn, read_body, read_request

if TYPE_CHECKING:
    from ponder.serve.scoring import Scoring

__all__ = ["About", "Server"]

_BODY_SECONDS = 60.0
"""Longest time that a body may take to arrive."""
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([^\s;\"']+)", re.IGNORECASE)
_UTF8 = ("utf-8", "utf8", "us-ascii", "ascii")

_MOST_LISTED, _LONGEST_LISTED = 32, 64
"""Names of fields that a header lists, and characters of each."""

Handler = Callable[[Request], Awaitable[ASGIApp]]


class About:
    """What is known of the model that is served: the names it answers to, and what /v1/models says of it."""

    def __init__(self, name: str, aliases: tuple[str, ...], details: Mapping[str, Any]) -> None:
        self.name, self.aliases, self.details = name, aliases, details
        self.created = int(time.time())


class Server:
    """Everything that the routes share. `app` is the ASGI application."""

    def __init__(
        self,
        config: ServeConfig,
        serving: Serving,
        keys: Keys,
        about: About,
        defaults: Defaults,
        scoring: "Scoring | None" = None,
    ) -> None:
        self._scoring = scoring
        self.config, self.serving, self.keys, self.about, self.defaults = config, serving, keys, about, defaults
        self.silent = serving.voice.silent_ids()
        self.chats: dict[str, Chat | Planned] = {}
        self.verifiers = Verifiers()
        self.risk: Risk | None = None
        self._log = RequestLog(config)
        self.metrics = Metrics(lambda: serving.load)
        routes = [
            Route(path, _endpoint(handler), methods=methods)
            for path, handler, methods in (
                ("/v1/chat/completions", partial(chat, self), ["POST"]),
                ("/v1/completions", partial(complete, self), ["POST"]),
                ("/v1/responses", partial(respond, self), ["POST"]),
                ("/v1/chat/completions/control", self._control, ["POST"]),
                ("/v1/models", self._models, ["GET"]),
                ("/v1/models/{name:path}", self._model, ["GET"]),
                ("/v1/usage", self._usage, ["GET"]),
                ("/tokenize", self._tokenize, ["POST"]),
                ("/detokenize", self._detokenize, ["POST"]),
                ("/tokenizer_info", self._tokenizer_info, ["GET"]),
                ("/", self._page, ["GET"]),
                ("/health", self._health, ["GET"]),
                ("/ready", self._ready, ["GET"]),
                ("/metrics", self._metrics_page, ["GET"]),
                ("/openapi.json", self._openapi, ["GET"]),
            )
        ]
        handlers: dict[Any, Any] = {Fault: self._told, HTTPException: self._unrouted, Exception: self._crashed}
        self.app: ASGIApp = Guard(_without_slash(Starlette(routes=routes, exception_handlers=handlers)), config)

    # Errors.

    def _told(self, request: Request, fault: Fault) -> Response:
        self.metrics.refuse(fault.status)
        return JSONResponse(fault.body(), fault.status, fault.headers())

    def _unrouted(self, request: Request, error: HTTPException) -> Response:
        path = request.url.path
        words = {
            404: f"There is nothing at {path!r}.",
            405: f"{path!r} does not take {request.method}.",
        }
        told = self._told(request, Fault(error.status_code, words.get(error.status_code, str(error.detail))))
        told.headers.update(error.headers or {})
        return told

    def _crashed(self, request: Request, error: Exception) -> Response:
        return self._told(request, Fault(500, "The server met a fault of its own; its log says more."))

    # Requests.

    def caller(self, request: Request) -> Caller:
        """Whose key it holds; Fault 401."""
        return self.keys.caller(request.headers.get("authorization"))

    async def read(self, request: Request) -> dict[str, Any]:
        """The JSON object of its body; Fault for what is compressed, no UTF-8, too large, too slow or none."""
        _check_coding(request.headers)
        most = int(self.config.body_mib * 2**20)
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        raise Fault(413, f"The body is larger than {self.config.body_mib:g} MiB.", code="too_large")
        except TimeoutError:
            raise Fault(408, f"The body did not arrive within {_BODY_SECONDS:.0f} seconds.") from None
        except ClientDisconnect:
            raise Fault(400, "The client left before the body was whole.") from None
        return read_body(bytes(body))

    def check_model(self, name: str | None) -> None:
        """Fault 404 for a model that is not served; none named is the one there is."""
        known = (self.about.name, *self.about.aliases)
        if name is not None and name not in known:
            raise Fault(
                404,
                f"There is no model {name!r} here; there is {', '.join(map(repr, known))}.",
                param="model",
                code="model_not_found",
            )

    def fingerprint(self) -> str:
        """Changes with the weights and the arithmetic."""
        voice = self.serving.voice
        parts = f"{ponder.__version__} {self.about.name} {voice.dtype} {voice.device} {self.serving.version}"
        return "ponder-" + hashlib.sha256(parts.encode()).hexdigest()[:12]

    def admit(self, identity: str, request: Request, caller: Caller) -> Exchange:
        """Fault 429 where the caller has too much under way. Whoever admits ends it."""
        return Exchange(identity, request.url.path, caller, self.config, self.metrics, self._log)

    async def submit(self, job: Job) -> Ticket:
        """A ticket; Fault for what the engine refuses."""
        try:
            return await self.serving.submit(job)
        except PonderError as error:
            raise fault_of(error) from error

    def controlled(self, asked: ChatRequest, tools: Sequence[Tool]) -> Turned | None:
        """The control of a reply, where risk is controlled; Fault for what would show what is withheld."""
        if self.risk is None:
            return None
        if asked.logprobs:
            raise Fault(
                400,
                "logprobs cannot be given by a server that controls risk: they would show what it withholds.",
                param="logprobs",
                code="unsupported_parameter",
            )
        return Turned(self.risk, messages_of(asked.messages), tools)

    def score_of(self, turns: Sequence[Turn]) -> Score:
        """The reward model on replies to a conversation; Fault where there is none."""
        if self._scoring is None:
            raise Fault(
                400,
                "best_of needs a trained reward model, and this server has none: start it with scorer=FOLDER, or let "
                "samples vote.",
                param="ponder",
                code="unsupported_parameter",
            )
        return self._scoring.of(messages_of(turns))

    def salt(self, asked: Sampled, caller: Caller) -> str | None:
        """With whom what a request says is shared in the prefix cache: of another key nobody can name the salt."""
        said, name = asked.cache_salt or asked.user_id, caller.name if self.keys.asked_for else None
        return None if said is None and name is None else json.dumps([name, said])

    def headers(self, identity: str, caller: Caller, ignored: Sequence[str]) -> dict[str, str]:
        """Those of every reply that was worked on."""
        listed = {"x-ponder-ignored": _listed(ignored)} if ignored else {}
        return {"x-request-id": identity, "x-ponder-version": ponder.__version__} | listed | caller.headers()

    def stream(self, events: AsyncIterator[str], headers: Mapping[str, str], ended: Callable[[bool], None]) -> Events:
        """A stream of server-sent events."""
        return Events(
            events,
            headers=headers,
            keep_alive=self.config.keep_alive_seconds,
            stalled=self.config.stalled_seconds,
            ended=ended,
        )

    def later(
        self, body: Coroutine[Any, Any, dict[str, Any]], headers: Mapping[str, str], ended: Callable[[bool], None]
    ) -> Later:
        """One body, once it is there."""
        return Later(
            body,
            headers=headers,
            keep_alive=self.config.keep_alive_seconds,
            stalled=self.config.stalled_seconds,
            ended=ended,
        )

    async def _control(self, request: Request) -> ASGIApp:
        self.caller(request)
        asked, _ = read_request(Control, await self.read(request), self.config.strict)
        chat = self.chats.get(asked.id)
        if chat is None:
            raise Fault(404, f"No reply {asked.id!r} is under way.", param="id")
        return JSONResponse({"id": asked.id, "ended": chat.end_thinking(self.serving.voice)})

    async def _models(self, request: Request) -> ASGIApp:
        self.caller(request)
        return JSONResponse(
            {"object": "list", "data": [self._card(name) for name in (self.about.name, *self.about.aliases)]}
        )

    async def _model(self, request: Request) -> ASGIApp:
        self.caller(request)
        self.check_model(request.path_params["name"])
        return JSONResponse(self._card(request.path_params["name"]))

    def _card(self, name: str) -> dict[str, Any]:
        voice = self.serving.voice
        return {
            "id": name,
            "object": "model",
            "created": self.about.created,
            "owned_by": "ponder",
            "root": self.about.name,
            "max_model_len": voice.window,
            "ponder": {
                "template": voice.template.name,
                "parameters": voice.parameters,
                "dtype": voice.dtype,
                "device": voice.device,
                "version": self.serving.version,
                "temperature": self.defaults.temperature,
                "top_p": self.defaults.top_p,
                "thinks": voice.template.thinking,
                "prices": None if self.config.prices is None else self.config.prices.model_dump(),
                **self.about.details,
            },
        }

    async def _usage(self, request: Request) -> ASGIApp:
        caller = self.caller(request)
        prices = self.config.prices
        return JSONResponse(
            {
                "key": caller.name,
                "tokens": caller.spent,
                "cost": None if prices is None else {"amount": round(caller.cost, 10), "currency": prices.currency},
                "under_way": caller.concurrent,
                "limits": dict(caller.limits),
            }
        )

    async def _tokenize(self, request: Request) -> ASGIApp:
        self.caller(request)
        asked, _ = read_request(Tokenize, await self.read(request), self.config.strict)
        self.check_model(asked.model)
        voice = self.serving.voice
        if asked.messages is not None:
            ids = list(chat_prompt(voice, asked.messages, thinks=True).ids)
        else:
            ids = voice.tokenizer(asked.prompt, add_special_tokens=asked.add_special_tokens).input_ids
        return JSONResponse({"tokens": ids, "count": len(ids), "max_model_len": voice.window})

    async def _detokenize(self, request: Request) -> ASGIApp:
        self.caller(request)
        asked, _ = read_request(Detokenize, await self.read(request), self.config.strict)
        self.check_model(asked.model)
        voice = self.serving.voice
        if wrong := [one for one in asked.tokens if not 0 <= one < len(voice.tokenizer)]:
            raise Fault(400, f"Token {wrong[0]} is none of the {len(voice.tokenizer)} that there are.", param="tokens")
        return JSONResponse({"prompt": voice.tokenizer.decode(list(asked.tokens))})

    async def _tokenizer_info(self, request: Request) -> ASGIApp:
        self.caller(request)
        voice = self.serving.voice
        names = ("bos_token", "eos_token", "pad_token", "chat_template")
        marks = {name: getattr(voice.tokenizer, name, None) for name in names}
        return JSONResponse({**marks, "model_max_length": voice.window})

    async def _page(self, request: Request) -> ASGIApp:
        """Open to all whom the guard lets in: it holds nothing, and asks for the key itself."""
        text, policy = page(secrets.token_urlsafe(16))
        headers = {
            "content-security-policy": policy,
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }
        return HTMLResponse(text, headers=headers)

    async def _health(self, request: Request) -> ASGIApp:
        state = self.serving.state
        load = self.serving.load
        return JSONResponse(
            {"status": state, "jobs": self.serving.jobs, "rows": load.rows, "waiting_tokens": load.waiting_tokens},
            503 if state == "broken" else 200,
        )

    async def _ready(self, request: Request) -> ASGIApp:
        state = self.serving.state
        return JSONResponse({"status": state}, 200 if state == "ok" else 503)

    async def _openapi(self, request: Request) -> ASGIApp:
        return JSONResponse(document(self.keys.asked_for))

    async def _metrics_page(self, request: Request) -> ASGIApp:
        self.caller(request)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _check_coding(headers: Headers) -> None:
    """Fault 415 for a body that is not the bytes of a text in UTF-8."""
    coding = headers.get("content-encoding", "").strip()
    if coding.lower() not in ("", "identity"):
        raise Fault(415, f"The body is compressed (Content-Encoding: {coding}): send it uncompressed.")
    charset = _CHARSET.search(headers.get("content-type", ""))
    if charset is not None and charset[1].lower() not in _UTF8:
        raise Fault(415, f"The body has the charset {charset[1]!r}: send it in UTF-8, which JSON is written in.")


def _listed(names: Sequence[str]) -> str:
    """As a header can hold them: names are a stranger's, so what is no plain text is written as in addresses."""
    more = f", and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(quote(name[:_LONGEST_LISTED], safe="*") for name in names[:_MOST_LISTED]) + more


def _without_slash(app: ASGIApp) -> ASGIApp:
    """The same for paths that end with a slash, as some clients join them. No redirect: few send a body after one."""

    async def calling(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "path": scope.get("path", "").rstrip("/") or "/"}, receive, send)

    return calling


def _endpoint(handler: Handler) -> Handler:
    """A function, as routes want them, that calls a method."""

    async def endpoint(request: Request) -> ASGIApp:
        return await handler(request)

    return endpoint
