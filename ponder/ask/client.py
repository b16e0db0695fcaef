"""One exchange with a chat-completions server, tried until it succeeds or its budget of tries is spent.

The only file that knows HTTP. Redirects are not followed, so that a key goes nowhere but to the address in the recipe.
"""

import asyncio
import email.utils
import json
import os
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from ponder.ask.ask import Reply
from ponder.ask.faults import FailedReply, MalformedReply, RefusedReply
from ponder.ask.key import api_key
from ponder.ask.refusal import read_status, refused_parameter
from ponder.ask.reply import read_reply
from ponder.ask.stream import EventReader
from ponder.errors import EndpointError
from ponder.recipe.endpoint import Endpoint
from ponder.seeds import derive_seed

__all__ = ["ChatClient", "check_there"]

_FIRST_WAIT_SECONDS = 1.0
_CONNECT_SECONDS = 30.0
_LOOK_SECONDS = 10.0
_PORTS = {"http": 80, "https": 443}
_MOST_BYTES = 64 * 2**20
"""Of a body: a reply of 128k tokens, streamed token by token with log-probs, takes half of that."""
_REFUSED = {
    401: "check the key",
    402: "check the account's balance",
    403: "check what the key may do",
    404: "check base_url (without /chat/completions) and the model's name",
    405: "check base_url (without /chat/completions)",
}
_CHECK = "check the key, the account and base_url"
_SURROUNDINGS = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables of the environment that decide how a server is reached."""


class _TryAgain(Exception):
    """A failure that may pass; `wait_seconds` is what the server asked for."""

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


@contextmanager
def _surroundings_explained(endpoint: Endpoint) -> Iterator[None]:
    """EndpointError for proxies and certificates of the environment with which no connection can be made."""
    try:
        proxies = getproxies()
        for address in () if "*" in proxies.pop("no", "") else proxies.values():
            # ValueError where it is none; httpx2 fails only when it connects
            _ = urlsplit(address if "://" in address else f"http://{address}").port
        yield
    except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
        named = ", ".join(sorted(one for one in os.environ if one.upper() in _SURROUNDINGS))
        socks = "a SOCKS proxy needs `pip install socksio`; " if isinstance(error, ImportError) else ""
        raise EndpointError(
            f"no connection to {endpoint.base_url!r} can be set up with what the environment says ({named}): "
            f"{socks or f'{error}; '}mend these variables or unset them, or except the server with NO_PROXY=*"
        ) from None


def check_there(endpoint: Endpoint) -> None:
    """EndpointError where nothing listens at an endpoint's address. Nothing is asked; of proxies nothing is known."""
    address = urlsplit(endpoint.base_url)
    host, proxies = str(address.hostname), getproxies()
    if (address.scheme in proxies or "all" in proxies) and not proxy_bypass(host):
        return
    try:
        socket.create_connection((host, address.port or _PORTS[address.scheme]), _LOOK_SECONDS).close()
    except OSError as error:
        raise EndpointError(
            f"nothing answers at the endpoint {endpoint.base_url!r} of the model {endpoint.model!r} ({error}): start "
            "the server, or correct base_url, and give the same command again"
        ) from None


