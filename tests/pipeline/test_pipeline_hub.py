"""Models of the hub are pinned: a run goes on with the commit it began with, whatever the hub shows by then."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import ModelError
from ponder.files import EMBEDDED, read_json
from ponder.hub import HubId, parse_hub_id
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.run import run
from ponder.pipeline.shape import Shape, find_shape
from ponder.policy import load_policy
from ponder.recipe import load_recipe
from ponder.recipe.graph import is_hub_id
from ponder.stages import STAGES, Context

OLD, NEW, THIRD = "1" * 40, "2" * 40, "3" * 40
TEXT = """
name: hub
stages:
  cold: {kind: sft, model: "MODEL", examples: [{source: micro}], steps: 1}
  zero: {kind: rl, model: cold, problems: [{source: micro}], steps: 1}
  measured: {kind: evaluate, models: [zero, "MODEL"], benchmarks: [micro]}
"""


class Cache:
    """The hub's cache with one model, whose commits are copies of the embedded student."""

    def __init__(self, folder: Path) -> None:
        self.model = folder / "models--maker--tiny"

    def add(self, commit: str) -> Path:
        snapshot = self.model / "snapshots" / commit
        shutil.copytree(EMBEDDED["micro-student"], snapshot)
        return snapshot

    def show(self, branch: str, commit: str) -> None:
        reference = self.model / "refs" / branch
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(commit)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    made = Cache(tmp_path / "hub")
    for commit in (OLD, NEW):
        made.add(commit)
    made.show("main", OLD)
    made.show("v2", NEW)
    return made


Run = Callable[..., dict[str, str]]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the recipe; what every stage that ran would load for the hub's model."""

    def begin_it(model: str, *, dies: str | None = None, redo: tuple[str, ...] = ()) -> dict[str, str]:
        sources: dict[str, str] = {}

        def write_down(context: Context[Any]) -> Mapping[str, Any]:
            (context.folder / "begun").touch()
            if context.name == dies:
                raise KeyboardInterrupt
            sources[context.name] = context.model_source(model)
            return {}

        for kind in STAGES:
            monkeypatch.setitem(STAGES, kind, write_down)
        path = tmp_path / "hub.yaml"
        path.write_text(TEXT.replace("MODEL", model))
        try:
            run(load_recipe(path), tmp_path / "out", text="", redo_stages=redo, say=lambda line: None)
        except KeyboardInterrupt:
            assert dies is not None
        return sources

    return begin_it


def outside(tmp_path: Path, stage: str) -> Any:
    return read_json(tmp_path / "out" / "stages" / stage / "manifest.json")["identity"]["outside"]


def test_a_run_goes_on_with_the_commit_it_began_with(cache: Cache, begin: Run, tmp_path: Path) -> None:
    name = "maker/tiny"
    assert begin(name, dies="cold") == {}
    assert outside(tmp_path, "cold") == {name: f"hub:{name}@{OLD}"}
    cache.show("main", NEW)
    assert begin(name, dies="measured") == {"cold": f"{name}@{OLD}", "zero": name}  # it does not read it
    assert begin(name) == {"measured": f"{name}@{OLD}"}  # a stage that is new takes the run's commit, too
    assert outside(tmp_path, "measured") == {name: f"hub:{name}@{OLD}"}
    assert begin(name) == {}
    shutil.rmtree(tmp_path / "out")
    assert begin(name)["cold"] == f"{name}@{NEW}"


def test_a_revision_in_the_recipe(cache: Cache, begin: Run, tmp_path: Path) -> None:
    begin("maker/tiny@v2")
    assert outside(tmp_path, "cold") == {"maker/tiny@v2": f"hub:maker/tiny@{NEW}"}
    cache.add(THIRD)
    cache.show("v2", THIRD)
    assert begin("maker/tiny@v2") == {}
    shutil.rmtree(tmp_path / "out")
    assert begin(f"maker/tiny@{OLD}")["measured"] == f"maker/tiny@{OLD}"


def test_another_commit_is_another_run(cache: Cache, begin: Run, tmp_path: Path) -> None:
    begin("maker/tiny")
    with pytest.raises(Exception, match=r"made with other settings.*model: \"maker/tiny\" -> \"maker/tiny@v2\""):
        begin("maker/tiny@v2")


def test_redoing_everything_takes_what_the_hub_shows_now(cache: Cache, begin: Run) -> None:
    assert begin("maker/tiny")["cold"] == f"maker/tiny@{OLD}"
    cache.show("main", NEW)
    assert begin("maker/tiny", redo=("cold", "measured"))["cold"] == f"maker/tiny@{NEW}"


def test_what_is_loaded_is_the_revision(cache: Cache) -> None:
    edited = cache.model / "snapshots" / NEW / "config.json"
    edited.write_text(json.dumps(json.loads(edited.read_text()) | {"max_position_embeddings": 96}))
    assert load_policy("maker/tiny@v2").window == load_policy(f"maker/tiny@{NEW}").window == 96
    assert load_policy("maker/tiny").window == load_policy(f"maker/tiny@{OLD}").window != 96


@pytest.mark.parametrize("name", ["maker/tiny@v3", f"maker/tiny@{THIRD}", "maker/other", "maker/other@v1"])
def test_a_model_that_cannot_be_had_is_said_before_the_first_stage(cache: Cache, begin: Run, name: str) -> None:
    with pytest.raises(ModelError, match=f"model '{name}' cannot be had: the Hugging Face hub does not give 'maker/"):
        begin(name)


def test_a_plan_asks_nobody(cache: Cache, tmp_path: Path) -> None:
    for name, known in (("maker/tiny@v2", True), ("maker/other@v1", False)):
        path = tmp_path / "plan.yaml"
        path.write_text(TEXT.replace("MODEL", name))
        recipe = load_recipe(path)
        assert describe_plan(recipe, tmp_path / "out")
        assert isinstance(find_shape(recipe, name), Shape) == known


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Qwen/Qwen2.5-0.5B", ("Qwen/Qwen2.5-0.5B", None)),
        ("a/b@main", ("a/b", "main")),
        ("a/b@refs/pr/12", ("a/b", "refs/pr/12")),
        ("a/b@v1.0-rc_1", ("a/b", "v1.0-rc_1")),
        ("a/b@", None), ("a@v1", None), ("a/b@v1@v2", None), ("./a/b", None), ("a/b/c", None), ("a/b@/x", None),
    ],
)  # fmt: skip
def test_names_of_the_hub(text: str, expected: tuple[str, str | None] | None) -> None:
    found = parse_hub_id(text)
    assert is_hub_id(text) == (expected is not None)
    assert found == (None if expected is None else HubId(repository=expected[0], revision=expected[1]))


def test_a_folder_with_such_a_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b@v1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not is_hub_id("a/b@v1") and is_hub_id("a/b@v2")


def test_a_folder_that_cannot_be_used_is_said_before_the_first_stage(begin: Run, tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED["micro-student"], tmp_path / "copied")
    (tmp_path / "copied" / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"stage 'cold', model '.*/copied': .* holds the adapter"):
        begin(str(tmp_path / "copied"))
