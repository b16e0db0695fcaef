"""The log of requests: one JSON line per reply, appended and on disk before anything else happens.

A line that a killed process left unfinished is dropped when the log is opened again. Of several lines with one key the
last counts: a failure can be followed by a reply, or by a line that says it is forgotten. Any thread may use it.
"""

import hashlib
import json
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from ponder.ask.ask import Ask, Reply
from ponder.errors import RunFolderError
from ponder.records import to_json
from ponder.watch.lines import dump_line, read_lines, repair

__all__ = ["RequestLog", "request_key"]

_REPLY = TypeAdapter(Reply)
_FIELDS = frozenset(Reply.__dataclass_fields__)


def request_key(ask: Ask, parameters: Mapping[str, Any]) -> str:
    """Digest of all that decides a reply: who is asked how (`parameters`), the messages and the number, and the problem
    of a conversation."""
    messages = [{"role": one.role, "content": one.content} for one in ask.messages]
    about = [] if ask.problem is None else [to_json(ask.problem)]
    text = json.dumps([parameters, messages, ask.number, *about], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class RequestLog:
    """An append-only file of replies by key; a context manager. Only places in the file are held in memory.

    `failed` are the keys whose last line is a failure, `failed_before` those of them when the log was opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        self._places: dict[str, int] = {}
        self.failed: set[str] = set()
        if path.exists():
            repair(path)
            for offset, line in read_lines(path):
                key = self._key(line, offset)
                if line.get("forgotten"):
                    self._drop(key)
                    continue
                self._places[key] = offset
                self._note(key, bool(line.get("failure")))
        self.failed_before = frozenset(self.failed)
        self._writer = path.open("ab", buffering=0)
        self._reader = path.open("rb")

    def append(self, lines: Sequence[tuple[str, Mapping[str, Any], Reply]]) -> None:
        """Write replies by key, each with the facts that explain its line, and wait until the disk has them."""
        content = bytearray()
        places = {}
        with self._lock:
            offset = self._reader.seek(0, os.SEEK_END)
            for key, facts, reply in lines:
                places[key] = offset + len(content)
                content += dump_line({"key": key, **facts, **to_json(reply)})
            self._write(content)
            self._places |= places
            for key, _, reply in lines:
                self._note(key, bool(reply.failure))

    def forget(self, keys: Collection[str]) -> None:
        """Take back what the log holds for these keys, for good, so that they are asked again."""
        with self._lock:
            gone = list(keys)
            self._write(bytearray(b"".join(dump_line({"key": key, "forgotten": True}) for key in gone)))
            for key in gone:
                self._drop(key)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def read(self, key: str) -> Reply:
        """The last reply of a key that is in the log."""
        line = self.line(key)
        try:
            return _REPLY.validate_python({name: value for name, value in line.items() if name in _FIELDS})
        except ValidationError as error:
            raise self._damaged(self._places[key], " ".join(str(error).split())[:200]) from None

    def line(self, key: str) -> dict[str, Any]:
        """The last line of a key that is in the log: its reply, and the facts that explain it."""
        with self._lock:
            self._reader.seek(self._places[key])
            line: dict[str, Any] = json.loads(self._reader.readline())
        return line

    def totals(self) -> dict[str, float | None]:
        """Replies, failures, tokens in and out, replies whose tokens the server did not count, and the cost, null where
        no price is known."""
        prompt, completion, uncounted, cost = 0, 0, 0, None
        for key in self._places:
            reply = self.read(key)
            prompt += reply.prompt_tokens or 0
            completion += reply.completion_tokens or 0
            uncounted += reply.completion_tokens is None and not reply.failure
            cost = reply.cost if cost is None else cost + (reply.cost or 0.0)
        return {
            "asked": len(self._places),
            "failed": len(self.failed),
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "uncounted": uncounted,
            "cost": cost,
        }

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        self._writer.close()
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, content: bytearray) -> None:
        view = memoryview(content)
        while view:
            view = view[self._writer.write(view) :]
        os.fsync(self._writer.fileno())

    def _drop(self, key: str) -> None:
        self._places.pop(key, None)
        self.failed.discard(key)

    def _note(self, key: str, failed: bool) -> None:
        (self.failed.add if failed else self.failed.discard)(key)

    def _key(self, line: object, offset: int) -> str:
        key = line.get("key") if isinstance(line, dict) else None
        if not isinstance(key, str):
            raise self._damaged(offset, "no text under 'key'")
        return key

    def _damaged(self, offset: int, what: str) -> RunFolderError:
        return RunFolderError(
            f"{str(self._path)!r} is damaged: at byte {offset} stands no reply of a model ({what}). Remove that line, "
            "and what it held is asked again."
        )
