"""A run folder that lost something: a finished stage is skipped only if what it left for others is still there."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pair_run import Stages, folder

from ponder.errors import RunFolderError
from ponder.files import read_json, sealed, write_json
from ponder.manifest import DONE, MANIFEST, updates_made
from ponder.pipeline.plan import describe_plan
from ponder.recipe import load_recipe

Start = Callable[..., list[str]]
MODEL = "model/weights"


@pytest.fixture
def left(stages: Stages) -> Stages:
    """Stages that leave a model, or scores."""
    stages.leave = {"base": MODEL, "zero": MODEL, "scores": "evaluation/zero--gsm8k.json"}
    return stages


@pytest.mark.parametrize(
    ("stage", "damage", "said"),
    [
        ("zero", lambda at: shutil.rmtree(at / "model"), f"zero ({MODEL} is gone)"),
        ("zero", lambda at: (at / MODEL).write_text("zer"), f"zero ({MODEL} is not as the stage left it)"),
        ("scores", lambda at: shutil.rmtree(at / "evaluation"), "scores (evaluation/zero--gsm8k.json is gone)"),
        ("base", lambda at: (at / MANIFEST).unlink(), f"base ({MANIFEST} is gone)"),
    ],
)
def test_a_damaged_stage_is_named_and_not_skipped(
    start: Start, left: Stages, tmp_path: Path, stage: str, damage: Callable[[Path], object], said: str
) -> None:
    start()
    damage(folder(tmp_path, stage))
    with pytest.raises(RunFolderError) as caught:
        start()
    assert said in str(caught.value) and f"--redo {stage}" in str(caught.value) and not left.ran
    assert "damaged: refused" in describe_plan(load_recipe(tmp_path / "pair.yaml"), tmp_path / "out")
    assert stage in start(redo=[stage]) and start() == []


def test_what_others_do_not_read_may_go(start: Start, left: Stages, tmp_path: Path) -> None:
    start()
    (folder(tmp_path, "zero") / "steps").unlink()
    (folder(tmp_path, "zero") / "model" / "note.txt").write_text("mine")
    shutil.copytree(tmp_path / "out", tmp_path / "copy")  # without times
    shutil.rmtree(tmp_path / "out")
    shutil.move(tmp_path / "copy", tmp_path / "out")
    assert start() == []


def test_a_done_mark_alone_is_no_end(start: Start, left: Stages, tmp_path: Path) -> None:
    left.trouble["zero"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        start()
    (folder(tmp_path, "zero") / DONE).touch()
    assert start() == ["zero", "scores"]


def test_a_folder_of_an_older_ponder_must_hold_what_is_read(start: Start, left: Stages, tmp_path: Path) -> None:
    start()
    path = folder(tmp_path, "zero") / MANIFEST
    write_json(path, {key: value for key, value in read_json(path).items() if key != "products"})
    assert start() == []
    shutil.rmtree(folder(tmp_path, "zero") / "model")
    with pytest.raises(RunFolderError, match=r"zero \(model is gone\)"):
        start()


def test_a_file_in_a_stages_place_is_named(start: Start, left: Stages, tmp_path: Path) -> None:
    start()
    shutil.rmtree(folder(tmp_path, "scores"))
    folder(tmp_path, "scores").write_text("mine")
    with pytest.raises(RunFolderError, match=r"scores \(manifest.json is gone\)"):
        start()
    assert folder(tmp_path, "scores").read_text() == "mine"


def test_others_beside_checkpoints_are_none(tmp_path: Path) -> None:
    for name in ("step-00000004", "step-00000004.bak", "step-junk", "step-00000009 (copy)"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-00000008").touch()
    assert updates_made(tmp_path) == 4


def test_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_bytes(b"abc")
    (tmp_path / "model" / ".tmp-b").write_bytes(b"b")
    (tmp_path / "other").write_bytes(b"")
    abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sealed(tmp_path, ["model", "gone"]) == {"model/a": abc}
    monkeypatch.setattr("ponder.files._HASHED_WHOLE_BYTES", 2)
    assert sealed(tmp_path, ["model/a"]) == {"model/a": "bytes:3"}
