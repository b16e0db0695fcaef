"""What a forked lane raises arrives as that, whatever kind of exception it is; what else ends it is told rightly."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from pydantic import BaseModel, ValidationError
from test_rollout_local import requests

from ponder.errors import ModelError, PonderError
from ponder.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.rollout import LocalEngine
from ponder.rollout.carried import Carried
from ponder.rollout.lane import Lane, Step


class TwoArguments(Exception):
    """Pickle would call it with one argument, which is a TypeError."""

    def __init__(self, token: int, place: int) -> None:
        super().__init__(f"token {token} at {place}")
        self.token = token


class Doubled(Exception):
    """Pickle makes another exception of it: the text twice as long."""

    def __init__(self, text: str) -> None:
        super().__init__(text + text)


class KeywordOnly(ValueError):
    def __init__(self, *, place: int) -> None:
        super().__init__(f"at {place}")


class HoldsALock(RuntimeError):
    def __init__(self) -> None:
        super().__init__("it holds what no pickle takes")
        self.lock = threading.Lock()


class RefusesPickling(RuntimeError):
    def __reduce__(self) -> str:
        raise TypeError("no pickling")


class BrokenText(Exception):
    def __str__(self) -> str:
        raise AttributeError("no text")


def validation_error() -> ValidationError:
    class Count(BaseModel):
        count: int

    with pytest.raises(ValidationError) as caught:
        Count(count="many")  # type: ignore[arg-type]
    return caught.value


def local_class() -> Exception:
    class Local(Exception):
        pass

    return Local("of no module")


SAME: list[Callable[[], Exception]] = [
    lambda: ModelError("no such thing"),
    lambda: KeyError("key"),
    lambda: OSError(28, "No space left on device", "/tmp/x"),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    lambda: json.JSONDecodeError("Expecting value", "{", 1),
    lambda: TwoArguments(7, 3),
    lambda: Doubled("twice"),
    lambda: KeywordOnly(place=4),
    lambda: RefusesPickling("refuses"),
    validation_error,
]
TOLD: list[tuple[Callable[[], Exception], str]] = [
    (HoldsALock, "HoldsALock: it holds what no pickle takes"),
    (local_class, "Local: of no module"),
]
"""What cannot travel: its kind and text do."""


def raised(policy: Policy, what: Callable[[], BaseException], monkeypatch: pytest.MonkeyPatch) -> BaseException:
    """What `generate` raises when a forked lane raises that."""
    steps, parent = Lane.steps, os.getpid()

    def failing(self: Lane, stop: Callable[[], bool] | None = None) -> Iterator[Step]:
        if os.getpid() != parent:
            raise what()
        return steps(self, stop)

    monkeypatch.setattr(Lane, "steps", failing)
    with pytest.raises(Exception) as caught:
        LocalEngine(policy, 8, 2).generate(requests(8, 4), Sampling(), 5, 0)
    return caught.value


@pytest.mark.parametrize("what", SAME, ids=lambda make: type(make()).__name__)
def test_an_error_of_a_lane_arrives_as_it_was(
    qwen2: Policy, what: Callable[[], Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, got = what(), raised(qwen2, what, monkeypatch)
    assert type(got) is type(expected) and str(got) == str(expected)
    fields = {key: value for key, value in got.__dict__.items() if key != "__notes__"}
    assert fields == expected.__dict__
    (note,) = got.__notes__
    assert note.startswith("In a forked lane") and "in failing" in note


@pytest.mark.parametrize(("what", "words"), TOLD, ids=lambda one: one.__name__ if callable(one) else "")
def test_an_error_that_cannot_travel_is_told(
    qwen2: Policy, what: Callable[[], Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = raised(qwen2, what, monkeypatch)
    assert type(got) is RuntimeError and str(got).startswith(words)
    assert "in failing" in got.__notes__[0]


@pytest.mark.parametrize(
    ("number", "words", "unsaid"),
    [
        (signal.SIGKILL, ["SIGKILL", "want of memory"], "compiled code"),
        (signal.SIGSEGV, ["SIGSEGV", "compiled code"], "memory"),
        (signal.SIGABRT, ["SIGABRT", "compiled code"], "memory"),
    ],
)
def test_a_lane_that_is_ended_is_told_by_how(
    qwen2: Policy, number: int, words: list[str], unsaid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end() -> Exception:
        signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None  # pytest has its own handler
        os.kill(os.getpid(), number)
        raise AssertionError("still here")

    got = raised(qwen2, end, monkeypatch)
    assert type(got) is PonderError
    assert all(word in str(got) for word in words) and unsaid not in str(got)


def test_an_error_without_a_text(qwen2: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    got = raised(qwen2, BrokenText, monkeypatch)
    assert type(got) is BrokenText and "in failing" in got.__notes__[0]


def test_notes_travel_too() -> None:
    error = TwoArguments(1, 2)
    error.add_note("found while looking")
    got = Carried.of(error).error("elsewhere")
    assert got.__notes__[0] == "found while looking" and got.__notes__[1].startswith("elsewhere:")


def test_a_class_that_is_known_elsewhere_alone_arrives_as_words(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Carried.of(TwoArguments(1, 2))
    monkeypatch.delattr(f"{__name__}.TwoArguments")
    got = sent.error("elsewhere")
    assert type(got) is RuntimeError and str(got) == "TwoArguments: token 1 at 2"
