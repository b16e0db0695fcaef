"""`ponder eval` on problems of one's own, on fewer of them, and with shorter completions, without any YAML."""

import json
from pathlib import Path

import pytest

from ponder.errors import RecipeError
from ponder.evaluation.benchmark import ProblemFields, file_benchmark
from ponder.evaluation.command import evaluate_command
from ponder.task import load_problems


def write(path: Path, count: int) -> Path:
    rows = ({"question": f"What is {i} + 1?", "solution": str(i + 1)} for i in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_fields_are_named_and_the_name_comes_from_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "my [odd] problems.jsonl", 3)
    benchmark = file_benchmark(str(path), ProblemFields(prompt="question", gold="solution"))
    assert benchmark.name == "my-odd-problems"
    assert load_problems(benchmark.problems).problems[0].prompt == "What is 0 + 1?"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("nowhere.jsonl", None, "no file of problems"),
        ("some.yaml", None, "--benchmark"),
        ("some.jsonl", "maths", "no kind of answer 'maths'"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, kind: str | None, words: str) -> None:
    for there in ("some.yaml", "some.jsonl"):
        write(tmp_path / there, 1)
    with pytest.raises(RecipeError, match=words):
        file_benchmark(str(tmp_path / name), ProblemFields(kind=kind))


def test_a_benchmark_without_gold_has_no_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "asked.py").write_text(
        "from ponder.records import Message, Problem\n"
        "def problems():\n"
        "    for i in range(2):\n"
        "        asked = (Message(role='user', content=f'Write {i} poems.'),)\n"
        "        yield Problem(id=str(i), messages=asked, gold=None, domain='poems', route='helpful')\n"
    )
    source = "{source: python, file: asked.py, function: problems}"
    (tmp_path / "asked.yaml").write_text(f"name: asked\nproblems: [{source}]\n")
    evaluate_command("micro", str(tmp_path / "asked.yaml"), max_tokens=2, samples=1, out=tmp_path / "out")
    shown = capsys.readouterr().out
    assert "1 samples per problem, no problem has a gold" in shown and "nan" not in shown
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["scores"]["pass@1"] is None


def test_few_problems_and_short_completions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_command(
        "micro",
        None,
        problems=write(tmp_path / "sums.jsonl", 10),
        fields=ProblemFields(prompt="question", gold="solution"),
        limit=3,
        max_tokens=2,
        samples=2,
        out=tmp_path / "out",
        as_json=True,
    )
    shown = capsys.readouterr()
    assert "3 of the 10 problems of sums, spread evenly" in shown.err
    found = json.loads(shown.out)
    assert (found["problems"], found["samples"]) == (3, 2)
    assert found["mean_tokens"] <= 2
    stored = (tmp_path / "out" / "completions.jsonl").read_text()
    assert [f"What is {i} + 1?" in stored for i in range(10)] == [i in (0, 3, 6) for i in range(10)]


@pytest.mark.parametrize(
    ("benchmark", "problems", "fields", "replay", "words"),
    [
        (None, None, ProblemFields(), None, "one of --benchmark"),
        ("micro", Path("a.jsonl"), ProblemFields(), None, "one of --benchmark"),
        ("micro", None, ProblemFields(kind="math"), None, "--problems FILE"),
        (None, None, ProblemFields(), Path("a.jsonl"), "leave out"),
    ],
)
def test_options_that_contradict(
    benchmark: str | None, problems: Path | None, fields: ProblemFields, replay: Path | None, words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        evaluate_command("micro", benchmark, problems=problems, fields=fields, replay_file=replay)
