"""Real data sets as file sources, where they stand beside the checkout."""

from pathlib import Path
from typing import Any

import pytest

from ponder.recipe.problems import FileProblems
from ponder.records import CodeGold, MathGold
from ponder.task import load_problems
from ponder.verify import verify

DATA = Path(__file__).parents[2] / "../shared/data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data beside the checkout")

SETS: list[tuple[str, int, int, dict[str, Any]]] = [  # file, problems, repeated prompts, source
    ("gsm8k/train.jsonl", 7473, 0, {"columns": {"prompt": "question"}, "answer_after": "####"}),
    ("gsm8k/test.jsonl", 1319, 0, {"columns": {"prompt": "question"}, "answer_after": "####"}),
    ("math500/test.jsonl", 500, 0, {"columns": {"prompt": "problem", "difficulty": "level", "domain": "subject",
                                             "id": "unique_id"}}),
    ("math500/test.jsonl", 500, 0, {"columns": {"prompt": "problem", "answer": "solution"}}),
    ("aime/aime24.jsonl", 30, 0, {}),
    ("olymmath/OlymMATH-ZH-EASY.jsonl", 100, 0, {"columns": {"prompt": "problem"}, "language": "zh"}),
    ("mgsm/mgsm_zh.jsonl", 250, 0, {"columns": {"messages": "messages", "id": "id"}, "language": "zh"}),
    ("mgsm/cmath.jsonl", 1098, 1, {"columns": {"prompt": "question", "answer": "golden", "difficulty": "grade"},
                                  "language": "zh"}),
    ("countdown/raw_test.json", 500, 0, {"gold": "expression", "columns": {"numbers": "nums", "id": "id"}}),
    ("countdown/test_with_solver_answers.jsonl", 500, 0, {"gold": "expression", "columns": {"id": "id"}}),
    ("mbpp/mbpp_test.jsonl", 500, 1, {"gold": "code", "columns": {"tests": "test", "answer": "code", "id": "task_id"}}),
    ("humaneval/HumanEval.jsonl.gz", 164, 0, {"gold": "code", "columns": {
        "tests": "test", "answer": "canonical_solution", "id": "task_id", "entry_point": "entry_point"}}),
]  # fmt: skip


@pytest.mark.parametrize(("file", "count", "repeated", "fields"), SETS)
def test_every_row_is_used(file: str, count: int, repeated: int, fields: dict[str, Any]) -> None:
    loaded = load_problems([FileProblems(path=str(DATA / file), **fields)])
    assert (len(loaded.problems) + repeated, len(loaded.left_out)) == (count, repeated), loaded.summary()
    assert len({problem.id for problem in loaded.problems}) == len(loaded.problems)
    assert all("the same prompt" in entry.reason for entry in loaded.left_out)
    if repeated:
        whole = load_problems([FileProblems(path=str(DATA / file), **fields)], keep_repeated=True)
        assert (len(whole.problems), whole.left_out) == (count, ())


def test_gsm8k() -> None:
    path = str(DATA / "gsm8k/test.jsonl")
    loaded = load_problems(
        [FileProblems.model_validate({"path": path, "columns": {"prompt": "question"}, "answer_after": "####"})]
    )
    first = loaded.problems[0]
    assert first.id == "gsm8k/test/1" and first.prompt.startswith("Janet") and first.gold == MathGold(answer="18")


def test_human_eval_runs_its_own_solution() -> None:
    columns = {"tests": "test", "answer": "canonical_solution", "entry_point": "entry_point"}
    source = FileProblems.model_validate(
        {"path": str(DATA / "humaneval/HumanEval.jsonl.gz"), "gold": "code", "columns": columns, "limit": 2}
    )
    for problem in load_problems([source]).problems:
        assert isinstance(problem.gold, CodeGold) and problem.gold.answer is not None
        assert verify(problem.gold.answer, problem.gold).outcome == "right"
        assert verify("    return None", problem.gold).outcome == "wrong"
