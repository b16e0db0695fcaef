"""Search in a folder of texts."""

from pathlib import Path

import pytest

from ponder.errors import DataError
from ponder.tools import Search


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "rivers.txt").write_text("The Nenu flows north.\n\nThe Tamar flows south.\n\nBoth rivers flow.\n")
    (tmp_path / "inner" / "hills.md").write_text("Mount Oru has two peaks.\r\n\r\nIt is 812 metres high.")
    (tmp_path / "zh.txt").write_text("\u957f\u6c5f\u5411\u4e1c\u6d41\u3002", encoding="utf-8")
    (tmp_path / "notes.csv").write_text("Nenu,Nenu,Nenu")
    return tmp_path


def test_the_rarest_shared_words_decide(folder: Path) -> None:
    search = Search(str(folder), 2)
    assert search("Where does the Nenu flow?").startswith("[rivers.txt]\nThe Nenu flows north.")
    assert search("how many PEAKS has it").splitlines()[:2] == ["[inner/hills.md]", "Mount Oru has two peaks."]
    assert search("\u957f\u6c5f").startswith("[zh.txt]\n")
    assert search("flows").count("[rivers.txt]") == 2 and search("flows") == search("flows")
    assert search("flows") != Search(str(folder), 1)("flows")
    assert "notes.csv" not in search("Nenu")


@pytest.mark.parametrize("query", ["", "zebra", "???", "the " * 5000 + "zebra"])
def test_any_question_has_an_answer(folder: Path, query: str) -> None:
    assert Search(str(folder), 2)(query)


def test_a_folder_without_texts_is_said(folder: Path) -> None:
    for name, reason in (("nowhere", "has no text in files"), ("bad", "is no text in UTF-8")):
        (folder / "bad").mkdir(exist_ok=True)
        (folder / "bad" / "x.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match=reason):
            Search(str(folder / name), 2)
