"""The attacks in `attacks/`, and the table of what is kept from programs, at each level and for each kind of user."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ponder.sandbox.keeps import KEPT, STRENGTHS, as_markdown
from ponder.sandbox.landlock import landlock_version

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from at_level import head  # noqa: E402
from cells import PROBES  # noqa: E402

ATTACKS = sorted((HERE / "attacks").glob("*.py"))
NOBODY = 65534
USERS = ("root", "plain") if os.geteuid() == 0 else ("plain",)
PLACES = [(user, level) for user in USERS for level in STRENGTHS if (user, level) != ("root", "bubblewrap")]
SLICES = 5


@cache
def python_of(user: str) -> tuple[str, dict[str, object]]:
    """An interpreter that the user can run, and how to become that user."""
    if user == "root" or os.geteuid() != 0:
        return sys.executable, {}
    become: dict[str, object] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    for python in (sys.executable, "/usr/bin/python3", *sorted(map(str, Path("/usr/bin").glob("python3.[0-9]*")))):
        try:
            subprocess.run(
                [python, "-c", "import sys; assert sys.version_info >= (3, 11)"],
                check=True, capture_output=True, cwd="/", **become,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            continue
        return python, become
    pytest.skip("a plain user has no Python 3.11 here")


@cache
def tree_of(user: str) -> Path:
    """A checkout that the user can read: as root, the plain user's is a copy below /tmp."""
    if user == "root" or os.geteuid() != 0:
        return ROOT
    _Copy.folder = tempfile.TemporaryDirectory(prefix="ponder-test-", dir="/tmp")
    tree = Path(_Copy.folder.name)
    tree.chmod(0o755)
    for part in ("ponder/sandbox", "tests/sandbox"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "ponder/__init__.py", tree / "ponder/__init__.py")
    return tree


class _Copy:
    folder: tempfile.TemporaryDirectory[str] | None = None


@pytest.fixture(scope="module", autouse=True)
def no_copy_is_left() -> Iterator[None]:
    yield
    if _Copy.folder is not None:
        _Copy.folder.cleanup()
    tree_of.cache_clear()


def outcomes(user: str, level: str, *arguments: tuple[str, ...]) -> dict[str, object]:
    """What `at_level.py` says, of all runs with these arguments together."""
    if level == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    if level == "limits" and not landlock_version():
        pytest.skip("the kernel has no Landlock")
    found, errors = run_all(user, level, arguments)
    if errors and level in ("bubblewrap", "namespaces") and "SandboxError" in errors:
        pytest.skip(f"{level} does not work here: {errors.splitlines()[-1]}")
    assert not errors, errors
    return found


@cache
def run_all(user: str, level: str, arguments: tuple[tuple[str, ...], ...]) -> tuple[dict[str, object], str]:
    python, become = python_of(user)
    script = tree_of(user) / "tests/sandbox/at_level.py"
    running = [
        subprocess.Popen(
            [python, "-P", str(script), level, *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/", **become,
        )
        for more in arguments
    ]  # fmt: skip
    found: dict[str, object] = {}
    for process in running:
        output, errors = process.communicate(timeout=200)
        if process.returncode != 0:
            return {}, errors[-2000:] or "no words"
        found |= json.loads(output)
    return found, ""


@pytest.mark.parametrize(("user", "level"), PLACES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda path: path.stem)
def test_what_an_attack_comes_to(user: str, level: str, attack: Path) -> None:
    found = outcomes(user, level, *(("attacks", str(part), str(SLICES)) for part in range(SLICES)))[attack.stem]
    said = head(attack.read_text())
    allowed = said.get(level, said["must come out"]).split(" or ")
    assert isinstance(found, list) and found
    assert all(one in allowed for one in found), found


@pytest.mark.parametrize(("user", "level"), PLACES)
@pytest.mark.parametrize("row", KEPT, ids=lambda row: row.what)
def test_a_cell_of_the_table_holds(user: str, level: str, row: object) -> None:
    kept = next(one for one in KEPT if one is row)
    is_open = level in kept.open and not (kept.unless_root and user == "root")
    assert outcomes(user, level, ("cells",))[kept.what] == ("open" if is_open else "kept")


def test_every_row_has_a_probe() -> None:
    assert [row.what for row in KEPT] == list(PROBES)


def test_the_docs_show_the_table() -> None:
    assert as_markdown() in (ROOT / "docs/sandbox.md").read_text()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda path: path.stem)
def test_every_attack_says_what_it_tries_and_what_must_come_out(attack: Path) -> None:
    text = attack.read_text()
    assert text.startswith('"""Tries ') and text.isascii() and len(text) < 2000
    said = head(text)
    assert set(said["must come out"].split(" or ")) <= {"right", "wrong", "cannot tell"}
    assert set(said) <= {"must come out", "tests", *STRENGTHS}
