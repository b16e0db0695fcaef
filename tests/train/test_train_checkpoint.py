"""Checkpoints: whole, verified, pruned, never torn."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import SafetensorError

from ponder.errors import CheckpointError
from ponder.train import CheckpointStore


def content(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "model" / "weights").write_text(text)

    return write


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_newest_of_several(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints", keep=2)
    assert store.newest() is None
    for step in (5, 10, 15):
        folder = store.save(step, content(f"weights {step}"), {"cursor": step * 2})
    found = store.newest()
    assert found is not None and (found.folder, found.step, found.state) == (folder, 15, {"cursor": 30})
    assert (folder / "model" / "weights").read_text() == "weights 15"
    assert (tmp_path / "checkpoints" / "latest").read_text() == "step-00000015\n"
    assert sorted(p.name for p in (tmp_path / "checkpoints").glob("step-*")) == ["step-00000010", "step-00000015"]


def test_the_best_is_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    for step, best in ((1, True), (2, True), (3, False), (4, False)):
        store.save(step, content(str(step)), {}, best=best)
    assert sorted(p.name for p in tmp_path.glob("*")) == ["best", "latest", "step-00000002", "step-00000004"]
    assert store.best() == tmp_path / "step-00000002"


def test_a_best_one_whose_writer_was_killed_at_once_is_the_best(tmp_path: Path) -> None:
    """Its folder stood there, and `best` named the one before, which pruning would have kept in its place."""
    store = CheckpointStore(tmp_path, keep=1)
    for step in (1, 2):
        store.save(step, content(str(step)), {}, best=True)
    for pointer in ("best", "latest"):
        (tmp_path / pointer).write_text("step-00000001\n")
    resumed = CheckpointStore(tmp_path, keep=1)
    assert resumed.newest() is not None and resumed.best() == tmp_path / "step-00000002"
    resumed.save(3, content("three"), {})
    assert resumed.newest() is not None and resumed.best() == tmp_path / "step-00000002"
    assert (tmp_path / "step-00000002").is_dir()


def test_a_best_one_that_was_taken_back_is_not_the_best_again(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    for step in (1, 2):
        store.save(step, content(str(step)), {}, best=True)
    assert store.take_back_best(2, 1)
    resumed = CheckpointStore(tmp_path, keep=2)
    assert resumed.newest() is not None and resumed.best() == tmp_path / "step-00000001"


@pytest.mark.parametrize("file", ["model/weights", "state.json", "checksums.json"])
def test_damage_is_named_and_passed_over(tmp_path: Path, file: str) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    store.save(1, content("one"), {})
    store.save(2, content("two"), {})
    flip(tmp_path / "step-00000002" / file)
    with pytest.warns(UserWarning, match="damaged") as caught:
        found = store.newest()
    assert found is not None and found.step == 1
    assert file in str(caught[0].message) or file == "checksums.json"
    flip(tmp_path / "step-00000001" / file)
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match="no undamaged checkpoint"):
        store.newest()


def test_missing_file_is_damage(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    folder = store.save(1, content("one"), {})
    (folder / "model" / "weights").unlink()
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match=r"'model/weights' is missing"):
        store.newest()


def _disk_full(folder: Path) -> None:
    (folder / "model").mkdir()
    with open("/dev/full", "w") as file:  # a real ENOSPC
        file.write("x" * 100_000)


def _disk_full_in_safetensors(folder: Path) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("write", [_disk_full, _disk_full_in_safetensors])
def test_disk_full_leaves_the_previous_one(tmp_path: Path, write: Callable[[Path], None]) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    store.save(1, content("one"), {})
    with pytest.raises(CheckpointError, match="checkpoint of step 2 could not be written"):
        store.save(2, write, {})
    found = store.newest()
    assert found is not None and found.step == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "step-00000001"]


def test_killed_while_writing_leaves_nothing_to_trip_over(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    store.save(1, content("one"), {})

    def killed(folder: Path) -> None:
        content("half")(folder)
        shutil.copytree(folder, folder.with_name(".tmp-killed"))  # what a killed process would leave behind
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.save(2, killed, {})
    found = store.newest()
    assert found is not None and found.step == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "step-00000001"]


def test_unchanged_folders_are_taken_over(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)

    def with_reference(folder: Path) -> None:
        content("one")(folder)
        (folder / "reference").mkdir()
        (folder / "reference" / "weights").write_text("reference")

    def again(folder: Path) -> None:
        (folder / "reference").mkdir()
        (folder / "reference" / "weights").write_text("reference")

    first = store.save(1, with_reference, {})
    inode = (first / "reference" / "weights").stat().st_ino
    second = store.save(2, content("two"), {}, unchanged={"reference": again})
    assert (second / "reference" / "weights").stat().st_ino == inode
    assert not first.exists() and (second / "reference" / "weights").read_text() == "reference"
    assert store.newest() is not None
    third = CheckpointStore(tmp_path / "new", keep=1).save(1, content("one"), {}, unchanged={"reference": again})
    assert (third / "reference" / "weights").read_text() == "reference", "nothing to take over: written"


def reference(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "reference").mkdir()
        (folder / "reference" / "weights").write_text(text)

    return write


def damaged(path: Path) -> None:
    """Another file in its place, so that what is linked to it elsewhere stays as it was."""
    path.unlink()
    path.write_text("damaged")


def unwritten(folder: Path) -> None:
    raise AssertionError("the reference should be taken over")


def test_a_damaged_reference_does_not_come_back_as_good(tmp_path: Path) -> None:
    """The newest checkpoint is damaged, the run goes on from the one before: what is taken over is from there."""
    first = CheckpointStore(tmp_path, keep=3)
    first.save(1, lambda folder: [part(folder) for part in (content("one"), reference("right"))], {})
    first.save(2, content("two"), {}, unchanged={"reference": unwritten})
    damaged(tmp_path / "step-00000002" / "reference" / "weights")
    store = CheckpointStore(tmp_path, keep=3)
    with pytest.warns(UserWarning, match="damaged"):
        found = store.newest()
    assert found is not None and found.step == 1
    folder = store.save(2, content("two again"), {}, unchanged={"reference": unwritten})
    assert (folder / "reference" / "weights").read_text() == "right"
    found = CheckpointStore(tmp_path, keep=3).newest()
    assert found is not None and found.folder == folder


@pytest.mark.parametrize("linked", [True, False])
def test_a_reference_damaged_while_the_run_goes_on_is_written_anew(tmp_path: Path, linked: bool) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    store.save(1, lambda folder: [part(folder) for part in (content("one"), reference("right"))], {})
    weights = tmp_path / "step-00000001" / "reference" / "weights"
    weights.write_text("wrong") if linked else weights.unlink()
    with pytest.warns(UserWarning, match="'reference' is written anew"):
        folder = store.save(2, content("two"), {}, unchanged={"reference": reference("right")})
    assert (folder / "reference" / "weights").read_text() == "right"
    assert store.newest() is not None


def test_a_checksum_does_not_vouch_for_damage_before_it(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    store.save(1, lambda folder: [part(folder) for part in (content("one"), reference("right"))], {})
    folder = store.save(2, content("two"), {}, unchanged={"reference": unwritten})
    flip(folder / "reference" / "weights")
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match="reference/weights"):
        store.newest()


def test_a_damaged_later_checkpoint_does_not_outlive_the_good_ones(tmp_path: Path) -> None:
    """Training went back behind step 10; were 10 still the newest, pruning would remove all that is good."""
    store = CheckpointStore(tmp_path, keep=1)
    CheckpointStore(tmp_path, keep=2).save(5, content("five"), {})
    CheckpointStore(tmp_path, keep=2).save(10, content("ten"), {})
    flip(tmp_path / "step-00000010" / "model" / "weights")
    with pytest.warns(UserWarning, match="damaged"):
        assert store.newest() is not None
    store.save(7, content("seven"), {})
    found = store.newest()
    assert found is not None and found.step == 7
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-00000007"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    store.save(1, content("one"), {})
    folder = store.save(1, content("again"), {})
    assert (folder / "model" / "weights").read_text() == "again"
    assert store.newest() is not None
