"""Files are whole or not there, whatever happens while they are written; seeds depend on every part."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from ponder.errors import RunFolderError
from ponder.files import (
    TEMPORARY,
    expand_path,
    file_digest,
    folder_digest,
    placing,
    publishing,
    read_json,
    replacing,
    sweep,
    write_json,
    write_text,
)
from ponder.seeds import derive_seed


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_replaced_file_is_whole_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rows.jsonl"
    with replacing(path) as file:
        file.write(b"one\n")
        assert not path.exists()
        file.write(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"three\n")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"one\ntwo\n" and names(path.parent) == ["rows.jsonl"]


def test_json_survives(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None], "b": "等等"}
    write_json(tmp_path / "deep" / "x.json", value)
    assert read_json(tmp_path / "deep" / "x.json") == value
    assert names(tmp_path / "deep") == ["x.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "x", "old")

    def fail(descriptor: int) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="input/output"):
        write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_a_folder_appears_at_once_and_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with publishing(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "weights").write_text("1")
        assert not target.exists()
    assert (target / "sub" / "weights").read_text() == "1"
    with publishing(target) as folder:
        (folder / "weights").write_text("2")
    assert names(target) == ["weights"]  # the old content is gone, not mixed in
    assert names(tmp_path) == ["model"]


def test_a_folder_that_fails_to_be_filled_does_not_appear(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with publishing(target) as folder:
        (folder / "weights").write_text("1")
    with pytest.raises(KeyboardInterrupt), publishing(target) as folder:
        (folder / "weights").write_text("half")
        raise KeyboardInterrupt
    assert (target / "weights").read_text() == "1"
    assert names(tmp_path) == ["model"]


def test_a_file_that_a_library_opens_itself_appears_whole_or_not(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model.bin"
    with placing(target) as path:
        path.write_text("1")
        assert not target.exists()
    with pytest.raises(KeyboardInterrupt), placing(target) as path:
        path.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "1"
    assert names(target.parent) == ["model.bin"]


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from ponder.files import publishing
moment, changes = int(sys.argv[2]), 0
rename, rmtree = Path.rename, shutil.rmtree
def counted(change):
    def changing(*arguments, **options):
        global changes
        if changes == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        changes += 1
        return change(*arguments, **options)
    return changing
Path.rename, shutil.rmtree = counted(rename), counted(rmtree)
with publishing(Path(sys.argv[1])) as folder:
    (folder / "weights").write_text("new")
print(changes)
"""


@pytest.mark.parametrize("again", ["sweep", "publishing"])
def test_killed_while_a_folder_is_replaced_one_of_both_is_there(tmp_path: Path, again: str) -> None:
    """Killed before each change of names, until a run is through: what comes next finds the old one or the new one."""
    found = []
    for moment in range(10):
        around = tmp_path / str(moment)
        target = around / "model"
        with publishing(target) as folder:
            (folder / "weights").write_text("old")
        command = [sys.executable, "-c", KILLED, str(target), str(moment)]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        if again == "sweep":
            sweep(around)
        else:
            with pytest.raises(KeyboardInterrupt), publishing(target):
                raise KeyboardInterrupt
        assert [name for name in names(around) if not name.startswith(TEMPORARY)] == ["model"]
        found.append((target / "weights").read_text())
        sweep(around)
        assert names(around) == ["model"]
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert found[0] == "old" and found[1] == "old" and found[-1] == "new" and len(found) > 4, found


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, rename = tmp_path / "model", Path.rename
    with publishing(target) as folder:
        (folder / "weights").write_text("old")

    def failing(self: Path, to: Path) -> Path:
        if self.name.startswith(TEMPORARY):
            raise OSError(errno.EIO, "input/output error")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="input/output"), publishing(target) as folder:
        (folder / "weights").write_text("new")
    assert (target / "weights").read_text() == "old" and names(tmp_path) == ["model"]


def test_sweep_removes_only_what_is_unfinished(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}folder").mkdir()
    (tmp_path / f"{TEMPORARY}folder" / "x").write_text("")
    (tmp_path / f"{TEMPORARY}file").write_text("")
    (tmp_path / "kept").write_text("")
    sweep(tmp_path)
    assert names(tmp_path) == ["kept"]


PROGRAM = """
import sys
from pathlib import Path
from ponder.errors import RunFolderError
from ponder.files import publishing, write_bytes
folder = Path(sys.argv[1])
write_bytes(folder / "kept", b"old")
for write in ("file", "folder"):
    try:
        if write == "file":
            write_bytes(folder / "kept", bytes(10**6))
        else:
            with publishing(folder / "model") as temporary:
                (temporary / "weights").write_bytes(bytes(10**6))
    except RunFolderError as error:
        assert "the disk is full" in str(error), error
        assert sorted(p.name for p in folder.iterdir()) == ["kept"]
        assert (folder / "kept").read_bytes() == b"old"
        print("said")
"""


def test_a_really_full_disk(tmp_path: Path) -> None:
    """A file system of 256 KiB, mounted in a namespace of its own where the machine allows that."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    mount = f"mount -t tmpfs -o size=256k none {tmp_path}"
    if subprocess.run(["unshare", "-Urm", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("needs a kernel that lets users mount in a namespace")
    (tmp_path.parent / "program.py").write_text(PROGRAM)
    command = f"{mount} && exec {sys.executable} {tmp_path.parent / 'program.py'} {tmp_path}"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", command], capture_output=True, text=True, env=environment, check=False
    )
    assert result.stdout.split() == ["said", "said"], result.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_a_full_disk_met_by_safetensors(tmp_path: Path, number: int) -> None:
    said = f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})"
    with (
        pytest.raises(RunFolderError, match=r"the disk is full.*model.*same command again"),
        publishing(tmp_path / "model") as folder,
    ):
        (folder / "half").write_bytes(b"")
        raise SafetensorError(said)
    assert list(tmp_path.iterdir()) == []


def test_other_trouble_of_safetensors_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(SafetensorError), publishing(tmp_path / "model"):
        raise SafetensorError("Error while deserializing header")


def test_digests_follow_content_and_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("1")
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")
    assert (
        file_digest(tmp_path / "a" / "x")
        == "sha256:" + "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    )
    (tmp_path / "b" / ".cache").write_text("hidden files do not count")
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")
    (tmp_path / "b" / "x").rename(tmp_path / "b" / "y")
    assert folder_digest(tmp_path / "a") != folder_digest(tmp_path / "b")


def test_paths_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "/data")
    monkeypatch.setenv("HOME", "/home/ann")
    assert expand_path("$PLACE/x") == Path("/data/x")
    assert expand_path("~/x") == Path("/home/ann/x")


parts = st.lists(st.one_of(st.text(max_size=5), st.integers(-(2**40), 2**40)), max_size=4)


@given(parts, parts)
def test_different_parts_give_different_seeds(one: list[str | int], other: list[str | int]) -> None:
    assert (derive_seed(*one) == derive_seed(*other)) == (one == other)


def test_seeds_are_the_same_everywhere() -> None:
    assert derive_seed(0, "zero", 17) == derive_seed(0, "zero", 17)
    assert derive_seed(0, "zero", 17) == 1450142453327375550  # the first 63 bits of SHA-256 of `[0, "zero", 17]`
    assert derive_seed("a", 1) != derive_seed("a", "1")
    assert 0 <= derive_seed() < 2**63
