"""API keys: a file of names and digests, and what each key may do at one time.

A line is `name sha256 [requests=60] [tokens=100000] [concurrent=8]`: at most so many requests and tokens in a minute,
and requests at one time. The key itself is shown once, when it is made, and is never written down or logged.
"""

import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ponder.errors import DataError
from ponder.serve.fault import Fault

__all__ = ["ANYONE", "Caller", "Keys", "new_key", "read_keys"]

_MINUTE = 60.0
_LIMITS = ("requests", "tokens", "concurrent")


@dataclass(slots=True)
class Caller:
    """Who asks: limits, what is under way, and what the last minute took. `cost` and `spent` are since the start."""

    name: str
    limits: Mapping[str, int] = field(default_factory=dict)
    concurrent: int = 0
    spent: int = 0
    cost: float = 0.0
    _requests: deque[float] = field(default_factory=deque)
    _tokens: deque[tuple[float, int]] = field(default_factory=deque)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """One request of this caller; Fault 429 where it is one too many."""
        now = time.monotonic()
        self._forget(now)
        if (most := self.limits.get("concurrent")) is not None and self.concurrent >= most:
            raise _too_many(self.name, f"{self.concurrent} requests are under way, and {most} may be at one time", 1)
        if (most := self.limits.get("requests")) is not None and len(self._requests) >= most:
            raise _too_many(self.name, f"{most} requests were made within a minute", self._wait(self._requests[0], now))
        taken = sum(tokens for _, tokens in self._tokens)
        if (most := self.limits.get("tokens")) is not None and taken >= most:
            raise _too_many(
                self.name, f"{taken} tokens were used within a minute, of {most}", self._wait(self._tokens[0][0], now)
            )
        self._requests.append(now)
        self.concurrent += 1
        try:
            yield
        finally:
            self.concurrent -= 1

    def charge(self, tokens: int, cost: float) -> None:
        """Tokens that were read and written for it, and what they cost."""
        self.spent += tokens
        self.cost += cost
        self._tokens.append((time.monotonic(), tokens))
        self._forget(time.monotonic())

    def headers(self) -> dict[str, str]:
        """What is left, as OpenAI's clients read it."""
        self._forget(time.monotonic())
        used = {"requests": len(self._requests), "tokens": sum(tokens for _, tokens in self._tokens)}
        found = {}
        for name, taken in used.items():
            if name in self.limits:
                found[f"x-ratelimit-limit-{name}"] = str(self.limits[name])
                found[f"x-ratelimit-remaining-{name}"] = str(max(0, self.limits[name] - taken))
        return found

    def _forget(self, now: float) -> None:
        while self._requests and now - self._requests[0] > _MINUTE:
            self._requests.popleft()
        while self._tokens and now - self._tokens[0][0] > _MINUTE:
            self._tokens.popleft()

    @staticmethod
    def _wait(oldest: float, now: float) -> int:
        return max(1, round(oldest + _MINUTE - now))


def _too_many(name: str, why: str, seconds: int) -> Fault:
    return Fault(429, f"The key {name!r} is over its limit: {why}.", code="rate_limit_exceeded", retry_after=seconds)


ANYONE = "anyone"
"""The name of all callers where no keys are asked for."""


class Keys:
    """The callers by the digests of their keys; without a file everybody is the same caller."""

    def __init__(self, callers: Mapping[str, Caller] | None) -> None:
        self._callers = callers
        self._anyone = Caller(ANYONE)

    @property
    def asked_for(self) -> bool:
        """Whether a key is needed at all."""
        return self._callers is not None

    @property
    def callers(self) -> list[Caller]:
        """All of them."""
        return [self._anyone] if self._callers is None else list(self._callers.values())

    def caller(self, authorization: str | None) -> Caller:
        """Whose key the header holds; Fault 401 for none, or one that is not known."""
        if self._callers is None:
            return self._anyone
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Fault(
                401, "An API key is needed: send the header `Authorization: Bearer KEY`.", code="invalid_api_key"
            )
        digest = hashlib.sha256(key.strip().encode(errors="surrogateescape")).hexdigest()
        found = [caller for known, caller in self._callers.items() if hmac.compare_digest(known, digest)]
        if not found:
            raise Fault(401, "The API key is not one of this server's.", code="invalid_api_key")
        return found[0]


def read_keys(path: str | None) -> Keys:
    """The keys of a file; raises DataError naming the line that cannot be read."""
    if path is None:
        return Keys(None)
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The file of keys {path!r} cannot be read: {error}. Make one: ponder serve --new-key NAME."
        ) from None
    callers: dict[str, Caller] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if words:
            digest, caller = _read_line(words, f"{path}:{number}")
            if digest in callers or caller.name in {one.name for one in callers.values()}:
                raise DataError(f"{path}:{number}: the name or key of {caller.name!r} stands there twice: remove one.")
            callers[digest] = caller
    if not callers:
        raise DataError(
            f"The file of keys {path!r} holds none, so nobody could ask: ponder serve --new-key NAME makes one."
        )
    return Keys(callers)


def new_key(name: str) -> tuple[str, str]:
    """A new key, and the line for the file of keys."""
    if not name or any(c.isspace() or c == "#" for c in name):
        raise DataError(f"A key's name is one word without #, got {name!r}.")
    key = "pk-" + secrets.token_urlsafe(32)
    return key, f"{name} {hashlib.sha256(key.encode()).hexdigest()}"


def _read_line(words: list[str], where: str) -> tuple[str, Caller]:
    expected = "expected `name sha256 [requests=N] [tokens=N] [concurrent=N]`, as ponder serve --new-key NAME prints it"
    if len(words) < 2 or len(words[1]) != 64 or set(words[1]) - set("0123456789abcdef"):
        raise DataError(f"{where}: {expected}.")
    limits: dict[str, int] = {}
    for word in words[2:]:
        name, _, value = word.partition("=")
        if name not in _LIMITS or not value.isdecimal() or int(value) < 1:
            raise DataError(f"{where}: {word!r} is no limit; {expected}.")
        if name in limits:
            raise DataError(f"{where}: {name} stands there twice, with {limits[name]} and with {value}; {expected}.")
        limits[name] = int(value)
    return words[1], Caller(words[0], limits)
