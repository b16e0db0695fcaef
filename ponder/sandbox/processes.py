"""New processes, which the sandbox refuses: who asked for one is noted, and locks of `multiprocessing` are had without.

A program that wants processes says nothing about itself by failing, so what is noted here turns "wrong" into "cannot
tell", never into "right". Thread pools of `multiprocessing` want its locks alone, which here are those of threads.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ClassVar

__all__ = ["REFUSED_PROCESS", "SCRIPT_NOTE", "refused", "watch"]

REFUSED_PROCESS = "it starts processes, which the sandbox refuses"
SCRIPT_NOTE = f"\n[{REFUSED_PROCESS}]\n".encode()
"""What ends the complaints of a script that was refused one."""
_STARTING = ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system")
_SHARING = frozenset({"multiprocessing.heap", "multiprocessing.shared_memory"})
"""Modules of shared memory, which wants /dev/shm."""


class _Noted:
    refused: ClassVar[str] = ""


def refused() -> str:
    """What this process wanted and was refused, or nothing."""
    return _Noted.refused


def watch() -> None:
    """From now on, note when this process wants to start another."""
    for name in _STARTING:
        setattr(os, name, _noting(os.__dict__[name]))
    sys.meta_path.insert(0, _Finder())


def _noting(function: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*arguments: Any, **named: Any) -> Any:
        _Noted.refused = REFUSED_PROCESS
        return function(*arguments, **named)

    return noted


class _Finder:
    """Finds nothing: it is told what is imported for the first time."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name == "subprocess":
            import _posixsubprocess

            _posixsubprocess.fork_exec = _noting(_posixsubprocess.fork_exec)
        elif name == "multiprocessing.synchronize":
            import_module("_multiprocessing").__dict__["SemLock"] = _Semaphore
        elif name in _SHARING:
            _Noted.refused = REFUSED_PROCESS
        return None


class _Semaphore:
    """What `multiprocessing` takes from the system for its locks: a recursive lock (kind 0) or a semaphore (kind 1)."""

    SEM_VALUE_MAX = 2**31 - 1
    name = None

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        import threading

        self.kind, self.maxvalue, self.handle = kind, maxvalue, 0
        self._value = value
        self._owner: int | None = None
        self._held = 0
        self._changed = threading.Condition()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        import threading

        with self._changed:
            if self.kind == 0 and self._owner == threading.get_ident():
                self._held += 1
                return True
            wait = 0.0 if not block else None if timeout is None else max(0.0, timeout)
            if not self._changed.wait_for(lambda: self._value > 0, wait):
                return False
            self._value -= 1
            self._owner, self._held = threading.get_ident(), 1
            return True

    def release(self) -> None:
        with self._changed:
            if self.kind == 0:
                if not self._is_mine():
                    raise AssertionError("attempt to release recursive lock not owned by thread")
                self._held -= 1
                if self._held:
                    return
            elif self._value >= self.maxvalue:
                raise ValueError("semaphore or lock released too many times")
            self._owner, self._held = None, 0
            self._value += 1
            self._changed.notify()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _count(self) -> int:
        return self._held

    def _is_mine(self) -> bool:
        import threading

        return self._held > 0 and self._owner == threading.get_ident()

    def _get_value(self) -> int:
        return self._value

    def _is_zero(self) -> bool:
        return self._value == 0
