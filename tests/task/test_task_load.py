"""Sources become problems: columns, golds, what is left out, names, ids, limits, generated sources."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from ponder.errors import DataError, RecipeError
from ponder.recipe.problems import FileProblems, GymProblems, HubProblems, MicroProblems
from ponder.records import AssignmentGold, ChoiceGold, CodeGold, ExpressionGold, MathGold, Problem
from ponder.task import Loaded, load_problems
from ponder.task.gym import GYM_TASKS
from ponder.verify import verify


def source(folder: Path, rows: Sequence[Any], name: str = "a.jsonl", **fields: Any) -> FileProblems:
    (folder / name).write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return FileProblems(path=str(folder / name), **fields)


def load(folder: Path, rows: Sequence[Any], **fields: Any) -> Loaded:
    return load_problems([source(folder, rows, **fields)])


def one(folder: Path, row: Mapping[str, Any], **fields: Any) -> Problem:
    (problem,) = load(folder, [row], **fields).problems
    return problem


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("5", "5"), (5, "5"), (5.0, "5"), (0.5, "0.5"), (-3, "-3"), (" 1,000 ", "1,000"), (10**30, str(10**30)),
        (["2"], "2"), (["1", 2], "1, 2"), ("\\frac{1}{2}", "\\frac{1}{2}"), (True, "True"),
        ("So it is \\boxed{4}, or rather \\boxed{\\frac{1}{5}}.", "\\frac{1}{5}"),
    ],
)  # fmt: skip
def test_math_answers(tmp_path: Path, answer: Any, gold: str) -> None:
    assert one(tmp_path, {"prompt": "q", "answer": answer}).gold == MathGold(answer=gold)


def test_bad_rows_are_listed_with_numbers(tmp_path: Path) -> None:
    rows = [
        {"prompt": "q1", "answer": "1"},
        {"prompt": "q2"},
        {"prompt": "q3", "answer": None},
        {"prompt": "q4", "answer": "  "},
        {"prompt": "", "answer": "5"},
        {"prompt": None, "answer": "6"},
        {"answer": "7"},
        {"prompt": {"text": "q"}, "answer": "8"},
        {"prompt": "q9", "answer": {"value": 9}},
        {"prompt": "q10", "answer": float("nan")},
        {"prompt": "q1", "answer": "1"},
        {"prompt": "\ud800", "answer": "1"},
        [1],
        {"prompt": "q14", "answer": []},
        {"prompt": "q15", "answer": "15"},
    ]
    loaded = load(tmp_path, rows)
    assert [problem.id for problem in loaded.problems] == [f"{tmp_path.name}/a/1", f"{tmp_path.name}/a/15"]
    assert [entry.row for entry in loaded.left_out] == list(range(2, 15))
    reasons = [entry.reason for entry in loaded.left_out]
    expected = [
        "'answer' is missing", "'answer' is empty", "'answer' is empty", "'prompt' is empty", "'prompt' is empty",
        "'prompt' is missing", "expected text", "expected text", "no number", "same prompt as row 1", "surrogate",
        "not a JSON object", "expected text",
    ]  # fmt: skip
    for reason, words in zip(reasons, expected, strict=True):
        assert words in reason
    assert "13 rows left out" in loaded.summary() and "and 8 more" in loaded.summary()


def test_no_usable_problem_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no usable problem: row 1 of .* column 'answer' is empty"):
        load(tmp_path, [{"prompt": "q", "answer": ""}])
    with pytest.raises(DataError, match="no usable problem: it is empty"):
        load(tmp_path, [])
    twice = source(tmp_path, [{"prompt": "q", "answer": "1"}])
    with pytest.raises(DataError, match=r"same prompt as row 1 of 'a'.*does not repeat one before it"):
        load_problems([twice.model_copy(update={"name": name}) for name in ("a", "b")])
    with pytest.raises(DataError, match="no problem sources"):
        load_problems([])


def test_unknown_column_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, [{"Question": "q", "answer": "1"}], columns={"prompt": "question"})
    message = str(caught.value)
    assert "no column 'question'" in message and "Did you mean 'Question'?" in message and "columns.prompt" in message
    assert "answer" in message
    for field in ("id", "language", "difficulty", "domain", "answer", "messages"):
        with pytest.raises(DataError, match=f"columns.{field}"):
            load(tmp_path, [{"prompt": "q", "answer": "1"}], columns={field: "nowhere"})


def test_all_columns(tmp_path: Path) -> None:
    row = {
        "q": " what?\r\nnow ",
        "gold": {"value": "#### 4"},
        "key": 7,
        "lang": "zh",
        "level": "Level 3",
        "topic": "sums",
    }
    problem = one(
        tmp_path,
        row,
        name="b.jsonl",
        columns={"prompt": "q", "answer": "gold.value", "id": "key", "language": "lang", "difficulty": "level",
                 "domain": "topic"},
        answer_after="####",
        prompt_suffix=" Box it.",
    )  # fmt: skip
    assert problem.id == f"{tmp_path.name}/b/7"
    assert (problem.prompt, problem.language, problem.difficulty, problem.domain) == (
        "what?\nnow Box it.",
        "zh",
        3,
        "sums",
    )
    assert problem.gold == MathGold(answer="4")


def test_optional_columns_may_be_empty_in_a_row(tmp_path: Path) -> None:
    rows = [
        {"prompt": "q1", "answer": "1", "lang": "zh", "level": 1},
        {"prompt": "q2", "answer": "1", "lang": None, "level": ""},
        {"prompt": "q3", "answer": "1"},
        {"prompt": "q4", "answer": "1", "lang": "fr"},
        {"prompt": "q5", "answer": "1", "level": "hard"},
        {"prompt": "q6", "answer": "1", "level": 2.5},
    ]
    loaded = load(tmp_path, rows, columns={"language": "lang", "difficulty": "level"}, domain="d")
    assert [(p.language, p.difficulty, p.domain) for p in loaded.problems] == [
        ("zh", 1, "d"),
        ("en", None, "d"),
        ("en", None, "d"),
    ]
    assert [entry.row for entry in loaded.left_out] == [4, 5, 6]


def test_answer_after(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "answer": "x #### 1 #### 2"},
        {"prompt": "b", "answer": "no mark"},
        {"prompt": "c", "answer": "x ####  "},
    ]
    loaded = load(tmp_path, rows, answer_after="####")
    assert loaded.problems[0].gold == MathGold(answer="2")
    assert [entry.row for entry in loaded.left_out] == [2, 3]


def test_ids_are_unique_and_stable(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "answer": "1", "id": "x"}, {"prompt": "b", "answer": "1", "id": "x"},
            {"prompt": "c", "answer": "1", "id": None}, {"prompt": "d", "answer": "1", "id": 3.0}]  # fmt: skip
    loaded = load(tmp_path, rows, columns={"id": "id"})
    assert [p.id.rpartition("/")[2] for p in loaded.problems] == ["x", "3"]
    assert [entry.row for entry in loaded.left_out] == [2, 3]
    first = source(tmp_path, [{"prompt": "a", "answer": "1"}], "one.jsonl")
    second = source(tmp_path, [{"prompt": "b", "answer": "1"}, {"prompt": "a", "answer": "1"}], "two.jsonl")
    twice = load_problems([first, second])
    assert len({p.id for p in twice.problems}) == 2
    assert "same prompt as row 1" in twice.left_out[0].reason


def test_same_source_name_gets_a_number(tmp_path: Path) -> None:
    first = source(tmp_path, [{"prompt": "a", "answer": "1"}], "x.jsonl", weight=2.0)
    second = source(tmp_path, [{"prompt": "b", "answer": "1"}], "y.jsonl").model_copy(
        update={"name": f"{tmp_path.name}/x"}
    )
    loaded = load_problems([first, second])
    assert list(loaded.weights.items()) == [(f"{tmp_path.name}/x", 2.0), (f"{tmp_path.name}/x-2", 1.0)]
    assert len({p.id for p in loaded.problems}) == 2
    assert list(loaded.members(f"{tmp_path.name}/x-2")) == [1]


def test_shuffle_and_limit(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{i}", "answer": str(i) if i % 3 else ""} for i in range(60)]
    plain = load(tmp_path, rows, limit=5)
    assert [p.prompt for p in plain.problems] == ["q1", "q2", "q4", "q5", "q7"]
    shuffled = load(tmp_path, rows, limit=5, shuffle_seed=1)
    assert shuffled == load(tmp_path, rows, limit=5, shuffle_seed=1)
    assert shuffled.problems != plain.problems and len(shuffled.problems) == 5
    assert load(tmp_path, rows, limit=5, shuffle_seed=2).problems != shuffled.problems
    assert all(problem in load(tmp_path, rows).problems for problem in shuffled.problems)
    assert len(load(tmp_path, rows, limit=1000).problems) == 40


def test_messages(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": ""}]
    for row, columns in [({"chat": turns}, {"messages": "chat"}), ({"chat": json.dumps(turns)}, {"messages": "chat"}),
                         ({"prompt": turns}, {})]:  # fmt: skip
        problem = one(tmp_path, {**row, "answer": "1"}, columns=columns, prompt_suffix="!")
        assert [(m.role, m.content) for m in problem.messages] == [("system", "s"), ("user", "q!")]
    tool = {"role": "tool", "content": "x"}
    bad = ["q", [], [{"role": "user"}], [tool, turns[1]], [turns[0]], [turns[2]], {"role": "user"},
           [{"role": "user", "content": None}], None]  # fmt: skip
    rows = [{"chat": turns, "answer": "1"}, *({"chat": value, "answer": "1"} for value in bad)]
    loaded = load(tmp_path, rows, columns={"messages": "chat"})
    assert len(loaded.problems) == 1 and len(loaded.left_out) == len(bad)


@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [
        (["x", "y", "z"], "B", "B"),
        (["x", "y", "z"], "y", "B"),
        (["x", "y", "z"], "B. y", "B"),
        ('["x", "y"]', "A", "A"),
        ({"A": "x", "B": "y"}, "B", "B"),
        ({"label": ["1", "2"], "text": ["x", "y"]}, "2", "B"),
        (["A. x", "B. y"], "B. y", "B"),
        (["(A) x", "(B) y"], "y", "B"),
        (["A)21", "B)21.5"], "B", "B"),
        (["x", "y", "x"], "B", "B"),
    ],
)
def test_choice(tmp_path: Path, options: Any, answer: Any, letter: str) -> None:
    problem = one(
        tmp_path, {"prompt": "which?", "answer": answer, "o": options}, gold="choice", columns={"options": "o"}
    )
    assert isinstance(problem.gold, ChoiceGold) and problem.gold.answer == letter
    assert problem.prompt.startswith("which?\n\nA. ") and f"\nB. {problem.gold.options[1]}" in problem.prompt


def test_choice_lists_options_once_and_refuses_bad_rows(tmp_path: Path) -> None:
    given = "which?\nA) x\nB) y"
    assert (
        one(tmp_path, {"prompt": given, "answer": "A", "o": ["x", "y"]}, gold="choice", columns={"options": "o"}).prompt
        == given
    )
    two = ["x", "y"]
    cases = [("A", two), (5, two), ("C", two), ("AB", two), ("A", ["x"]), ("A", None), (None, two), (-1, two)]
    rows = [{"prompt": f"q{i}", "answer": answer, "o": options} for i, (answer, options) in enumerate(cases)]
    loaded = load(tmp_path, rows, gold="choice", columns={"options": "o"})
    assert [entry.row for entry in loaded.left_out] == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("numbers", [[79, 17, 60], [79.0, "17", 60], "[79, 17, 60]", "79, 17, 60", "79 17 60"])
@pytest.mark.parametrize("target", [36, "36", 36.0])
def test_expression(tmp_path: Path, numbers: Any, target: Any) -> None:
    problem = one(tmp_path, {"nums": numbers, "target": target}, gold="expression", columns={"numbers": "nums"})
    assert problem.gold == ExpressionGold(numbers=(79, 17, 60), target=36)
    assert "79, 17, 60" in problem.prompt and "36" in problem.prompt


def test_expression_refuses_bad_rows(tmp_path: Path) -> None:
    cases = [([1, 2], 3), ([1.5], 3), ([], 3), ([1], None), (["a"], 1), ([1], "x"), (None, 1), ("9" * 200, 1)]
    rows = [{"numbers": numbers, "target": target} for numbers, target in cases]
    loaded = load(tmp_path, rows, gold="expression")
    assert [entry.row for entry in loaded.left_out] == [2, 3, 4, 5, 6, 7, 8]
    with pytest.raises(DataError, match="no column 'question'"):
        load(tmp_path, rows, gold="expression", columns={"prompt": "question"})


def test_assignment(tmp_path: Path) -> None:
    for answer in ({"Ann": "knight"}, '{"Ann": "knight"}'):
        assert one(tmp_path, {"prompt": "q", "answer": answer}, gold="assignment").gold == AssignmentGold(
            values={"Ann": "knight"}
        )
    assert one(tmp_path, {"prompt": "q", "answer": ["Ann", "Bob"]}, gold="assignment").gold == AssignmentGold(
        values={"1": "Ann", "2": "Bob"}
    )
    with pytest.raises(DataError, match="expected names with values"):
        one(tmp_path, {"prompt": "q", "answer": "Ann is a knight"}, gold="assignment")


FILE = "from solution import f\n\n\ndef test_f():\n    assert f() == 1\n"


@pytest.mark.parametrize(
    ("tests", "form", "texts", "outputs"),
    [
        (["assert f() == 1"], "asserts", ("assert f() == 1",), ()),
        ("assert f() == 1", "asserts", ("assert f() == 1",), ()),
        ('["assert f() == 1"]', "asserts", ("assert f() == 1",), ()),
        ([{"input": "1", "output": "2"}], "stdio", ("1",), ("2",)),
        ('{"inputs": ["1"], "outputs": ["2"]}', "stdio", ("1",), ("2",)),
        (FILE, "unittest", (FILE,), ()),
    ],
)
def test_code(tmp_path: Path, tests: Any, form: str, texts: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    gold = one(tmp_path, {"prompt": "write f", "tests": tests}, gold="code").gold
    assert isinstance(gold, CodeGold) and gold.answer is None
    assert (gold.form, gold.tests, gold.outputs) == (form, texts, outputs)


def test_code_refuses_bad_rows(tmp_path: Path) -> None:

    cases = ["assert f() == 1", None, [], "", [1], {"a": 1}, [""], {"inputs": ["1"], "outputs": []}]
    rows = [{"prompt": f"q{i}", "tests": tests} for i, tests in enumerate(cases)]
    assert [entry.row for entry in load(tmp_path, rows, gold="code").left_out] == [2, 3, 4, 5, 6, 7, 8]


def test_csv_with_everything_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        '\ufeffid,prompt,answer,o\r\n1,which?,y,"[""x"", ""y""]"\r\n2,what?,"B","[""x"", ""z""]"\r\n'.encode()
    )
    loaded = load_problems([FileProblems(path=str(path), gold="choice", columns={"options": "o", "id": "id"})])  # type: ignore[arg-type]
    golds = [p.gold for p in loaded.problems]
    assert [g.answer for g in golds if isinstance(g, ChoiceGold)] == ["B", "B"]


def test_paths_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source(tmp_path, [{"prompt": "q", "answer": "1"}])
    monkeypatch.setenv("PONDER_TEST_DATA", str(tmp_path))
    assert load_problems([FileProblems(path="$PONDER_TEST_DATA/a.jsonl")]).problems


def test_micro() -> None:
    loaded = load_problems([MicroProblems(tasks=("arithmetic",), count=20)])
    assert len(loaded.problems) == 20 and {p.domain for p in loaded.problems} == {"arithmetic"}
    assert loaded == load_problems([MicroProblems(tasks=("arithmetic",), count=20)])
    with pytest.raises(RecipeError, match="arithmetic"):
        load_problems([MicroProblems(tasks=("arithmetics",), count=20)])
    with pytest.raises(ValueError, match="at least 1 item"):
        MicroProblems(tasks=())


def test_generated_sources_that_repeat_each_other_are_told_apart_by_seed() -> None:
    first, second = MicroProblems(tasks=("arithmetic",), count=9), MicroProblems(tasks=("science",), count=5)
    with pytest.raises(DataError, match=r"'micro/train-2' has no usable .* give this one another `seed`\.$"):
        load_problems([first, second])
    assert len(load_problems([first, second.model_copy(update={"seed": 1})]).problems) == 14


def test_hub_data_set_in_a_local_folder(tmp_path: Path) -> None:
    source(tmp_path, [{"question": "q", "answer": "x #### 4"}], "train.jsonl")
    script = (
        "from ponder.recipe.problems import HubProblems as H; from ponder.task import load_problems as load\n"
        "from ponder.errors import DataError\n"
        f"kind = dict(columns={{'prompt': 'question'}}, answer_after='####')\n"
        f"print(load([H(id={str(tmp_path)!r}, **kind)]).problems[0].gold.answer)\n"
        "for wrong in (dict(id='nobody/nothing'), dict(id=" + repr(str(tmp_path)) + ", split='nosplit')):\n"
        "    try: load([H(**wrong, **kind)])\n"
        "    except DataError as error: print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert lines[0] == "4", done.stderr
    assert "nobody/nothing, split 'train' cannot be loaded from the hub" in lines[1]
    assert "split 'nosplit'" in lines[2] and "source: file" in lines[2]
    assert HubProblems(id="a/b", subset="c").split == "train"


def test_a_hub_data_set_that_changes_between_two_sessions(tmp_path: Path) -> None:
    data, notes = tmp_path / "data", tmp_path / "hub_rows.json"
    data.mkdir()
    source(data, [{"question": "q", "answer": "4"}], "train.jsonl")
    script = (
        "from pathlib import Path; from ponder.recipe.problems import HubProblems as H\n"
        "from ponder.errors import RunFolderError; from ponder.task import load_problems as load\n"
        "from ponder.task.hub import same_rows\n"
        f"hub, data = H(id={str(data)!r}, columns={{'prompt': 'question'}}), Path({str(data)!r})\n"
        f"def session():\n    with same_rows(Path({str(notes)!r})): print(load([hub]).problems[0].gold.answer)\n"
        "session(); session()\n"
        '(data / \'train.jsonl\').write_text(\'{"question": "q", "answer": "5"}\\n\')\n'
        "try: session()\nexcept RunFolderError as error: print(error)\n"
        "print(load([hub]).problems[0].gold.answer)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["4", "4"] and lines[3] == "5", done.stderr
    assert "has changed on the hub since this stage began: it had 1 rows" in lines[2] and "@COMMIT" in lines[2]
    assert json.loads(notes.read_text())[f"{data}, split 'train'"][0] == 1


@pytest.mark.parametrize("task", sorted(set(GYM_TASKS) - {"zebra_puzzles"}))
def test_gym_tasks_judge_their_own_answers(task: str) -> None:
    import reasoning_gym

    loaded = load_problems([GymProblems(task=task, count=8, seed=5)])
    assert all("copying" in entry.reason or "same prompt" in entry.reason for entry in loaded.left_out)
    answers = {e["question"].strip(): e["answer"] for e in reasoning_gym.create_dataset(task, size=80, seed=5 * 2**23)}
    for problem in loaded.problems:
        assert problem.gold is not None and problem.domain == task
        if not re.search(r"(^|\()-", answers[problem.prompt]) or problem.gold.kind != "expression":  # no unary minus
            assert verify(f"<answer>{answers[problem.prompt]}</answer>", problem.gold).outcome == "right"
        assert verify(f"<answer>{problem.prompt}</answer>", problem.gold).outcome != "right"


@pytest.mark.parametrize("task", ["gcd", "chain_sum"])
def test_gym_splits_share_no_problem(task: str) -> None:
    def drawn(split: Literal["train", "test"], seed: int, count: int = 60) -> set[str]:
        loaded = load_problems([GymProblems(task=task, split=split, seed=seed, count=count)])
        assert {problem.id.split("/")[-3:-1] == [split, str(seed)] for problem in loaded.problems} == {True}
        return {problem.prompt for problem in loaded.problems}

    train, test = drawn("train", 0, 400) | drawn("train", 1, 400), drawn("test", 0) | drawn("test", 1)
    assert len(test) > 100 and not train & test
    assert not drawn("train", 3) & drawn("train", 4)  # of neighbouring seeds the library shares all but one


def test_gym_settings_are_those_of_the_task() -> None:
    small = GymProblems(task="chain_sum", count=30, settings={"max_terms": 2, "max_digits": 1})
    for problem in load_problems([small]).problems:
        assert re.fullmatch(r"\d [+-] \d", re.search(r"\d.*\d", problem.prompt)[0])  # type: ignore[index]


def test_gym_questions_have_the_text_behind_them() -> None:
    plain, told = (
        load_problems([GymProblems(task="chain_sum", count=12, seed=3, prompt_suffix=suffix)]).problems
        for suffix in ("", "\nSay the number alone.")
    )
    assert [one.prompt + "\nSay the number alone." for one in plain] == [one.prompt for one in told]
    assert [(one.id, one.gold) for one in plain] == [(one.id, one.gold) for one in told]  # of the same split


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_term": 3}, "no setting 'max_term'.*Did you mean 'max_terms'"),
        ({"seed": 3}, "no setting 'seed'"),
        ({"min_terms": 5, "max_terms": 2}, "max_terms must be >= min_terms"),
        ({"min_terms": "x"}, "TypeError"),
    ],
)
def test_gym_settings_that_cannot_be(settings: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_problems([GymProblems(task="chain_sum", count=3, settings=settings)])


def test_gym_says_when_a_task_has_too_few_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.task import gym

    monkeypatch.setattr(gym, "_split_of", lambda task, question: "train")
    with pytest.raises(DataError, match="gave 0 of 3 problems for the split 'test' in 112 draws"):
        load_problems([GymProblems(task="chain_sum", count=3, split="test")])


def test_gym_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(DataError, match=r"not installed here.*pip install 'ponder\[gym\]'"):
        load_problems([GymProblems(task="chain_sum", count=3)])


def test_gym_refuses_what_it_cannot_judge() -> None:
    for task in ("sudoku", "countdwn", "no_such_task"):
        with pytest.raises(DataError, match="There are: acre"):
            load_problems([GymProblems(task=task)])
    with pytest.raises(DataError, match="Did you mean 'countdown'"):
        load_problems([GymProblems(task="countdwn")])
