"""Commands as forks of a process that is loaded already: what tests rely on when they start, read and kill them."""

import os
import signal
import time
from pathlib import Path

from tests.command import run, start


def test_what_it_says_and_how_it_ends(tmp_path: Path) -> None:
    done = run("plan", "zero-micro", "stages.zero.stpes=5")
    assert (done.returncode, done.stdout) == (1, "") and "unknown key 'stpes'" in done.stderr
    assert "Traceback" in run("plan", "zero-micro", "x=1", environment={"PONDER_TRACEBACK": "1"}).stderr
    assert run("run").returncode == 2
    (tmp_path / "mine.yaml").write_text(run("recipes", "zero-micro").stdout)
    assert run("plan", "mine.yaml", folder=tmp_path).returncode == 0


def test_it_is_a_session_that_can_be_killed_while_others_go_on(tmp_path: Path) -> None:
    first, second = (start("run", "zero-micro", "--out", str(tmp_path / name), session=True) for name in "ab")
    assert os.getsid(first.pid) == first.pid != second.pid == os.getsid(second.pid)
    assert os.getppid() not in (first.pid, second.pid)
    while not (tmp_path / "b" / "stages" / "zero" / "manifest.json").exists():
        assert second.poll() is None
        time.sleep(0.01)
    first.kill_all()
    assert first.returncode == -signal.SIGKILL and second.poll() is None
    second.terminate()
    assert second.wait() == 130 and "stopped: " in second.communicate()[1]
