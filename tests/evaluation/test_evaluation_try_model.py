"""`ponder try MODEL`: what is seen by value, the whole with the embedded model, and its recipe as it stands."""

import json
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ponder.errors import DataError
from ponder.evaluation.benchmark import ProblemFields
from ponder.evaluation.probe import Probe, describe
from ponder.evaluation.results import JudgedCompletion, ProblemResult
from ponder.evaluation.tried_recipe import recipe_text
from ponder.evaluation.try_model import problems_named
from ponder.pipeline.measured import find_rates
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.shape import shape_of
from ponder.recipe import load_recipe
from ponder.records import FinishReason, MathGold, Message, Problem, Verdict
from ponder.task import load_problems
from ponder.text import TEMPLATES
from tests import command

MICRO = Path(__file__).parents[2] / "ponder/micro/base"


def ponder(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command.run("try", *arguments, folder=folder)


def result(number: int, samples: list[tuple[str, int, FinishReason, bool]]) -> ProblemResult:
    problem = Problem(
        id=str(number), messages=(Message(role="user", content="2+3?"),), gold=MathGold(answer="5"), domain="d"
    )
    judged = tuple(
        JudgedCompletion(
            text=text,
            tokens=tokens,
            finish_reason=finish,
            seed=place,
            verdict=Verdict(outcome="right" if right else "wrong", reason=""),
        )
        for place, (text, tokens, finish, right) in enumerate(samples)
    )
    return ProblemResult(problem=problem, samples=judged)


def test_a_form_by_value() -> None:
    good = (" <think>2+3=5</think> <answer>5</answer>", 10, "stop", True)
    copied = (" <think>reasoning process here</think> <answer>4</answer>", 12, "stop", False)
    cut = (" <think>well", 64, "length", False)
    results = [result(0, [good] * 2 + [copied] * 6), result(1, [good] * 8), result(2, [copied] * 7 + [cut])]
    found = describe(TEMPLATES["r1-zero"], results, 64)
    assert found.problems == 3 and found.template == "r1-zero"
    assert found.pass_at_1 == pytest.approx(10 / 24) and found.pass_at_8 == pytest.approx(2 / 3)
    assert found.useful == pytest.approx(1 / 3)
    assert found.thinks == pytest.approx(11 / 24)  # ten that think, one cut off in its thinking; copies do not
    assert found.well_formed == pytest.approx(10 / 24)
    assert found.ends == pytest.approx(23 / 24)
    assert found.mean_tokens == pytest.approx((10 * 10 + 13 * 12 + 64) / 24)
    assert found.fitting_tokens == 12  # 23 of 24 are more than 95 %
    assert describe(TEMPLATES["r1-zero"], [result(0, [good] * 7 + [cut])], 64).fitting_tokens is None


def test_the_embedded_model_is_tried_and_its_recipe_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = ponder(tmp_path, "micro", "--problems", "micro", "--seconds", "15")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "tries" / "micro--micro"
    tried = json.loads((folder / "tried.json").read_text())
    assert [form["template"] for form in tried["forms"]] == ["r1-zero", "r1", "plain"]
    assert 0 < tried["best"]["pass_at_1"] < 1 and tried["sampled_tokens_per_second"] > 0
    assert f"{tried['trained_tokens_per_second']:,.0f} trained as measured in tries/micro--micro" in done.stdout
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(folder / "recipe.yaml", ())
    (stage,) = yaml.safe_load((folder / "recipe.yaml").read_text())["stages"].values()
    assert stage["template"] == tried["best"]["template"] and stage["problems"][0]["split"] == "train"
    assert stage["held_out"]["problems"][0]["split"] == "test"
    assert "would not start" not in describe_plan(recipe, tmp_path / "run")
    rates = find_rates(_shape())
    assert rates is not None and rates.mean_tokens == tried["best"]["mean_tokens"]
    (folder / "tried.json").write_text(json.dumps(tried | {"host": "elsewhere"}))
    assert find_rates(_shape()) is None
    assert "as measured in" not in describe_plan(recipe, tmp_path / "run")


def _shape():  # type: ignore[no-untyped-def]
    shape = shape_of(json.loads((MICRO / "config.json").read_text()), "here")
    assert not isinstance(shape, str)
    return shape


def test_a_model_that_is_never_right_gets_no_recipe(tmp_path: Path) -> None:
    rows = [{"prompt": f"Name the {n}th word of the old book.", "answer": f"{n}1234567"} for n in range(6)]
    (tmp_path / "hard.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = ponder(
        tmp_path, "micro", "--problems", "hard.jsonl", "--seconds", "2", "--template", "r1-zero", "--max-tokens", "24"
    )
    assert done.returncode == 1
    assert "Nothing that micro wrote was right" in done.stderr and "preset: cold-start" in done.stderr
    assert not (tmp_path / "tries/micro--hard/recipe.yaml").exists()
    tried = json.loads((tmp_path / "tries/micro--hard/tried.json").read_text())
    assert tried["host"] == socket.gethostname()
    assert tried["best"]["problems"] >= 4, "beside the two that the first look left"


def test_what_one_look_had_right_is_something_to_learn_from() -> None:
    good, bad = ("<answer>5</answer>", 10, "stop", True), ("<answer>4</answer>", 10, "stop", False)
    none = describe(TEMPLATES["r1-zero"], [result(n, [bad] * 8) for n in range(5)], 64)
    some = describe(TEMPLATES["r1-zero"], [result(0, [good] + [bad] * 7), result(1, [bad] * 8)], 64)
    assert not Probe(forms=(none,), best=none, tokens_per_second=1.0).right
    assert Probe(forms=(none,), best=some, tokens_per_second=1.0).right
    seen = Probe(forms=(some,), best=none, tokens_per_second=1.0)
    assert seen.right
    text = recipe_text("m", problems_named("gym:chain_sum", ProblemFields(), {"max_terms": 3}), seen, 1.0)
    assert "# None of these was right, only some in a first look at 2 problems (pass@1 0.062)" in text
    stage = yaml.safe_load(text)["stages"]["zero"]
    assert stage["problems_per_step"] == 4, "the fewest, however long they take"
    assert [one["settings"] for one in (*stage["problems"], *stage["held_out"]["problems"])] == [{"max_terms": 3}] * 2


def test_a_file_of_solutions_with_their_answers_behind_a_mark(tmp_path: Path) -> None:
    rows = [{"question": "Half of 48?", "solution": "48/2 = <<48/2=24>>24.\n#### 24"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields = ProblemFields(prompt="question", gold="solution")
    with pytest.raises(DataError, match="answer behind '####': take that by `answer_after: \"####\"`"):
        load_problems(problems_named(str(tmp_path / "rows.jsonl"), fields, {}).problems)
    marked = problems_named(str(tmp_path / "rows.jsonl"), replace(fields, answer_after="####"), {})
    assert [one.gold for one in load_problems(marked.problems).problems] == [MathGold(answer="24")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["micro"], "is tried on problems: name a file"),
        (["micro", "--problems", "no-such-benchmark"], "no-such-benchmark"),
        (["micro", "--problems", "gym:sudokuu"], "does not exist"),
        (["micro", "max_terms=3", "--problems", "micro"], "The settings max_terms are for tasks of reasoning-gym"),
        (["micro", "--gold", "solution", "--problems", "gym:chain_sum"], "say how the rows of a file are read"),
        (["micro", "3", "--problems", "gym:chain_sum"], "write name=value"),
        (["no/such/model", "--problems", "micro"], "no/such/model"),
        (["odd.py:shy", "--problems", "micro"], "--problems is for models"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = ponder(tmp_path, *arguments)
    assert done.returncode == 1 and words in " ".join(done.stderr.split())
    assert not (tmp_path / "tries").exists()
