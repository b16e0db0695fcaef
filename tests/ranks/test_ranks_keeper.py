"""A kept process: what it says, how it ended, and that it ends in whatever state it is."""

import os
import pickle
import signal
import time
from pathlib import Path

import psutil
import pytest

from ponder.ranks.answer import Answer
from ponder.ranks.keeper import Keeper, Look


def told(keeper: Keeper, verb: str, *arguments: object) -> Look:
    keeper.send(pickle.dumps((verb, arguments)))
    return looked(keeper)


def looked(keeper: Keeper) -> Look:
    """What is seen within a minute."""
    deadline = time.monotonic() + 60
    while (look := keeper.look(0.1)) == Look():
        assert time.monotonic() < deadline
    return look


def value(look: Look) -> object:
    assert look.message is not None
    answer: Answer = pickle.loads(look.message)
    return answer.value


def test_it_answers_prints_to_its_log_and_ends(tmp_path: Path) -> None:
    keeper = Keeper("ponder.ranks.keeper:Keeper", 1, tmp_path / "it.log", {"PONDER_MARK": "here"})
    inner = told(keeper, "", "collections:Counter", 1, tmp_path / "inner.log")
    assert value(inner) is None
    pid = keeper.pids()[1]
    environment = psutil.Process(pid).environ()
    assert environment["PONDER_MARK"] == "here" and environment["OMP_NUM_THREADS"] == "1"
    assert keeper.resident_bytes() > 1 << 20
    assert (tmp_path / "it.log").exists()
    own, kept = value(told(keeper, "pids"))  # type: ignore[misc]
    assert own == pid and psutil.pid_exists(kept)
    keeper.end()
    assert not psutil.pid_exists(pid)


def test_one_that_is_killed_says_by_what() -> None:
    keeper = Keeper("collections:Counter", 1)
    told(keeper, "", "ab")
    os.kill(keeper.pids()[1], signal.SIGKILL)
    assert looked(keeper) == Look(ended="ended by SIGKILL")
    keeper.send(b"nobody reads this")
    assert looked(keeper).ended
    keeper.end()


def test_one_that_stands_still_is_seen_and_ended() -> None:
    keeper = Keeper("collections:Counter", 1)
    told(keeper, "", "ab")
    pid = keeper.pids()[1]
    os.kill(pid, signal.SIGSTOP)
    keeper.send(pickle.dumps(("total", ())))
    assert "SIGSTOP" in looked(keeper).ended
    keeper.end()
    assert not psutil.pid_exists(pid)


def test_one_that_stands_still_unseen_is_ended_too() -> None:
    keeper = Keeper("collections:Counter", 1)
    pid = keeper.pids()[1]
    os.kill(pid, signal.SIGSTOP)
    keeper.end()
    assert not psutil.pid_exists(pid)


def test_messages_larger_than_a_pipe_go_both_ways() -> None:
    keeper = Keeper("builtins:bytes", 1)
    told(keeper, "", 20_000_000)
    assert value(told(keeper, "count", b"x" * 10_000_000)) == 0
    assert value(told(keeper, "hex")) == "0" * 40_000_000
    keeper.end()


@pytest.mark.parametrize("verb", ["hex", "count"])
def test_one_that_stands_still_within_a_message_holds_nobody_up(verb: str) -> None:
    """Its own, of which a part was read, or one that it reads no further."""
    keeper = Keeper("builtins:bytes", 1)
    told(keeper, "", 20_000_000)
    pid = keeper.pids()[1]
    if verb == "hex":
        keeper.send(pickle.dumps((verb, ())))
        time.sleep(2)  # until nothing more goes into the pipe
    os.kill(pid, signal.SIGSTOP)
    if verb == "count":
        keeper.send(pickle.dumps((verb, (b"x" * 10_000_000,))))
    assert "SIGSTOP" in looked(keeper).ended
    keeper.end()
    assert not psutil.pid_exists(pid)
