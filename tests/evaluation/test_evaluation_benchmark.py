"""Benchmarks are data: the shipped ones are in order, files work, and the real data loads where it stands."""

import json
from collections import Counter
from pathlib import Path

import pytest

from ponder.errors import DataError, RecipeError
from ponder.evaluation.benchmark import find_benchmark, shipped
from ponder.recipe.problems import FileProblems, HubProblems
from ponder.records import ChoiceGold, SafetyGold
from ponder.task import Loaded, load_problems
from ponder.verify import verify

DATA = Path(__file__).parents[2] / "../shared/data"
NAMES = (
    "aime24", "aime25", "alpaca-eval", "arena-hard", "c-eval", "cmath", "gpqa-diamond", "gsm8k", "harmbench",
    "humaneval", "humaneval-plus", "ifeval", "json-mode-eval", "laptop-general", "laptop-gsm8k", "laptop-sums",
    "livecodebench", "math500", "mbpp", "mbpp-plus",
    "mgsm-zh", "micro", "micro-bugfix", "micro-form", "micro-general", "micro-reasoning", "micro-safety",
    "mmlu", "mmlu-pro", "mmlu-redux", "multipl-e-cpp", "multipl-e-js", "olymmath-en", "olymmath-zh",
    "simple-safety-tests", "simpleqa",
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


ROWS: dict[str, tuple[list[dict[str, object]], str, str, int]] = {
    "gpqa-diamond": (
        [
            {"Question": "What is spun?", "Correct Answer": "wool", "Incorrect Answer 1": "iron",
             "Incorrect Answer 2": "salt", "Incorrect Answer 3": "air", "High-level domain": "Craft",
             "Record ID": "rec1"},
            {"Question": "Which two?", "Correct Answer": "a", "Incorrect Answer 1": "a", "Incorrect Answer 2": "b",
             "Incorrect Answer 3": "c", "High-level domain": "Craft", "Record ID": "rec2"},
        ],
        "Craft", "wool", 1,
    ),
    "mmlu": ([{"question": "2+3?", "choices": ["4", "5", "6", "7"], "answer": 1, "subject": "sums"}], "sums", "5", 0),
    "mmlu-pro": (
        [{"question": "2+3?", "options": list("98765"), "answer": "E", "category": "sums", "question_id": 7}],
        "sums", "5", 0,
    ),
    "mmlu-redux": (
        [{"question": "2+3?", "choices": ["4", "5"], "answer": 1, "subset": "anatomy", "error_type": "ok"},
         {"question": "3+3?", "choices": ["4", "5"], "answer": 1, "subset": "anatomy", "error_type": "expert"}],
        "anatomy", "5", 1,
    ),
    "c-eval": (
        [{"question": "二加三等于____", "A": "四", "B": "五", "C": "六", "D": "七", "answer": "B", "subset": "logic"}],
        "logic", "五", 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_each_choice_benchmark(name: str, tmp_path: Path) -> None:
    rows, domain, right, left_out = ROWS[name]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    benchmark = find_benchmark(name, {f"PONDER_BENCHMARK_{name.upper().replace('-', '_')}": str(path)})
    loaded = load_problems(benchmark.problems)
    assert len(loaded.left_out) == left_out
    (problem,) = loaded.problems
    assert isinstance(problem.gold, ChoiceGold) and problem.domain == domain
    letter = problem.gold.answer
    assert problem.gold.options["ABCDEFGHIJ".index(letter)] == right
    assert f"\n{letter}. {right}" in problem.prompt
    assert verify(f"It is clear.\nANSWER: {letter}", problem.gold).outcome == "right"
    other = "A" if letter != "A" else "B"
    assert verify(f"Answer: {other}", problem.gold).outcome == "wrong"


def test_shuffled_options_depend_on_the_question_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = ROWS["gpqa-diamond"][0][0]
    path.write_text("".join(json.dumps(row | {"Question": f"Q{i}", "Record ID": i}) + "\n" for i in range(40)))
    benchmark = find_benchmark("gpqa-diamond", {"PONDER_BENCHMARK_GPQA_DIAMOND": str(path)})
    golds = [problem.gold for problem in load_problems(benchmark.problems).problems]
    assert golds == [problem.gold for problem in load_problems(benchmark.problems).problems]
    assert {gold.answer for gold in golds if isinstance(gold, ChoiceGold)} == set("ABCD")


@pytest.mark.parametrize(("name", "row"), [
    ("arena-hard", {"prompt": "Write a poem.", "uid": "x", "category": "creative"}),
    ("alpaca-eval", {"instruction": "Write a poem.", "dataset": "helpful_base"}),
])  # fmt: skip
def test_general_prompts_have_no_gold(name: str, row: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    benchmark = find_benchmark(name, {f"PONDER_BENCHMARK_{name.upper().replace('-', '_')}": str(path)})
    assert benchmark.without_gold and benchmark.judge == "preference"
    (problem,) = load_problems(benchmark.problems).problems
    assert (problem.gold, problem.route, problem.prompt) == (None, "helpful", "Write a poem.")


@pytest.mark.parametrize(("name", "count", "routes"), [
    ("micro-reasoning", 480, {"reasoning"}), ("micro-general", 240, {"helpful"}), ("micro-safety", 160, {"safety"}),
])  # fmt: skip
def test_the_micro_sets(name: str, count: int, routes: set[str]) -> None:
    problems = load_problems(find_benchmark(name).problems).problems
    assert (len(problems), {problem.route for problem in problems}) == (count, routes)
    assert all(problem.gold is not None for problem in problems)
    if name == "micro-safety":
        unsafe = [p.gold.unsafe for p in problems if isinstance(p.gold, SafetyGold)]
        assert unsafe.count(True) == unsafe.count(False) == 80


@pytest.mark.parametrize(
    ("name", "file", "column", "count"),
    [
        ("harmbench", "safety/harmbench_behaviors_text_val.csv", "Behavior", 78),
        ("simple-safety-tests", "safety/simplesafetytests.csv", "prompts_final", 100),
    ],
)
def test_requests_to_be_refused(name: str, file: str, column: str, count: int) -> None:
    loaded = local(name, file, prompt=column)
    assert find_benchmark(name, {}).judge == "safety"
    assert len(loaded.problems) == count and {(one.gold, one.route) for one in loaded.problems} == {(None, "safety")}


def local(name: str, file: str, **columns: object) -> Loaded:
    """The benchmark's problems from a copy with other column names."""
    if not (DATA / file).exists():
        pytest.skip(f"{file} does not stand beside this checkout")
    variable = f"PONDER_BENCHMARK_{name.upper().replace('-', '_')}"
    (source,) = find_benchmark(name, {variable: str(DATA / file)}).problems
    assert isinstance(source, FileProblems)
    return load_problems([source.model_copy(update={"columns": source.columns.model_copy(update=columns)})])


@pytest.mark.parametrize(("name", "file", "columns", "count"), [
    ("aime24", "aime/aime24.jsonl", {"prompt": "prompt"}, 30),
    ("aime25", "aime/aime25.jsonl", {"prompt": "prompt"}, 30),
    ("olymmath-en", "olymmath/OlymMATH-EN-EASY.jsonl", {"id": "unique_id"}, 100),
    ("mgsm-zh", "mgsm/mgsm_zh.jsonl", {"messages": "messages", "answer": "answer"}, 250),
    ("mbpp", "mbpp/mbpp_test.jsonl", {"prompt": "prompt", "tests": "test", "starter": "test"}, 500),
])  # fmt: skip
def test_every_gold_of_the_other_copies_loads(name: str, file: str, columns: dict[str, object], count: int) -> None:
    loaded = local(name, file, **columns)
    assert len(loaded.problems) + len(loaded.left_out) == count
    assert all("same prompt" in one.reason for one in loaded.left_out), loaded.left_out


def test_ifeval_says_what_it_cannot_tell() -> None:
    loaded = local("ifeval", "ifeval/input_data.jsonl")
    reasons = Counter(one.reason for one in loaded.left_out)
    assert len(loaded.problems) == 510
    assert reasons == {"the constraint 'language:response_language' is unknown or needs a model": 31}


def test_without_the_variable_the_hub_is_meant() -> None:
    (source,) = find_benchmark("olymmath-zh", {"PONDER_BENCHMARK_GSM8K": "/nowhere"}).problems
    assert isinstance(source, HubProblems)
    assert source.id == "RUC-AIBOX/OlymMATH"
    with pytest.raises(RecipeError, match="PONDER_BENCHMARK_GSM8K names '/nowhere'"):
        find_benchmark("gsm8k", {"PONDER_BENCHMARK_GSM8K": "/nowhere"})


def test_a_part_of_a_split_is_not_the_split(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [f'{{"question": "{n}+1?", "answer": "#### {n + 1}"}}\n' for n in range(7473)]
    path.write_text("".join(rows))
    with pytest.raises(RecipeError, match=r"with 7,473 rows, .* 'train\[7000:\]'.*tail -n \+7001"):
        find_benchmark("laptop-gsm8k", {"PONDER_BENCHMARK_LAPTOP_GSM8K": str(path)})
    path.write_text("".join(rows[7000:]))
    found = find_benchmark("laptop-gsm8k", {"PONDER_BENCHMARK_LAPTOP_GSM8K": str(path)})
    numbers = [int(one.prompt.split("+")[0]) for one in load_problems(found.problems).problems]
    assert len(numbers) == 128 and min(numbers) >= 7000


def test_a_benchmark_of_other_letters(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes("name: mein\ndescription: für mich\n".encode("latin-1"))
    with pytest.raises(RecipeError, match="not UTF-8"):
        find_benchmark(str(tmp_path / "mine.yaml"))


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
