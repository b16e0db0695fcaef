"""Questions sent while something else goes on: one after the other, under a deadline, once and for all."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from chat_server import Action, ChatServer, said

from ponder.ask import Ask, Reply, RequestLog
from ponder.ask.courier import Answered, Courier
from ponder.errors import EndpointError
from ponder.recipe.rollout import Sampling
from ponder.records import Message


def asks(name: str, count: int = 2) -> tuple[Ask, ...]:
    return tuple(Ask(id=name, messages=(Message(role="user", content=name),), number=i) for i in range(count))


def courier(server: ChatServer, log: RequestLog, deadline: float = 30.0, **fields: Any) -> Courier:
    return Courier(
        server.endpoint(**fields),
        Sampling(temperature=0.6, top_p=0.95, max_tokens=64),
        log,
        seed=1,
        deadline_seconds=deadline,
        says_something=lambda reply: reply.text.startswith("yes"),
    )


def test_sending_returns_before_anything_is_answered(server: ChatServer, tmp_path: Path) -> None:
    all_there = threading.Barrier(6)  # one for each question, and one for whoever asked

    def play(body: Mapping[str, Any], tries: int) -> Action:
        all_there.wait(20)
        return said("yes")

    server.play = play
    with RequestLog(tmp_path / "log") as log, courier(server, log) as one:
        futures = [one.send(asks(f"q{i}"), {"step": 3}) for i in range(5)]
        assert not any(future.done() for future in futures)
        all_there.wait(20)
        found = [future.result(20) for future in futures]
        assert [answered.reply.text for answered in found] == ["yes"] * 5
        assert all(log.line(answered.keys[0])["step"] == 3 for answered in found)
        assert server.busiest == 5


def test_a_reply_that_says_nothing_is_asked_for_once_more(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: said("yes" if tries else "hm")
    with RequestLog(tmp_path / "log") as log, courier(server, log) as one:
        answered = one.send(asks("q"), {}).result(20)
        assert answered.reply.text == "yes"
        assert len(answered.keys) == len(log) == len(server.requests) == 2
        server.play = lambda body, tries: said("hm")
        assert one.send(asks("r"), {}).result(20).reply.text == "hm"
        assert len(server.requests) == 4


@pytest.mark.parametrize("deadline", [0.3, 30.0])
def test_what_failed_stays_so_in_a_later_session(server: ChatServer, tmp_path: Path, deadline: float) -> None:
    """Too late, or refused for good: the same questions have the same outcome, whatever would be said by then."""
    server.play = lambda body, tries: Action(status=400, body="no") if deadline > 1 else Action(wait=2)
    texts: list[Answered] = []
    for _ in range(3):
        with RequestLog(tmp_path / "log") as log, courier(server, log, deadline) as one:
            texts.append(one.send(asks("q"), {}).result(20))
        asked = len(server.requests)
        server.play = lambda body, tries: said("yes")
    assert texts[0] == texts[1] == texts[2]
    assert texts[0].reply.failure and texts[0].reply.text == ""
    assert ("deadline" in texts[0].reply.failure) == (deadline < 1)
    assert asked == len(server.requests) == 1


def test_failures_that_pass_are_tried_again_and_nothing_is_asked_twice(server: ChatServer, tmp_path: Path) -> None:
    def play(body: Mapping[str, Any], tries: int) -> Action:
        number = int(body["messages"][0]["content"][1:])
        return Action(status=500) if number % 3 == 0 and tries == 0 else said(f"yes {number}")

    server.play = play
    for _ in range(2):
        with RequestLog(tmp_path / "log") as log, courier(server, log) as one:
            futures = [one.send(asks(f"q{i}"), {}) for i in range(12)]
            assert [future.result(20).reply.text for future in futures] == [f"yes {i}" for i in range(12)]
    assert len(server.requests) == 12 + 4


def test_forgotten_questions_are_asked_again_in_any_session(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: Action(status=400)
    with RequestLog(tmp_path / "log") as log, courier(server, log) as one:
        answered = one.send(asks("q"), {}).result(20)
        log.forget(answered.keys)
        assert len(log) == 0 and not log.failed
    server.play = lambda body, tries: said("yes")
    with RequestLog(tmp_path / "log") as log:
        assert len(log) == 0
        with courier(server, log) as one:
            assert one.send(asks("q"), {}).result(20).reply.text == "yes"
    with RequestLog(tmp_path / "log") as log:
        assert len(log) == 1


def test_a_refusal_of_all_requests_is_an_error(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: Action(status=401, body="who are you")
    with (
        RequestLog(tmp_path / "log") as log,
        courier(server, log) as one,
        pytest.raises(EndpointError, match="check the key"),
    ):
        one.send(asks("q"), {}).result(20)


def test_leaving_gives_up_what_is_under_way(server: ChatServer, tmp_path: Path) -> None:
    arrived = threading.Event()

    def play(body: Mapping[str, Any], tries: int) -> Action:
        arrived.set()
        return Action(wait=5)

    server.play = play
    with RequestLog(tmp_path / "log") as log:
        with courier(server, log) as one:
            future = one.send(asks("q"), {})
            assert arrived.wait(20)
        assert future.cancelled()
        assert len(log) == 0


def test_a_log_is_written_and_read_by_several_threads(tmp_path: Path) -> None:
    with RequestLog(tmp_path / "log") as log:

        def write(number: int) -> None:
            for i in range(40):
                log.append([(f"{number} {i}", {}, Reply(text=f"{number} {i}" * 50))])
                assert log.read(f"{number} {i}").text == f"{number} {i}" * 50

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with RequestLog(tmp_path / "log") as again:
        assert {again.read(f"{n} {i}").text for n in range(4) for i in range(40)} == {
            f"{n} {i}" * 50 for n in range(4) for i in range(40)
        }
