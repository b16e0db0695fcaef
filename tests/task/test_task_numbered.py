"""Multiple choice whose answers are numbers: what they mean is told by all rows of a source, or they are left out."""

import csv
import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from ponder.evaluation.verify_command import verify_command
from ponder.recipe.problems import ChoiceNumbers, FileProblems, ProblemColumns
from ponder.records import ChoiceGold
from ponder.task import Loaded, load_problems
from ponder.task.numbered import settled

WORDS = ["oak", "elm", "ash", "fir"]
Rows = Sequence[tuple[Any, Sequence[str] | None]]


def load(folder: Path, rows: Rows, form: str, numbers: ChoiceNumbers | None = None) -> Loaded:
    """The rows as a file of JSON lines, where numbers are numbers, or of CSV, where they are text."""
    path = folder / f"rows.{form}"
    cells = [{"prompt": f"which of {i}?", "answer": answer, "o": options} for i, (answer, options) in enumerate(rows)]
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in cells))
    else:
        table = StringIO()
        writer = csv.DictWriter(table, ["prompt", "answer", "o"])
        writer.writeheader()
        writer.writerows(row | {"o": json.dumps(row["o"])} for row in cells)
        path.write_text(table.getvalue())
    columns = ProblemColumns(options="o")
    return load_problems([FileProblems(path=str(path), gold="choice", columns=columns, choice_numbers=numbers)])


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize(
    ("rows", "letters"),
    [
        ([(0, WORDS), (3, WORDS), (1, WORDS)], "ADB"),
        ([(1, WORDS), (4, WORDS), (2, WORDS)], "ADB"),
        ([(1, ["no", "yes"]), (2, ["no", "yes"])], "AB"),
        ([(2, ["2", "3", "4"]), (60, ["17", "60", "50"])], "AB"),  # the texts of options
        ([(2, ["2", "3", "4"]), (0, WORDS)], "CA"),  # 0 is the text of none, so 2 is none either
        ([(2, ["2", "3", "4"]), ("oak", WORDS)], "AA"),
        ([(1, ["0", "1"]), (0, ["0", "1"])], "BA"),  # text and place are one
        ([(2, ["2", "3", "4"]), ("C", WORDS), (0, WORDS)], "CCA"),
    ],
)
def test_all_rows_tell_what_a_number_means(tmp_path: Path, rows: Rows, letters: str, form: str) -> None:
    loaded = load(tmp_path, rows, form)
    assert "".join(one.gold.answer for one in loaded.problems if isinstance(one.gold, ChoiceGold)) == letters
    assert not loaded.left_out


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize(
    "rows",
    [
        [(1, WORDS), (2, WORDS)],  # neither 0 nor the number of options is there
        [(0, WORDS), (4, WORDS)],  # both are
        [(2, ["2", "3", "4"])],
        [(1, WORDS), ("elm", WORDS)],
    ],
)
def test_numbers_in_doubt_are_left_out_and_the_way_out_is_named(tmp_path: Path, rows: Rows, form: str) -> None:
    loaded = load(tmp_path, [*rows, ("A", WORDS)], form)
    numbers = [i for i, (answer, _) in enumerate(rows, start=1) if isinstance(answer, int)]
    assert [one.row for one in loaded.left_out] == numbers
    assert all("set `choice_numbers` of the source" in one.reason for one in loaded.left_out)


@pytest.mark.parametrize(
    ("numbers", "letters", "left_out"),
    [("from_zero", "CBD", [4]), ("from_one", "BAC", [4]), ("text", "ACD", [2, 3])],
)
def test_the_source_may_say_it(tmp_path: Path, numbers: ChoiceNumbers, letters: str, left_out: list[int]) -> None:
    rows = [(2, ["2", "3", "4"]), (1, WORDS), (3, WORDS), (9, ["7", "8", "9"]), ("fir", WORDS)]
    loaded = load(tmp_path, rows, "jsonl", numbers)
    found = "".join(one.gold.answer for one in loaded.problems if isinstance(one.gold, ChoiceGold))
    assert found == (letters if numbers == "text" else letters + "D")
    assert [one.row for one in loaded.left_out] == left_out


def test_a_right_option_that_stands_twice_is_left_out(tmp_path: Path) -> None:
    loaded = load(tmp_path, [("A", ["oak", "elm", "oak"]), ("B", ["oak", "elm", "oak"])], "jsonl")
    assert [one.row for one in loaded.left_out] == [1] and "stands twice" in loaded.left_out[0].reason


def test_options_with_labels_of_their_own_are_lettered_once(tmp_path: Path) -> None:
    (problem,) = load(tmp_path, [("B", ["A. oak", "B. elm"])], "jsonl").problems
    assert problem.prompt.endswith("\n\nA. oak\nB. elm")
    (kept,) = load(tmp_path, [("A", ["A. oak", "elm"])], "jsonl").problems
    assert isinstance(kept.gold, ChoiceGold) and kept.gold.options == ("A. oak", "elm")


def test_without_options_a_0_among_the_answers_tells(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"

    def letters(*answers: Any) -> list[str]:
        rows = [{"prompt": f"which of {i}? A) oak B) elm", "answer": answer} for i, answer in enumerate(answers)]
        path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"prompt": "?", "answer": "J"}]))
        loaded = load_problems([FileProblems(path=str(path), gold="choice")])
        return [one.gold.answer for one in loaded.problems if isinstance(one.gold, ChoiceGold)]

    assert letters(1, 0) == letters("1", "0") == ["B", "A", "J"]
    assert letters(1, 2) == letters("1", "2") == ["J"]


def test_verify_reads_numbers_as_sources_do(tmp_path: Path) -> None:
    rows = [{"a": "The answer is D.", "g": 4, "options": WORDS}, {"a": "The answer is A.", "g": 1, "options": WORDS}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    totals = verify_command(
        tmp_path / "rows.jsonl", kind="choice", gold="g", answer="a", out=tmp_path / "out.jsonl", workers=1
    )
    assert totals.outcomes["right"] == 2


def test_settled() -> None:
    assert settled([]) is None and settled([{}, {}]) is None
    assert settled([{"text": 1, "from_zero": 1}, {}, {"text": 0, "from_zero": 0}]) == "text"
    assert settled([{"text": 1, "from_zero": 2}, {"text": 0, "from_zero": 0}]) is None
