"""What stands before all routes: by which name the server is called, and from which pages.

A page on the web can make a browser ask a server on the same machine, and can even give that server a name of its own
(DNS rebinding). So the Host header must be a name of this server, and an Origin must be its own page or one that the
configuration allows. No browser leaves Host out; probes of HTTP/1.0 do, and are served.
"""

import json

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ponder.recipe.serve import ServeConfig
from ponder.serve.fault import Fault

__all__ = ["LOOPBACK", "Guard"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_METHODS, _HEADERS = "GET, POST, OPTIONS", "authorization, content-type"


class Guard:
    """Refuses with 403 whoever calls this server by a foreign name, or from a foreign page; answers CORS for others."""

    def __init__(self, app: ASGIApp, config: ServeConfig) -> None:
        self._app, self._origins = app, frozenset(config.origins)
        local = config.host in LOOPBACK
        names = config.hosts or ((*LOOPBACK, config.host) if local or config.keys is None else ())
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        hosts, origin = headers.getlist("host"), headers.get("origin")
        if len(hosts) > 1 or (not hosts and scope["http_version"] != "1.0"):
            await _refuse(send, Fault(400, f"A request has one Host header, got {len(hosts)}."))
            return
        host = hosts[0] if hosts else ""
        name = _name(host)
        own = origin is not None and origin.partition("://")[2].lower() == host.lower()
        allowed = origin is None or own or origin in self._origins
        if hosts and self._names and name not in self._names:
            said = f"This server is not called {name!r}. Who started it can name it so: hosts=[{name}]."
            await _refuse(send, Fault(403, said, code="foreign_host"))
        elif not allowed:
            said = (
                f"Pages of {origin!r} may not ask this server. Whoever started it can allow them: origins=[{origin}]."
            )
            await _refuse(send, Fault(403, said, code="foreign_origin"))
        elif origin is not None and not own and scope["method"] == "OPTIONS":
            await _empty(send, _cors(origin))
        else:
            await self._app(scope, receive, _with(send, {} if own or origin is None else _cors(origin)))


def _name(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _cors(origin: str) -> dict[str, str]:
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": _METHODS,
        "access-control-allow-headers": _HEADERS,
        "vary": "origin",
    }


def _with(send: Send, headers: dict[str, str]) -> Send:
    if not headers:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            found = MutableHeaders(scope=message)
            for name, value in headers.items():
                found[name] = value
        await send(message)

    return sending


async def _refuse(send: Send, fault: Fault) -> None:
    body = json.dumps(fault.body()).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": fault.status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def _empty(send: Send, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 204, "headers": raw})
    await send({"type": "http.response.body", "body": b""})
