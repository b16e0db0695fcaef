"""Ranks at places of a home: what limits a verb, and which of their failures is worth another try."""

import os
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest

from ponder.errors import RankError
from ponder.workers.crew import PlacedCrew
from ponder.workers.home import LocalHome


class Talker:
    """What a test's ranks are."""

    def say(self, word: str) -> str:
        return word

    def fail(self, why: str) -> None:
        raise RuntimeError(why)


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlacedCrew]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    crew = PlacedCrew(LocalHome(1), 1, "test_workers_crew:Talker", tmp_path, 1, print)
    crew.make([()])
    yield crew
    crew.close()


def test_a_verb_has_no_limit_before_it_was_done_once(crew: PlacedCrew) -> None:
    (rank,) = crew._workers
    limits = []
    for doing in ("greet", "greet", "part"):
        assert crew.call("say", doing, doing=doing) == [doing]
        limits.append(rank._limit)
    assert limits == [inf, 300.0, inf]


@pytest.mark.parametrize(
    ("why", "cause"),
    [
        (
            "The server socket has failed to listen. code: -98, name: EADDRINUSE, message: address already in use",
            "gone",
        ),
        ("[Errno 98] Address already in use", "gone"),
        ("Connection reset by peer", "gone"),
        ("no such operation", "fault"),
    ],
)
def test_what_passes_by_itself_is_a_loss(crew: PlacedCrew, why: str, cause: str) -> None:
    """The port where ranks meet was free when they were told of it, and may be somebody else's by then."""
    with pytest.raises(RankError, match="failed during fail") as raised:
        crew.call("fail", why)
    assert raised.value.cause == cause
