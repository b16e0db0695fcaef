"""Processes that answer together: in order, or with one paragraph and an end for all, whoever ends first."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from ponder.errors import RankError
from ponder.ranks.crew import Crew

MAKER = "collections:Counter"
"""Any function of any module makes what a process keeps."""


def gone(pids: list[int]) -> bool:
    """Whether all these processes are there no longer within some seconds."""
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_answers_come_by_rank_and_processes_end_on_closing() -> None:
    crew = Crew(MAKER, [("aab",), ("abcc",)])
    assert crew.call("most_common", 1) == [[("a", 2)], [("c", 2)]]
    crew.call("update", "bb")
    assert crew.call("total") == [5, 6]
    pids = crew.pids
    crew.close()
    assert gone(pids)


def test_what_fails_is_told_and_ends_all() -> None:
    crew = Crew(MAKER, [("aab",), ("abcc",)])
    pids = crew.pids
    with pytest.raises(RankError, match=r"rank . of the 2 processes .*failed during elements:\n(?s:.)*TypeError"):
        crew.call("elements", "one argument too many")
    assert gone(pids)


def test_what_cannot_be_made_is_told() -> None:
    with pytest.raises(RankError, match=r"failed during its start:\n(?s:.)*TypeError"):
        Crew(MAKER, [(1,)])


def test_memory_that_runs_out_is_told() -> None:
    with pytest.raises(RankError, match=r"Memory ran out at the start of rank 0 .*smaller model") as caught:
        Crew("builtins:bytearray", [(1 << 62,)])
    assert caught.value.cause == "fault"  # smaller passes do not help
    crew = Crew("builtins:bytearray", [(b"ab",)])
    with pytest.raises(RankError, match=r"Memory ran out in rank 0 .*Lower `batch.tokens_per_micro_batch`") as caught:
        crew.call("zfill", 1 << 62)
    assert caught.value.cause == "memory"


@pytest.mark.parametrize("variable", ["1,2", " 1 ", "", "0", "many"])
def test_threads_as_openmp_reads_its_variable(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    crew = Crew(MAKER, [("a",), ("b",)])
    found = {psutil.Process(pid).environ()["OMP_NUM_THREADS"] for pid in crew.pids}
    crew.close()
    assert found == {"1" if "1" in variable else str(max(1, (os.cpu_count() or 1) // 2))}


def test_a_process_that_is_gone_is_named() -> None:
    crew = Crew(MAKER, [("aab",), ("abcc",)])
    pids = crew.pids
    os.kill(pids[1], signal.SIGKILL)
    with pytest.raises(RankError, match=r"rank 1 of the 2 .*ended by SIGKILL during total"):
        crew.call("total")
    assert gone(pids)


def test_processes_end_with_a_parent_that_is_killed() -> None:
    program = """
        import time
        from ponder.ranks.crew import Crew
        crew = Crew("collections:Counter", [("a",), ("b",)])
        print(*crew.pids, flush=True)
        time.sleep(600)
    """
    home = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True, cwd=home
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2 and all(psutil.pid_exists(pid) for pid in pids)
        parent.kill()
        assert gone(pids)
