"""The world of the tests, shared with the program without sharing a process: environment, random state, files.

    tests change their world -> `Surroundings.changes()` -> sent with the next request -> `adopt` by the program's side

Files are those under the private /tmp of each side; they go both ways, as names and bytes. Where /tmp is not private
(no namespaces) there are none.
"""

import os
import random
from collections.abc import Callable
from typing import Any

__all__ = ["Surroundings", "adopt", "read_files", "write_files"]

_FOLDER = "/tmp"
_MAX_FILES, _MAX_BYTES = 200, 4 << 20
Files = dict[str, bytes | None]
"""Contents by path below /tmp; None is a folder."""


class Surroundings:
    """What of the world was last handed over."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._random: object = random.getstate()
        for name in ("seed", "setstate"):
            setattr(random, name, self._noting(random.__dict__[name]))
        self._files = read_files()

    def changes(self) -> dict[str, Any]:
        """What is new since the last time."""
        found: dict[str, Any] = {}
        if os.environ != self._environment:
            found["environment"] = self._environment = dict(os.environ)
        if (state := random.getstate()) != self._random:
            found["random"] = self._random = state
        if (files := read_files()) != self._files:
            found["files"], self._files = files, files
        return found

    def _noting(self, function: Callable[..., None]) -> Callable[..., None]:
        """Seeding hands the state over, even if it was like that before: the program's may have moved on."""

        def noted(*arguments: Any, **named: Any) -> None:
            function(*arguments, **named)
            self._random = None

        return noted

    def take(self, files: object) -> None:
        """Have the files that the program left."""
        if isinstance(files, dict):
            write_files({k: v for k, v in files.items() if type(k) is str and (v is None or type(v) is bytes)})
            self._files = read_files()


def adopt(changes: dict[str, Any]) -> None:
    """In the program's process: make the world as the tests have it."""
    if "environment" in changes:
        os.environ.clear()
        os.environ.update(changes["environment"])
    if "random" in changes:
        random.setstate(changes["random"])
    if "files" in changes:
        write_files(changes["files"])


def read_files() -> Files:
    """Every file and folder below /tmp, as far as they fit."""
    found: Files = {}
    if os.stat(_FOLDER).st_mode & 0o777 != 0o700:
        return found  # the machine's own folder, which nothing can be written to
    room = _MAX_BYTES
    for folder, folders, files in os.walk(_FOLDER):
        for name in folders:
            found[os.path.relpath(f"{folder}/{name}", _FOLDER)] = None
        for name in files:
            path = f"{folder}/{name}"
            if len(found) >= _MAX_FILES or not os.path.isfile(path) or (room := room - os.path.getsize(path)) < 0:
                return found
            with open(path, "rb") as stream:
                found[os.path.relpath(path, _FOLDER)] = stream.read()
    return found


def write_files(files: Files) -> None:
    """Make what is below /tmp exactly `files`; a path that leads elsewhere is not followed."""
    for path in read_files().keys() - files.keys():
        if not os.path.isdir(f"{_FOLDER}/{path}"):
            os.unlink(f"{_FOLDER}/{path}")
    for path, content in sorted(files.items()):
        target = os.path.normpath(f"{_FOLDER}/{path}")
        if not os.path.realpath(target).startswith(_FOLDER + "/"):
            continue
        if content is None:
            os.makedirs(target, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as stream:
            stream.write(content)
