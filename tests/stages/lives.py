"""A run that is killed again and again: a program for `tests.command`, given RECIPE FOLDER KILLS SEED [ON].

One process has loaded everything; its forks, each in a session of its own, run the recipe. The first has all the time
that it needs, into FOLDER/whole. Those after it are ended with all their workers by SIGKILL, at moments drawn over
the time that the first took, and go on from what their forerunners left; a run that comes to its end before KILLS are
dead is followed by another, from its beginning. Last the runs that were killed are finished. Prints how often each
was killed.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import ponder.stages.rl  # noqa: F401  loaded once, for all forks
from ponder.pipeline.run import run
from ponder.recipe import load_recipe


def begin(recipe: Path, out: Path, on: str | None) -> int:
    """Start a life; its process id, which is its session's, too."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        run(load_recipe(recipe), out, text=recipe.read_text(), on=on, say=lambda line: None)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def ends_within(pid: int, seconds: float) -> bool:
    """Whether a life came to its own end in that time."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            assert os.waitstatus_to_exitcode(status) == 0, "a run failed"
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.002)


def main(recipe: Path, folder: Path, kills: int, seed: int, on: str | None) -> None:
    started = time.monotonic()
    assert ends_within(begin(recipe, folder / "whole", on), 200)
    whole, rng, killed = time.monotonic() - started, random.Random(seed), [0]
    while sum(killed) < kills:
        pid = begin(recipe, folder / f"killed-{len(killed)}", on)
        if ends_within(pid, rng.uniform(0, whole)):
            killed.append(0)
            continue
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        killed[-1] += 1
    assert ends_within(begin(recipe, folder / f"killed-{len(killed)}", on), 200)
    print(json.dumps(killed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), (*sys.argv[5:], None)[0])
