"""The levels of isolation, each tried with real programs by the kind of user it is for."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from ponder.errors import VerifierError
from ponder.records import CodeGold, MathGold
from ponder.sandbox import isolation
from ponder.sandbox.isolation import Isolation, accept_isolation, find_isolation
from ponder.sandbox.sandbox import Ending, Sandbox, SandboxError
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


def as_plain_user(path: str, root: str = str(ROOT), python: str = SYSTEM_PYTHON) -> tuple[str, list[str], list[str]]:
    """Level, what was missing, and what the programs printed, for a user without any privilege."""
    try:
        done = subprocess.run(
            [python, "-c", TRIAL.format(root=root, programs=PROGRAMS)],
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
    assert set(eval(others)) <= {"ponder", "root", "proc", "work", "home", "opt"}, (
        "only the way to the standard library and to the sandbox"
    )
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
    monkeypatch.setattr(isolation, "landlock_version", lambda: 1)
    found = isolation._find.__wrapped__("auto")
    assert (found.level, found.full, found.strength) == ("limits", False, "limits")
    assert "no namespaces today" in found.describe() and "NOT FULLY ISOLATED" in found.describe()
    assert "the host's name" in found.left_open()
    with pytest.raises(SandboxError, match=r"namespaces are demanded \(isolation: full\)"):
        isolation._find.__wrapped__("full")
    monkeypatch.setattr(isolation, "landlock_version", lambda: 0)
    with pytest.raises(SandboxError, match="`isolation: limits` accepts that by name"):
        isolation._find.__wrapped__("auto")
    accepted = isolation._find.__wrapped__("limits")
    assert accepted.strength == "limits without Landlock" and "READ EVERY FILE" in accepted.describe()


def test_a_pool_refuses_programs_where_isolation_is_less_than_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_candidates", lambda: [])
    monkeypatch.setattr(isolation, "_find", isolation._find.__wrapped__)
    with pytest.raises(VerifierError, match="cannot be run safely"):
        VerifierPool(workers=1, isolation="full")
    with VerifierPool(workers=1) as pool:
        assert pool.submit("7", MathGold(answer="7")).result().outcome == "right"
        with pytest.raises(VerifierError, match="Install bubblewrap"):
            pool.submit("x = 1", CodeGold(tests=("assert x == 1",)))


def test_what_is_accepted_reaches_the_workers_of_a_pool() -> None:
    accept_isolation("full")
    try:
        with VerifierPool(workers=1) as pool:
            pool.submit("7", MathGold(answer="7")).result()
            command = Path(f"/proc/{pool._links[0].process.pid}/cmdline").read_text().split("\0")
    except VerifierError:
        pytest.skip("no namespaces here")
    finally:
        accept_isolation("auto")
    assert command[-2] == "full"


def test_bubblewrap_works_for_a_ponder_below_the_folder_that_it_covers() -> None:
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        pytest.skip("bubblewrap is not installed")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        for part in ("__init__.py", "sandbox"):
            copy = shutil.copytree if part == "sandbox" else shutil.copy
            Path(folder, "ponder").mkdir(exist_ok=True)
            copy(ROOT / "ponder" / part, Path(folder, "ponder", part))
        level, missing, outputs = as_plain_user(str(Path(bubblewrap).parent), folder)
    if level != "bubblewrap" and "namespace" in str(missing):
        pytest.skip(f"bubblewrap does not work here: {missing}")
    assert level == "bubblewrap", missing
    expected(outputs)


@pytest.mark.parametrize("path", ["/nonexistent", "/usr/bin"])
def test_a_python_below_tmp_keeps_its_library(path: str) -> None:
    library, version = Path(sysconfig.get_path("stdlib")), f"python{sys.version_info.major}.{sys.version_info.minor}"
    dropped = ("*-packages", "test", "idlelib", "tkinter", "ensurepip", "lib2to3", "config-*", "__pycache__")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        prefix, here = Path(folder), Path(folder, "ponder-is-here")
        prefix.chmod(0o755)
        shutil.copytree(library, prefix / "lib" / version, ignore=shutil.ignore_patterns(*dropped))
        for shared in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
            shutil.copy(shared, prefix / "lib")
        (prefix / "bin").mkdir()
        python = shutil.copy(Path(sys.base_prefix, "bin", version), prefix / "bin")
        plain = 1000 if os.getuid() == 0 else None
        if subprocess.run([python, "-c", ""], user=plain, capture_output=True, check=False).returncode != 0:
            pytest.skip("this Python loads its library from where it was built alone, which others cannot read")
        shutil.copytree(ROOT / "ponder/sandbox", here / "ponder/sandbox")
        shutil.copy(ROOT / "ponder/__init__.py", here / "ponder")
        level, missing, outputs = as_plain_user(path, str(here), str(prefix / "bin" / version))
    if level == "limits":
        pytest.skip(f"no user namespaces here: {missing}")
    assert outputs[3] == f"['{prefix.name}']\n", "nothing else is in the private /tmp"
    expected(["1 1000 []\n", *outputs[1:3], "[]\n", *outputs[4:]])


UNREADABLE = """
from ponder.records import CodeGold
from ponder.sandbox import isolation
from ponder.sandbox.kernel import prctl
from ponder.sandbox.sandbox import zygote_command
from ponder.verify.code import verify_code
isolation._candidates = lambda: [("limits", lambda: zygote_command("bare-0"))]
isolation.landlock_version = lambda: 0
gold = CodeGold(tests=("assert f() == 1",))
print(prctl(3), verify_code("def f(): return 1", gold).outcome)
isolation.accept_isolation("limits")
print(verify_code("def f(): return 1", gold).outcome, prctl(3))
"""


def test_without_a_pool_the_same_is_refused_and_nobody_looks_into_the_judge() -> None:
    done = subprocess.run([sys.executable, "-c", UNREADABLE], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "1 cannot_tell\nright 0\n", done.stderr


def test_what_is_passed_over_is_said() -> None:
    found = Isolation(level="namespaces", command=(), missing=("bubblewrap: it broke",))
    assert "Passed over: bubblewrap: it broke." in found.describe()


@pytest.mark.parametrize("number", [*range(1, 32), 34, 40, 64])
def test_every_signal_has_a_name(number: int) -> None:
    ending = Ending(exit=None, signal=number, cpu_seconds=0, memory_bytes=0)
    assert ending.signal_name.startswith("SIG") or ending.signal_name == f"signal {number}"


def test_full_isolation_satisfies_the_demand_for_it() -> None:
    if not find_isolation().full:
        pytest.skip(find_isolation().describe())
    with VerifierPool(workers=1, isolation="full"):
        pass


def test_a_zygote_that_cannot_start_is_an_error() -> None:
    with pytest.raises(SandboxError, match="ended at once"):
        Sandbox([sys.executable, "-c", "pass"])
