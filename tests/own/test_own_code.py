"""Own files are read with what they import beside them, and with nothing else."""

from pathlib import Path

import pytest

from ponder.errors import RecipeError
from ponder.own import read_own


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_what_is_imported_beside_a_file_belongs_to_it_wherever_it_is_imported(tmp_path: Path) -> None:
    write(
        tmp_path,
        rewards_py="import math\nimport words\n\ndef f(judged):\n    from lists.short import SHORT\n    return 1.0\n",
        words_py="import deeper",
        deeper_py="import words",
        lists__short_py="SHORT = 1",
        lists__inner__more_py="MORE = 1",
        other_py="unrelated = 1",
    )
    code = read_own(["rewards.py"], tmp_path)
    expected = {"rewards.py", "words.py", "deeper.py", "lists/short.py", "lists/inner/more.py"}
    assert set(code.digests()) == expected
    before = code.digests()
    for name in sorted(expected):
        path = tmp_path / name
        path.write_text(path.read_text() + "#")
        now = read_own(["rewards.py"], tmp_path).digests()
        assert {one for one in now if now[one] != before[one]} == {name}
        before = now
    (tmp_path / "other.py").write_text("changed = 1")
    assert read_own(["rewards.py"], tmp_path).digests() == before


def test_no_file_beside_hides_a_standard_module_or_ponder(tmp_path: Path) -> None:
    write(tmp_path, math_py="import random, json, ponder.records", random_py="", json_py="", ponder_py="")
    code = read_own(["math.py"], tmp_path)
    assert set(code.digests()) == {"math.py"}
    assert "math" not in code.modules


def test_paths_start_at_the_folder_of_the_recipe_and_stand_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, lib__a_py="import b", lib__b_py="", c_py="")
    monkeypatch.setenv("MINE", str(tmp_path))
    code = read_own(["lib/a.py", "$MINE/c.py"], tmp_path)
    assert set(code.digests()) == {"lib/a.py", "lib/b.py", "$MINE/c.py"}
    (tmp_path / "recipes").mkdir()
    assert set(read_own(["../lib/a.py"], tmp_path / "recipes").digests()) == {"../lib/a.py", "../lib/b.py"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"there is no file 'mine.py' \(looked at '/.*mine.py', beside which there are near.py\)"),
        ("x = 1\ndef f(:\n", r"mine.py:2: not valid Python: .*at 'def f\(:'"),
        ("def f():\nreturn 1", r"mine.py:2: not valid Python: expected an indented block"),
        ("x = '\0'", r"mine.py.*: not valid Python: .*null"),
    ],
)
def test_a_file_that_is_none_is_said(tmp_path: Path, text: str | None, said: str) -> None:
    (tmp_path / "near.py").touch()
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    with pytest.raises(RecipeError, match=said):
        read_own(["mine.py"], tmp_path)


def test_other_encodings_and_folders_are_said(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes("x = 'é'".encode("latin-1"))
    with pytest.raises(RecipeError, match=r"latin.py' cannot be read .*Python in UTF-8"):
        read_own(["latin.py"], tmp_path)
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(RecipeError, match=r"there is no file 'folder.py'"):
        read_own(["folder.py"], tmp_path)


def test_two_files_cannot_be_one_module(tmp_path: Path) -> None:
    write(tmp_path, a__r_py="import words", b__s_py="import words", a__words_py="", b__words_py="")
    with pytest.raises(RecipeError, match=r"a/words.py' and .*b/words.py' would both be the module 'words'"):
        read_own(["a/r.py", "b/s.py"], tmp_path)
