"""The levels of isolation, each tried with real programs by the kind of user it is for."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ponder.errors import VerifierError
from ponder.sandbox import isolation
from ponder.sandbox.isolation import Isolation, find_isolation
from ponder.sandbox.sandbox import Sandbox, SandboxError
from ponder.verify import code
from ponder.verify.pool import VerifierPool

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"

TRIAL = """
import json, sys, time
sys.dont_write_bytecode = True
sys.path.insert(0, {root!r})
from ponder.sandbox.isolation import find_isolation
from ponder.sandbox.limits import Limits
from ponder.sandbox.runs import run_script
from ponder.sandbox.sandbox import Sandbox
programs = {programs!r}
level = find_isolation()
with Sandbox(level.command) as sandbox:
    outputs = [run_script(sandbox, p, "", Limits(), time.monotonic() + 10).output.decode() for p in programs]
print(json.dumps([level.level, list(level.missing), outputs]))
"""
PROGRAMS = [
    "import os; print(os.getpid(), os.getuid(), sorted(os.listdir('/tmp')))",
    "import os; print(sorted(set(os.listdir('/')) - {'bin', 'lib', 'lib32', 'lib64', 'usr', 'dev', 'etc', 'tmp'}))",
    "open('/tmp/x', 'w').write('mine'); print(open('/tmp/x').read())",
    "import os; print(os.listdir('/tmp'))",
    "import os\nfor p in ('/x', '/dev/x', '/usr/x', '/etc/x', '/proc/x'):\n"
    "    try: open(p, 'w'); print(p)\n    except OSError: pass",
    "import os\ntry: os.fork()\nexcept OSError: print('refused')",
    "import os\nprint([p for p in ('/etc/passwd', '/home', '/var', '/proc/self', '/sys/kernel') if os.path.exists(p)])",
]


def as_plain_user(path: str) -> tuple[str, list[str], list[str]]:
    """Level, what was missing, and what the programs printed, for a user without any privilege."""
    try:
        done = subprocess.run(
            [SYSTEM_PYTHON, "-c", TRIAL.format(root=str(ROOT), programs=PROGRAMS)],
            env={"PATH": path},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            user=65534 if os.geteuid() == 0 else None,
            group=65534 if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
        )
    except OSError as error:
        pytest.skip(str(error))
    if "ModuleNotFoundError" in done.stderr or "SyntaxError" in done.stderr or "PermissionError" in done.stderr:
        pytest.skip(f"a plain user cannot import ponder.sandbox here: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    level, missing, outputs = json.loads(done.stdout)
    return level, missing, outputs


def expected(outputs: list[str]) -> None:
    first, others, written, later, outside, fork, host = outputs
    assert first == "1 1000 []\n"
    assert set(eval(others)) <= {"root", "proc", "work", "home", "opt"}, "only the way to the standard library"
    assert written == "mine\n"
    assert later == "[]\n", "every program has a /tmp of its own"
    assert outside == "", "nothing else can be written"
    assert fork == "refused\n"
    assert eval(host) == [] or eval(host) == ["/home"]


def test_a_plain_user_gets_namespaces() -> None:
    level, missing, outputs = as_plain_user("/nonexistent")
    if level == "limits":
        pytest.skip(f"no user namespaces here: {missing}")
    assert level == "namespaces"
    expected(outputs)


def test_bubblewrap_is_preferred_where_it_works() -> None:
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        pytest.skip("bubblewrap is not installed")
    level, missing, outputs = as_plain_user(str(Path(bubblewrap).parent))
    if level != "bubblewrap":
        pytest.skip(f"bubblewrap does not work here: {missing}")
    expected(outputs)


def test_without_namespaces_the_level_is_limits_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    real = isolation._try

    def refuse(command: list[str], *, full: bool) -> None:
        if full:
            raise SandboxError("no namespaces today")
        real(command, full=full)

    monkeypatch.setattr(isolation, "_try", refuse)
    found = find_isolation.__wrapped__()
    assert (found.level, found.full) == ("limits", False)
    assert "no namespaces today" in found.describe() and "NOT FULLY ISOLATED" in found.describe()
    monkeypatch.setattr(code, "find_isolation", lambda: found)
    with pytest.raises(VerifierError, match="require_isolation is set"):
        VerifierPool(require_isolation=True)


def test_full_isolation_satisfies_the_demand_for_it() -> None:
    if not find_isolation().full:
        pytest.skip(find_isolation().describe())
    assert isinstance(code.require_isolation(), Isolation)


def test_a_zygote_that_cannot_start_is_an_error() -> None:
    with pytest.raises(SandboxError, match="ended at once"):
        Sandbox([sys.executable, "-c", "pass"])