class ChatClient:
    """An asynchronous context manager around the connections to one server."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._key = api_key(endpoint)
        self._url = endpoint.base_url.rstrip("/") + "/chat/completions"
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        with _surroundings_explained(endpoint):
            self._http = httpx2.AsyncClient(
                headers=headers,
                timeout=httpx2.Timeout(None, connect=_CONNECT_SECONDS),
                limits=httpx2.Limits(max_connections=endpoint.max_concurrency),
                follow_redirects=False,
            )

    async def chat(self, body: Mapping[str, Any], seed: int) -> tuple[Reply, int]:
        """The reply to a request's body and the number of tries; `seed` spreads the waits of many requests.

        A request that fails for good gives a reply with its `failure`. Raises EndpointError where no request can
        succeed: a wrong key, address or model, or a parameter that the server does not take.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return await self._once(body), tries
            except FailedReply as error:
                return Reply(failure=self._without_key(str(error))), tries
            except _TryAgain as error:
                if tries > self._endpoint.retries:
                    return Reply(failure=self._without_key(f"{error}, after {tries} tries")), tries
                await asyncio.sleep(self._wait(tries, error.wait_seconds, seed))

    async def talk(
        self, body: Mapping[str, Any], heard: Callable[[Mapping[str, str]], None]
    ) -> AsyncGenerator[object, None]:
        """What a stream says, as it comes: its events' values, `END`, and comments; tried once. `heard` is told the
        headers. The server hears that nobody listens any more as soon as the iterator is closed.

        Raises EndpointError for what it says instead, and where it says nothing or stops in the middle.
        """
        events = EventReader()
        try:
            async with self._http.stream("POST", self._url, json=body) as response:
                if not response.is_success:
                    raise self._refusal(response, await _body(response))
                heard(response.headers)
                async for text in response.aiter_text():
                    for value in events.feed(text):
                        yield value
            for value in events.feed("", last=True):
                yield value
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError) as error:
            raise self._told(f"the connection failed ({type(error).__name__}: {error or 'closed'})") from None
        except (MalformedReply, FailedReply) as error:
            raise self._told(str(error)) from None
        if not events.ended:
            raise self._told("the stream ended before the reply was whole")

    async def end_thinking(self, identity: str) -> None:
        """Ask for the answer of a reply under way; EndpointError where the server cannot."""
        await self._plain("POST", self._url + "/control", {"id": identity, "action": "reasoning_end"})

    async def models(self) -> dict[str, Mapping[str, Any]]:
        """The models that the server has: name -> what it says of it. EndpointError where it does not say."""
        content = await self._plain("GET", self._endpoint.base_url.rstrip("/") + "/models", None)
        try:
            return {str(one["id"]): dict(one) for one in json.loads(content)["data"]}
        except (ValueError, KeyError, TypeError):
            raise self._told("it does not say which models it has: name one") from None

    async def _plain(self, method: str, url: str, body: Mapping[str, Any] | None) -> bytes:
        try:
            response = await self._http.request(method, url, json=body, timeout=_CONNECT_SECONDS)
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError) as error:
            raise self._told(f"the connection failed ({type(error).__name__}: {error or 'closed'})") from None
        if not response.is_success:
            raise self._refusal(response, response.content)
        return response.content

    def _refusal(self, response: httpx2.Response, content: bytes) -> EndpointError:
        said = read_status(response.status_code, content.decode("utf-8", "replace")).message
        bare = response.status_code == 404 and not urlsplit(self._endpoint.base_url).path.strip("/")
        hint = f" (most addresses end with /v1: try {self._endpoint.base_url.rstrip('/')}/v1)" if bare else ""
        return self._told(f"status {response.status_code}" + (f": {said}" if said else "") + hint)

    def _told(self, said: str) -> EndpointError:
        return EndpointError(self._without_key(f"{self._endpoint.base_url}: {said}"))

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    async def _once(self, body: Mapping[str, Any]) -> Reply:
        try:
            async with (
                asyncio.timeout(self._endpoint.timeout_seconds),
                self._http.stream("POST", self._url, json=body) as response,
            ):
                content = await _body(response)
        except TimeoutError:
            raise _TryAgain(f"no whole reply within {self._endpoint.timeout_seconds:g} seconds") from None
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise EndpointError(f"base_url {self._endpoint.base_url!r} is no address: {error}") from None
        except (httpx2.HTTPError, ssl.SSLError) as error:
            raise _TryAgain(f"the connection failed ({type(error).__name__}: {error or 'closed'})") from None
        self._check_status(response, content.decode("utf-8", "replace"), body)
        try:
            text = content.decode(response.charset_encoding or "utf-8")
        except (UnicodeError, LookupError) as error:
            raise FailedReply(f"the reply's bytes are no text: {error}") from None
        try:
            return read_reply(text, body[self._endpoint.length_parameter])
        except MalformedReply as error:
            raise _TryAgain(str(error)) from None
        except RefusedReply as error:
            raise self._refused(str(error), _CHECK) from None

    def _check_status(self, response: httpx2.Response, text: str, body: Mapping[str, Any]) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        refusal = read_status(status, text)
        said = f"status {status}" + (f": {refusal.message}" if refusal.message else "")
        advice = refused_parameter(text, body) if status in (400, 422) else None
        if advice is None and status < 400:
            leads_to = response.headers.get("location", "").partition("?")[0]
            advice = f"give the address that it leads to{f' ({leads_to!r})' if leads_to else ''}"
        elif advice is None and refusal.fate == "stop":
            advice = _REFUSED.get(status, _CHECK)
        if advice is not None:
            raise self._refused(said, advice)
        if refusal.fate == "again":
            raise _TryAgain(said, _retry_after(response.headers.get("retry-after")))
        raise FailedReply(said)

    def _refused(self, said: str, advice: str) -> EndpointError:
        return EndpointError(
            self._without_key(
                f"the endpoint {self._url!r} refuses model {self._endpoint.model!r} with {said}; {advice}, and "
                "give the same command again: nothing received so far is lost"
            )
        )

    def _wait(self, tries: int, asked: float | None, seed: int) -> float:
        """Seconds until the next try: what the server asked for, or doubling; up to a half more spreads requests."""
        spread = 1 + derive_seed(seed, tries) / 2**64
        wait = asked or _FIRST_WAIT_SECONDS * 2 ** (tries - 1)  # "now" would spend all tries in a moment
        return min(wait * spread, self._endpoint.max_wait_seconds)

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "(key)") if self._key else text


async def _body(response: httpx2.Response) -> bytes:
    """The whole body. FailedReply for one that no reply could fill: a server that never ends would take all memory."""
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > _MOST_BYTES:
            raise FailedReply(f"the reply is longer than {_MOST_BYTES // 2**20} MiB")
    return bytes(content)


def _retry_after(value: str | None) -> float | None:
    """Seconds of a `Retry-After` header, which holds seconds or a date; None where it says neither."""
    if value is None:
        return None
    if value.strip().replace(".", "", 1).isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
