"""One request from its admission to its end: what it took is charged, counted and logged once, however it ends."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ponder.recipe.serve import ServeConfig
from ponder.serve.keys import Caller
from ponder.serve.metrics import Metrics
from ponder.serve.reply import Account

__all__ = ["Exchange", "RequestLog"]


class RequestLog:
    """One JSON line per request, without texts unless the configuration asks for them, and without keys."""

    def __init__(self, config: ServeConfig) -> None:
        self._texts = config.log_texts
        self._file = None if config.log is None else Path(config.log)

    def write(self, line: Mapping[str, Any], texts: Mapping[str, Any]) -> None:
        """Append a line."""
        if self._file is not None:
            whole = {**line, **texts} if self._texts else dict(line)
            with self._file.open("a", encoding="utf-8") as file:  # anew each time: logs are moved away while we run
                file.write(json.dumps(whole, ensure_ascii=False) + "\n")


class Exchange:
    """A request of `caller` that has been admitted; Fault 429 where it is not. `end` it exactly once."""

    def __init__(
        self, identity: str, path: str, caller: Caller, config: ServeConfig, metrics: Metrics, log: RequestLog
    ) -> None:
        self.identity = identity
        self._path, self._caller, self._config, self._metrics, self._log = path, caller, config, metrics, log
        self._stack = ExitStack()
        self._stack.enter_context(caller.admitted())

    def at_end(self, action: Callable[[], None]) -> None:
        """Do this, too, when it ends."""
        self._stack.callback(action)

    def end(
        self,
        account: Account,
        reasons: Sequence[str | None],
        *,
        abandoned: bool = False,
        error: str | None = None,
        texts: Mapping[str, Any] | None = None,
    ) -> None:
        """It is over."""
        self._stack.close()
        account.ended = account.ended or time.monotonic()
        priced = account.cost(self._config.prices)
        cost = 0.0 if priced is None else priced["amount"]
        self._caller.charge(account.prompt + account.written, cost)
        self._metrics.count(account, ["abandoned" if one is None else one for one in reasons], cost)
        if abandoned:
            self._metrics.abandon()
        line = {
            "time": round(time.time(), 3),
            "id": self.identity,
            "key": self._caller.name,
            "path": self._path,
            "prompt_tokens": account.prompt,
            "hit_tokens": account.hit,
            "written_tokens": account.written,
            "thinking_tokens": account.thinking,
            "reasons": list(reasons),
            **account.timing(),
        }
        if priced is not None:
            line["cost"] = cost
        if abandoned:
            line["abandoned"] = True
        if error is not None:
            line["error"] = error
        self._log.write(line, texts or {})
