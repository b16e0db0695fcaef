"""What ponder imports, what it declares and what it pins are the same."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ponder.doctor import _EXTRAS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[Requirement]] = {
    name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()
}
DECLARED = [Requirement(line) for line in PROJECT["dependencies"]]
PINNED = dict(
    re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
)
BY_NAME = {"httptools"}
"""What others import when they are told its name, as uvicorn does."""
PINS = {canonicalize_name(name): version for name, version in PINNED.items()}


def names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(one.name) for one in requirements}


def imported(folder: str) -> set[str]:
    """The distributions from which the code in a folder imports."""
    modules: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None
                modules.add(node.module.partition(".")[0])
    home = importlib.metadata.packages_distributions()
    own = {path.stem for path in (ROOT / folder).iterdir()} | {"ponder"}
    return {canonicalize_name(home.get(module, [module])[0]) for module in modules - own - sys.stdlib_module_names}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    of_users = {name for extra, lines in EXTRAS.items() if extra not in ("dev", "bench") for name in names(lines)}
    assert imported("ponder") == (names(DECLARED) | of_users) - BY_NAME
    assert of_users >= BY_NAME
    assert not names(DECLARED) & of_users


def test_benchmarks_import_what_their_extra_brings() -> None:
    assert names(EXTRAS["bench"]) <= imported("benchmarks")


def test_doctor_knows_the_extras() -> None:
    assert _EXTRAS.keys() == EXTRAS.keys() - {"dev"}
    for extra, module in _EXTRAS.items():
        home = importlib.metadata.packages_distributions().get(module, [module])[0]
        assert canonicalize_name(home) in names(EXTRAS[extra])


@pytest.mark.parametrize("one", [*DECLARED, *EXTRAS["dev"], *EXTRAS["peft"], *EXTRAS["gym"]], ids=str)
def test_what_is_declared_is_pinned_to_a_version_that_fits(one: Requirement) -> None:
    if one.name == PROJECT["name"]:
        assert one.extras <= EXTRAS.keys()
        return
    assert one.specifier.contains(PINS[canonicalize_name(one.name)], prereleases=True)
