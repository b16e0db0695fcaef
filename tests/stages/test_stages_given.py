"""A baseline of win rates from a file: every sample of every model is compared with the answer that stands there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import DataError
from ponder.evaluation.given import find_answers
from ponder.pipeline.fingerprint import identities
from ponder.pipeline.run import run
from ponder.recipe.load import load_recipe
from ponder.recipe.stages import EvaluateStage
from ponder.recipe.stages.evaluate import BaselineAnswers
from ponder.records import Message, Problem
from tests.chat_server import ChatServer, said

RECIPE = """\
name: given
stages:
  scores:
    kind: evaluate
    served: {{mine: {{base_url: "{url}", model: mine}}}}
    benchmarks: ["{folder}/bench.yaml"]
    judge: {{kind: endpoint, endpoint: {{base_url: "{url}", model: judge}}}}
    baseline_answers: {{path: "{folder}/answers.json", name: theirs}}
"""
QUESTIONS = ["Write a line.", "Say hello.", "Name a colour."]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    found = ChatServer()
    found.play = play
    yield found
    found.close()


def play(body: Any, tries: int) -> Any:
    """`mine` answers; the judge likes it, wherever it stands, but for the colour, where it sees no difference."""
    text = body["messages"][-1]["content"]
    if body["model"] == "mine":
        return said("MINE, and a little longer each time " * (1 + QUESTIONS.index(text)))
    if "colour" in text:
        return said("[[A=B]]")
    return said("[[A>>B]]" if text.index("MINE") < text.index("THEIRS") else "[[B>>A]]")


@pytest.fixture
def recipe(server: ChatServer, tmp_path: Path) -> Path:
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(json.dumps({"prompt": one}) + "\n" for one in QUESTIONS))
    (tmp_path / "bench.yaml").write_text(
        "name: bench\njudge: preference\nsamples: 2\nmax_tokens: 64\n"
        f"problems: [{{source: file, path: {questions}, gold: null, route: helpful}}]\n"
    )
    rows = [{"instruction": f"{one} ", "output": f"THEIRS to {one}", "generator": "x"} for one in reversed(QUESTIONS)]
    (tmp_path / "answers.json").write_text(json.dumps(rows))
    path = tmp_path / "given.yaml"
    path.write_text(RECIPE.format(url=server.url, folder=tmp_path))
    return path


def test_every_sample_is_compared_with_the_given_answer(server: ChatServer, recipe: Path, tmp_path: Path) -> None:
    run(load_recipe(recipe), tmp_path / "out", text=recipe.read_text())
    folder = tmp_path / "out/stages/scores/evaluation"
    rates = json.loads((folder / "win_rates.json").read_text())
    assert rates["baseline"] == "theirs"
    assert rates["benchmarks"]["bench"]["mine"]["win_rate"] == pytest.approx((1 + 1 + 0.5) / 3)
    rows = [json.loads(line) for line in (folder / "compared/mine--bench.jsonl").read_text().splitlines()]
    assert [row["baseline_characters"] for row in rows] == [len(f"THEIRS to {one}") for one in QUESTIONS for _ in "12"]
    assert {row["preference"] for row in rows} == {1.0, 0.5}


def test_the_file_is_looked_at_before_anything_is_asked(server: ChatServer, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text(json.dumps([{"instruction": QUESTIONS[0], "output": "THEIRS"}]))
    with pytest.raises(DataError, match=r"lack 2 of 3 questions, such as 'Say hello\.'"):
        run(load_recipe(recipe), tmp_path / "out", text=recipe.read_text())
    assert server.requests == []


def test_its_content_decides_the_result(recipe: Path, tmp_path: Path) -> None:
    before = identities(load_recipe(recipe), smoke=False)["scores"]
    (tmp_path / "answers.json").write_text("[]")
    assert identities(load_recipe(recipe), smoke=False)["scores"] != before


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"instruction": "a", "text": "b"}], r"Row 1 .* got the columns 'instruction', 'text'"),
        ([{"instruction": "a", "output": None}], "Row 1 .* cannot be used"),
        (
            [{"instruction": "a", "output": "b"}, {"instruction": "a ", "output": "c"}],
            r"two to one question, 'a ' \(row 2",
        ),
        ([{"instruction": "b", "output": "b"}], "lack 1 of 1 questions, such as 'a'"),
    ],
)
def test_files_that_will_not_do(rows: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(rows))
    problem = Problem(id="1", messages=(Message(role="user", content="a"),), gold=None, domain="d")
    with pytest.raises(DataError, match=said):
        find_answers(BaselineAnswers(path=str(tmp_path / "a.json")), [problem])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "needs a judge that reads"),
        ({"judge": {"kind": "rule"}}, "needs a judge"),
        ({"baseline": "micro"}, "both given"),
    ],
)
def test_what_it_goes_with(changes: dict[str, Any], said: str) -> None:
    settings = {"models": ["micro"], "benchmarks": ["micro"], "baseline_answers": {"path": "a.json"}}
    with pytest.raises(ValueError, match=said):
        EvaluateStage.model_validate(settings | changes)
