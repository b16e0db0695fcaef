"""A wheel, installed where there is no clone, has everything that ponder needs to run, recipes included."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from ponder.manifest import is_done

REPOSITORY = Path(__file__).parents[2]
BUILT_FROM = ("ponder", "pyproject.toml", "README.md", "LICENSE")


def run(*command: object, folder: Path, **environment: str) -> str:
    """What a command prints; it must succeed, knowing nothing of the clone that this test stands in."""
    known = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | environment
    told = subprocess.run([*map(str, command)], cwd=folder, env=known, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, for setuptools leaves its work beside what it builds, and takes from there the next time."""
    copy = tmp_path_factory.mktemp("clone")
    for name in BUILT_FROM:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-index")
    run(*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", copy / "dist", ".", folder=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel in it and nothing else; ponder's dependencies are looked up in the
    one that the tests run in, whose own ponder stays out, since a `.pth` of there is not read from here."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    python = folder / "bin" / "python"
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip())
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--no-index")
    run(*pip, "--no-deps", wheel, folder=folder)
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert Path(run(python, "-c", "import ponder; print(ponder.__file__)", folder=folder).strip()).parent.parent == own
    return folder / "bin"


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    package = REPOSITORY / "ponder"
    there = {p.relative_to(REPOSITORY).as_posix() for p in package.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == there
    assert "ponder/recipes/zero-micro.yaml" in held


def test_a_shipped_recipe_runs_from_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    assert "zero-micro " in run(environment / "ponder", "recipes", folder=tmp_path)
    run(environment / "ponder", "run", "zero-micro", "--smoke", folder=tmp_path, HF_HUB_OFFLINE="1")
    out = tmp_path / "runs" / "zero-micro-smoke"
    assert is_done(out / "stages" / "zero") and (out / "report.html").is_file()
    mine = run(environment / "ponder", "recipes", "zero-micro", folder=tmp_path)
    assert (out / "recipe.yaml").read_text() == mine
