"""Lanes that are started ahead: used, or gone."""

import os
import subprocess
import sys
import time
import uuid

import psutil

from ponder.recipe.serve import ServeConfig
from ponder.serve.spawn import ahead, threads_of


def left(mark: str) -> list[psutil.Process]:
    """Processes that inherited the mark and run still."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PONDER_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_a_server_that_does_not_start_leaves_none() -> None:
    mark = uuid.uuid4().hex
    done = subprocess.run(
        [sys.executable, "-m", "ponder.cli", "serve", "micro", "lanes=2", "keys=none.txt"],
        env=os.environ | {"PONDER_TEST_MARK": mark, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1 and "none.txt" in done.stderr and "Traceback" not in done.stderr
    assert not left(mark)


def test_what_nobody_took_is_ended() -> None:
    with ahead(ServeConfig(lanes=2)) as lanes:
        taken = lanes.pop()
        (other,) = lanes
    assert other.process.poll() is not None and taken.process.poll() is None
    taken.pipe.close()  # as a server that is killed leaves it: the lane ends once it has loaded
    deadline = time.monotonic() + 60
    while taken.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert taken.process.poll() is not None


def test_threads_are_dealt_out() -> None:
    cores = len(os.sched_getaffinity(0))
    assert threads_of(ServeConfig(lanes=1)) == cores and threads_of(ServeConfig(lanes=4 * cores)) == 1
    assert threads_of(ServeConfig(lanes=2, threads=3)) == 3
