"""One process at a time works in a run folder, and a killed one leaves it in order."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pair_run import TEXT, folder

from ponder.errors import RunFolderError
from ponder.manifest import is_done
from ponder.pipeline.lock import locked
from tests import command


def _hold(path: Path, held: Any, release: Any) -> None:
    with locked(path):
        held.set()
        release.wait(30)


def test_a_second_run_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, release = spawn.Event(), spawn.Event()
    process = spawn.Process(target=_hold, args=(tmp_path, held, release))
    process.start()
    assert held.wait(30)
    with pytest.raises(RunFolderError, match=f"in use by process {process.pid} on .* since 2"), locked(tmp_path):
        pass
    release.set()
    process.join(30)
    with locked(tmp_path):
        pass


def test_a_killed_holder_with_living_children_leaves_no_lock(tmp_path: Path) -> None:
    """kill -9 of a run must not leave its forked workers holding the folder."""
    program = f"""
import os, sys, time
from pathlib import Path
from ponder.pipeline.lock import locked
with locked(Path({str(tmp_path)!r})):
    if os.fork() == 0:
        print(os.getpid(), flush=True)  # by now the child has let go of the lock
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        with pytest.raises(RunFolderError, match=f"process {holder.pid}"), locked(tmp_path):
            pass
        holder.kill()
        holder.wait()
    try:
        with locked(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_run_killed_at_any_moment_goes_on(tmp_path: Path) -> None:
    """Real processes, killed at moments spread over the run: the next one always gets to the end."""
    (tmp_path / "pair.yaml").write_text(TEXT)
    program = f"""
import sys, time
from pathlib import Path
from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.stages import STAGES
def stage(context):
    time.sleep(0.02)
    return {{}}
for kind in STAGES:
    STAGES[kind] = stage
path = Path({str(tmp_path / "pair.yaml")!r})
print("go", flush=True)
run(load_recipe(path), Path({str(tmp_path / "out")!r}), text=path.read_text(), redo_stages=sys.argv[1:])
"""
    for redo in ([], ["zero"]):
        for moment in range(4):
            out, ours = os.pipe()
            process = command.start(*redo, program=program, streams=(0, ours, 2))
            os.close(ours)
            with open(out) as said:
                assert said.readline() == "go\n"
                time.sleep(moment * 0.03)
                process.kill()
                process.wait()
        result = command.run(*redo, program=program)
        assert result.returncode == 0, result.stderr
        assert all(is_done(folder(tmp_path, name)) for name in ("base", "zero", "scores"))
    assert [str(p) for p in (tmp_path / "out").rglob(".tmp-*")] == []
    assert not (tmp_path / "out" / "redo.json").exists()
