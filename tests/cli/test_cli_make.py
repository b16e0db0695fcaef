"""`make` takes the newest Python of a machine that can make a virtual environment, and says so where there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
GOOD = f'#!/bin/sh\nif [ "$1" = -c ]; then exec {sys.executable} "$@"; fi\n'  # -m venv: a folder that says who made it
MADE = 'rm -rf .venv && mkdir -p .venv/bin && echo "${0##*/}" > .venv/made && cp /bin/true .venv/bin/python\n'
WITHOUT_VENV = f'#!/bin/sh\nexec {sys.executable} -c "import no_such_module"\n'  # as Debian's python3.x without -venv
SHIM = '#!/bin/sh\necho "$0: command not found" >&2\nexit 127\n'  # a version manager's word for a version not there
OLD = f'#!/bin/sh\n[ "$1" = -c ] || exit 1\nexec {sys.executable} -c "import sys; sys.version_info = (3, 10); $2"\n'
SCRIPTS = {"good": GOOD + MADE, "no venv": WITHOUT_VENV, "shim": SHIM, "old": OLD}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clone as far as `make setup` reads it, and a path on which nothing but a shell's programs can be found."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "constraints.txt").touch()
    (tmp_path / "bin").mkdir()
    for program in ("make", "sh", "touch", "mkdir", "cp", "rm", "true"):
        found = shutil.which(program)
        assert found is not None, program
        (tmp_path / "bin" / program).symlink_to(found)
    return tmp_path


def setup(folder: Path, pythons: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    for name, kind in pythons.items():
        (folder / "bin" / name).write_text(SCRIPTS[kind])
        (folder / "bin" / name).chmod(0o755)
    # Neither the `make` that runs the tests nor the Python it was told to take has a say here.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHON" and "MAKE" not in key}
    return subprocess.run(
        ["make", "setup", *arguments],
        cwd=folder,
        env=environment | {"PATH": str(folder / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("pythons", "taken"),
    [
        ({"python3.11": "good"}, "python3.11"),
        ({"python3.12": "good"}, "python3.12"),
        ({"python3.13": "good", "python3": "good"}, "python3.13"),
        ({"python3": "good"}, "python3"),
        ({"python3.11": "good", "python3.14": "good", "python3.13": "good"}, "python3.14"),
        ({"python3.14": "shim", "python3.13": "no venv", "python3.12": "good", "python3.11": "good"}, "python3.12"),
        ({"python3": "old", "python3.11": "good"}, "python3.11"),
    ],
)
def test_the_newest_that_works_is_taken(folder: Path, pythons: dict[str, str], taken: str) -> None:
    result = setup(folder, pythons)
    assert result.returncode == 0, result.stderr
    assert (folder / ".venv" / "made").read_text() == f"{taken}\n"
    assert setup(folder, {"python3.14": "good"}).returncode == 0
    assert (folder / ".venv" / "made").read_text() == f"{taken}\n", "an environment that is there is kept"


@pytest.mark.parametrize(
    "pythons", [{}, {"python3": "old"}, {"python3": "no venv", "python3.14": "shim"}], ids=["none", "old", "no venv"]
)
def test_where_there_is_none(folder: Path, pythons: dict[str, str]) -> None:
    result = setup(folder, pythons)
    assert result.returncode != 0 and not (folder / ".venv").exists()
    assert "needs Python 3.11 or newer with its venv module" in result.stderr
    assert "make PYTHON=" in result.stderr and "command not found" not in result.stderr


def test_a_named_python_is_the_only_one_tried(folder: Path) -> None:
    pythons = {"python3.14": "good", "python3.12": "good", "mine": "old"}
    assert setup(folder, pythons, "PYTHON=mine").returncode != 0
    assert setup(folder, pythons, "PYTHON=python3.12").returncode == 0
    assert (folder / ".venv" / "made").read_text() == "python3.12\n"


def test_an_environment_whose_python_is_gone_is_made_anew(folder: Path) -> None:
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to("/usr/bin/python3.10-removed")
    assert setup(folder, {"python3.13": "good"}).returncode == 0
    assert (folder / ".venv" / "made").read_text() == "python3.13\n"
