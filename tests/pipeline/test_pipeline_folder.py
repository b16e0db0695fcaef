"""Run folders of others, of newer layouts, and damaged ones are refused and left as they are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ponder.errors import RunFolderError
from ponder.files import read_json, write_json
from ponder.manifest import FORMAT


def test_foreign_folders_are_refused(start: Callable[..., list[str]], tmp_path: Path) -> None:
    start()
    with pytest.raises(RunFolderError, match="made by the recipe 'pair', not by 'other'"):
        start("name=other")
    with pytest.raises(RunFolderError, match="belongs to a full run, and this is a smoke run"):
        start(smoke=True)


def test_a_folder_with_other_things_is_refused(start: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("")
    with pytest.raises(RunFolderError, match="holds other files"):
        start()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_a_file_as_run_folder_is_refused(start: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(RunFolderError, match="is a file"):
        start()


@pytest.mark.parametrize("file", ["recipe.resolved.json", "stages/zero/manifest.json"])
def test_newer_layouts_are_refused(start: Callable[..., list[str]], tmp_path: Path, file: str) -> None:
    start()
    path = tmp_path / "out" / file
    write_json(path, read_json(path) | {"format": FORMAT + 1})
    with pytest.raises(RunFolderError, match=r"newer ponder.*upgrade"):
        start()


@pytest.mark.parametrize("file", ["recipe.resolved.json", "stages/zero/manifest.json"])
@pytest.mark.parametrize("content", ["{", "", "[]", '{"format": 1}', "\x00"])
def test_damaged_records_are_named(start: Callable[..., list[str]], tmp_path: Path, file: str, content: str) -> None:
    start()
    (tmp_path / "out" / file).write_text(content)
    with pytest.raises(RunFolderError, match="damaged"):
        start()
