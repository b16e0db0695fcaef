"""Benchmarks are data: the shipped ones are in order, files work, and the real data loads where it stands."""

from pathlib import Path

import pytest

from ponder.errors import DataError, RecipeError
from ponder.evaluation.benchmark import find_benchmark, shipped
from ponder.recipe.problems import FileProblems, HubProblems
from ponder.task import load_problems

DATA = Path(__file__).parents[2] / "../shared/data"
NAMES = (
    "aime24", "aime25", "cmath", "gsm8k", "humaneval", "math500", "mbpp", "mgsm-zh", "micro", "olymmath-en",
    "olymmath-zh",
)  # fmt: skip


def test_the_shipped_ones() -> None:
    assert shipped() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_one_is_in_order(name: str) -> None:
    benchmark = find_benchmark(name, {})
    assert benchmark.name == name
    assert benchmark.description
    assert len(benchmark.problems) == 1


def test_the_micro_world_needs_no_network() -> None:
    loaded = load_problems(find_benchmark("micro").problems)
    assert len(loaded.problems) == 600
    assert {problem.language for problem in loaded.problems} == {"en", "zh"}


@pytest.mark.parametrize(
    ("name", "file", "count", "first_gold"),
    [
        ("gsm8k", "gsm8k/test.jsonl", 1319, "18"),
        ("math500", "math500/test.jsonl", 500, None),
        ("olymmath-zh", "olymmath/OlymMATH-ZH-EASY.jsonl", 100, "948"),
        ("cmath", "mgsm/cmath.jsonl", 1098, "18"),
        ("humaneval", "humaneval/HumanEval.jsonl.gz", 164, None),
    ],
)
def test_a_local_copy_takes_the_place_of_the_hub(name: str, file: str, count: int, first_gold: str | None) -> None:
    if not (DATA / file).exists():
        pytest.skip(f"{file} does not stand beside this checkout")
    variable = f"PONDER_BENCHMARK_{name.upper().replace('-', '_')}"
    (source,) = find_benchmark(name, {variable: str(DATA / file)}).problems
    assert isinstance(source, FileProblems)
    loaded = load_problems([source])
    assert len(loaded.problems) + len(loaded.left_out) == count
    assert len(loaded.left_out) <= count // 10
    gold = loaded.problems[0].gold
    if first_gold is not None:
        assert gold is not None and gold.kind == "math" and gold.answer == first_gold


def test_without_the_variable_the_hub_is_meant() -> None:
    (source,) = find_benchmark("olymmath-zh", {"PONDER_BENCHMARK_GSM8K": "/nowhere"}).problems
    assert isinstance(source, HubProblems)
    assert source.id == "RUC-AIBOX/OlymMATH"
    with pytest.raises(RecipeError, match="PONDER_BENCHMARK_GSM8K names '/nowhere'"):
        find_benchmark("gsm8k", {"PONDER_BENCHMARK_GSM8K": "/nowhere"})


def test_a_file_of_problems(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "2+3?", "answer": 5}\n{"prompt": "1/2+1/4?", "answer": "3/4"}\n')
    benchmark = find_benchmark(str(path))
    assert benchmark.name == "mine"
    assert [problem.prompt for problem in load_problems(benchmark.problems).problems] == ["2+3?", "1/2+1/4?"]


def test_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nsamples: 3\nproblems: [{source: file, path: p.jsonl, prompt_suffix: ' Box it.'}]\n")
    assert find_benchmark(str(path)).samples == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gsm9k", None, "There is no benchmark 'gsm9k'.*did you mean 'gsm8k'"),
        ("a.txt", "x", "ends in '.txt'"),
        ("a.yaml", "name: a\n", "problems: Field required"),
        ("a.yaml", "name: a\nproblem: []\nproblems: [{source: micro}]", "problem: Extra inputs.*Its keys are name,"),
        ("a.yaml", "name: [", "a.yaml"),
    ],
)
def test_bad_input(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        find_benchmark(name if text is None else str(path))


def test_a_file_without_problems(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text("")
    with pytest.raises(DataError):
        load_problems(find_benchmark(str(path)).problems)
