"""Problems whose question is a conversation: what golds need of the question is its last turn."""

import json
from pathlib import Path
from typing import Any

import pytest

from ponder.recipe.problems import FileProblems
from ponder.records import ChoiceGold, CodeGold, ExpressionGold, InstructionGold
from ponder.task import load_problems

ASKED = "def half(x):\n"


def gold_of(folder: Path, row: dict[str, Any], **table: Any) -> Any:
    talk = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Yes?"}]
    row = {"talk": [*talk, {"role": "user", "content": ASKED}]} | row
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    columns = {"messages": "talk"} | table.pop("columns", {})
    loaded = load_problems([FileProblems.model_validate({"path": str(path), "columns": columns} | table)])
    assert not loaded.left_out, loaded.summary()
    assert loaded.problems[0].messages[-1].content.startswith(ASKED.strip())
    return loaded.problems[0].gold


def test_instructions(tmp_path: Path) -> None:
    row = {"answer": ["punctuation:no_comma"], "kwargs": [{}]}
    gold = gold_of(tmp_path, row, gold="instructions", columns={"arguments": "kwargs"})
    assert isinstance(gold, InstructionGold) and gold.prompt == ASKED.strip()


def test_wrong_options(tmp_path: Path) -> None:
    gold = gold_of(
        tmp_path, {"answer": "4", "w1": "5", "w2": "6"}, gold="choice", columns={"wrong_options": ["w1", "w2"]}
    )
    assert isinstance(gold, ChoiceGold)


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_the_beginning_of_a_program(tmp_path: Path, language: str) -> None:
    row = {"tests": "def check(candidate): assert candidate(4) == 2", "entry": "half"}
    if language != "python":
        row["tests"] = "const assert = require('assert'); let candidate = half; assert.equal(candidate(4), 2);"
    gold = gold_of(tmp_path, row, gold="code", program_language=language, columns={"entry_point": "entry"})
    assert isinstance(gold, CodeGold) and gold.prefix == ASKED.strip()


@pytest.mark.parametrize("minus", ["-", "\u2212", "\uff0d"])
def test_a_minus_sign_of_typography_is_one(tmp_path: Path, minus: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"numbers": [1, 6], "target": f"{minus}5"}) + "\n")
    source = FileProblems.model_validate({"path": str(path), "gold": "expression"})
    (problem,) = load_problems([source]).problems
    assert isinstance(problem.gold, ExpressionGold) and problem.gold.target == -5
