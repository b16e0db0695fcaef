"""Imports point down the table in docs/design.md, and what needs no torch loads none."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.stages import STAGES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ponder"


def layers() -> dict[str, int]:
    """Each folder or file of the package with the number of its line in the table, the top one being 0."""
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    table = re.search(r"^## Layers.*\n\n((?: {4}.*\n)+)", page, re.MULTILINE)
    assert table is not None, "docs/design.md has no table of layers"
    found: dict[str, int] = {}
    for number, line in enumerate(table[1].splitlines()):
        for word in line.split():
            if not re.fullmatch(r"[a-z_]+(/|\.py)", word):
                break
            found[word.rstrip("/").removesuffix(".py")] = number
    return found


LAYERS = layers()


def layer_name(module: str) -> str:
    """`ponder.train.packing` as `train`; the package itself as the empty text."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Each imported module of a file, its line, and whether it is imported on loading."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, node not in lazy
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the full name"
            assert node.module is not None
            if node.module == "ponder":  # `from ponder import train` means ponder.train
                for alias in node.names:
                    yield f"ponder.{alias.name}", node.lineno, node not in lazy
            else:
                yield node.module, node.lineno, node not in lazy


FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def upward(module: str, target: str) -> bool:
    """Whether `module` may not import `target`."""
    here, there = layer_name(module), layer_name(target)
    if here == there:
        return False
    return there in LAYERS and (here not in LAYERS or LAYERS[there] <= LAYERS[here])


def test_the_table_names_every_folder() -> None:
    present = {p.name for p in PACKAGE.iterdir() if p.is_dir() and any(p.glob("*.py"))}
    present |= {p.stem for p in PACKAGE.glob("*.py")} - {"__init__"}
    assert present <= LAYERS.keys(), f"missing in docs/design.md: {sorted(present - LAYERS.keys())}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    module = module_of(path)
    wrong = [
        f"{path.name}:{line} imports {target}"
        for target, line, _ in imports(path)
        if target.startswith("ponder.") and upward(module, target)
    ]
    assert not wrong, f"upward or sideways import: {wrong}"


@pytest.mark.parametrize("kind", STAGES)
def test_stages_never_import_each_other(kind: str) -> None:
    path = PACKAGE / "stages" / f"{kind}.py"
    forbidden = {f"ponder.stages.{other}" for other in STAGES} | {"ponder.stages"}
    assert not [target for target, _, _ in imports(path) if target in forbidden]


def test_a_wrong_import_would_be_seen() -> None:
    assert upward("ponder.train.trainer", "ponder.stages.rl")
    assert upward("ponder.train.trainer", "ponder.rollout.local")  # same line of the table
    assert upward("ponder.records", "ponder.files")
    assert not upward("ponder.stages.rl", "ponder.train.trainer")
    assert not upward("ponder.train.trainer", "ponder.train.packing")


HEAVY = "torch", "transformers", "datasets", "vllm", "ray", "sympy", "reasoning_gym"


def loaded_by(code: str) -> set[str]:
    """The heavy packages that are loaded after `code` ran in a process of its own."""
    program = f"{code}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    return set(ast.literal_eval(result.stdout.splitlines()[-1]))


def test_importing_loads_nothing_heavy() -> None:
    assert loaded_by("import ponder, ponder.cli, ponder.pipeline, ponder.stages") == set()


def test_loading_and_planning_a_recipe_loads_nothing_heavy(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "name: r\nstages:\n  zero:\n    kind: rl\n    model: Qwen/Qwen2.5-1.5B\n    steps: 5\n"
        "    problems: [{source: micro}]\n  page: {kind: report, stages: [zero]}\n"
    )
    code = f"""
from pathlib import Path
from ponder.pipeline.plan import describe_plan
from ponder.recipe import load_recipe
print(describe_plan(load_recipe({str(recipe)!r}), Path({str(tmp_path / "run")!r})))
"""
    assert loaded_by(code) == set()


def test_the_check_for_heavy_packages_can_fail() -> None:
    assert loaded_by("import sympy") == {"sympy"}
