"""`ponder try MODEL`: what is seen by value, the whole with the embedded model, and its recipe as it stands."""

import json
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ponder.errors import DataError
from ponder.evaluation.benchmark import ProblemFields
from ponder.evaluation.probe import Probe, Probed, describe
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


def probed(first: Probed, best: Probed, **changes: Any) -> Probe:
    given = {"template": TEMPLATES["r1-zero"], "prompt_tokens": 40.0, "tokens_per_second": 1.0} | changes
    return Probe(forms=(first,), best=best, **given)


def test_what_one_look_had_right_is_something_to_learn_from() -> None:
    good, bad = ("<answer>5</answer>", 10, "stop", True), ("<answer>4</answer>", 10, "stop", False)
    none = describe(TEMPLATES["r1-zero"], [result(n, [bad] * 8) for n in range(5)], 64)
    some = describe(TEMPLATES["r1-zero"], [result(0, [good] + [bad] * 7), result(1, [bad] * 8)], 64)
    assert not probed(none, none).right
    assert probed(none, some).right
    seen = probed(some, none)
    assert seen.right
    text = recipe_text("m", problems_named("gym:chain_sum", ProblemFields(), {"max_terms": 3}), seen, 1.0, "tried-2")
    assert "# None of these was right, only some in a first look at 2 problems (pass@1 0.062)" in text
    assert yaml.safe_load(text)["name"] == "tried-2"
    stage = yaml.safe_load(text)["stages"]["zero"]
    assert stage["problems_per_step"] == 4, "the fewest, however long they take"
    assert [one["settings"] for one in (*stage["problems"], *stage["held_out"]["problems"])] == [{"max_terms": 3}] * 2


def test_the_recipe_by_value() -> None:
    """Lengths round up within what was tried; a batch computes a prompt once for its group."""
    good, bad = ("<answer>5</answer>", 70, "stop", True), ("<answer>4</answer>", 70, "stop", False)
    best = describe(TEMPLATES["r1-zero"], [result(n, [good] * 4 + [bad] * 4) for n in range(5)], 80)
    sums = problems_named("gym:chain_sum", ProblemFields(), {})

    def stage(seen: Probe, trained: float | None) -> dict[str, Any]:
        return dict(yaml.safe_load(recipe_text("m", sums, seen, trained, "t"))["stages"]["zero"])

    assert stage(probed(best, best), 1.0)["sampling"]["max_tokens"] == 80, "96 was never tried"
    # (400 + 16 x 70) x (1/200 + 1/100) = 22.8 seconds a problem: 8 take more than three minutes, 4 do not
    assert stage(probed(best, best, prompt_tokens=400.0, tokens_per_second=200.0), 100.0)["problems_per_step"] == 4
    assert stage(probed(best, best, prompt_tokens=0.0, tokens_per_second=200.0), 100.0)["problems_per_step"] == 8
    unknown = recipe_text("m", sums, probed(best, best), None, "t")
    assert "was not measured" in unknown and yaml.safe_load(unknown)["stages"]["zero"]["problems_per_step"] == 4
    own = probed(best, best, template=replace(TEMPLATES["r1-zero"], opening="Think. ", thinking=False))
    assert "template" not in stage(own, 1.0) and stage(own, 1.0)["rewards"] == {"accuracy": 1}
    assert stage(probed(best, best), 1.0)["template"] == "r1-zero"


def test_what_is_solved_or_the_same_in_every_group() -> None:
    good, bad = ("<answer>5</answer>", 10, "stop", True), ("<answer>4</answer>", 10, "stop", False)
    solved = describe(TEMPLATES["r1-zero"], [result(n, [good] * 8) for n in range(4)], 64)
    mixed = describe(TEMPLATES["r1-zero"], [result(0, [good] * 8), result(1, [bad] * 8)], 64)
    assert probed(solved, solved).solved
    assert not probed(solved, mixed).solved and not probed(mixed, solved).solved
    sums = problems_named("gym:chain_sum", ProblemFields(), {})
    assert "# No group held right and wrong completions" in recipe_text("m", sums, probed(mixed, mixed), 1.0, "t")


def test_forms_that_a_model_cannot_be_asked_in_are_left_out(tmp_path: Path) -> None:
    """A chat template that always opens a thought, as those of R1's distilled models do, has no place for `plain`."""
    shutil.copytree(MICRO, tmp_path / "thinks")
    (tmp_path / "thinks/ponder_template.json").unlink()
    chat = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:\n<think>\n"
    (tmp_path / "thinks/chat_template.jinja").write_text(chat)
    (tmp_path / "sum.jsonl").write_text('{"prompt": "2+3?", "answer": 5}\n')
    given = ["thinks", "--problems", "sum.jsonl", "--seconds", "1", "--max-tokens", "16"]
    done = ponder(tmp_path, *given)
    assert "plain is left out: The tokenizer's chat template ends the prompt in" in done.stderr
    tried = json.loads((tmp_path / "tries/thinks--sum/tried.json").read_text())
    assert [form["template"] for form in tried["forms"]] == ["r1-zero", "r1"]
    ponder(tmp_path, *given)
    assert (tmp_path / "tries/thinks--sum-2/tried.json").exists(), "beside the first look"
    again = ponder(tmp_path, *given, "--out", "tries/thinks--sum")
    assert again.returncode == 1 and "holds an earlier look" in again.stderr
    named = ponder(tmp_path, *given, "--template", "plain")
    assert named.returncode == 1 and "it opens a thought" in " ".join(named.stderr.split())


def test_a_model_is_tried_within_its_window(tmp_path: Path) -> None:
    """What is said of the limit is what was sampled under, and the recipe stays within it."""
    shutil.copytree(MICRO, tmp_path / "short")
    config = json.loads((tmp_path / "short/config.json").read_text()) | {"max_position_embeddings": 256}
    (tmp_path / "short/config.json").write_text(json.dumps(config))
    given = ["short", "--problems", "micro", "--template", "r1-zero", "--seconds", "8", "--limit", "5"]
    done = ponder(tmp_path, *given)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "tries/short--micro"
    tried = json.loads((folder / "tried.json").read_text())
    assert tried["best"]["max_tokens"] < 256 and tried["best"]["problems"] <= 5
    stored = json.loads((folder / "more-r1-zero.jsonl").read_text().splitlines()[0])
    assert tried["best"]["max_tokens"] == stored["provenance"]["sampling"]["max_tokens"]
    (stage,) = yaml.safe_load((folder / "recipe.yaml").read_text())["stages"].values()
    assert stage["sampling"]["max_tokens"] <= tried["best"]["max_tokens"]


def test_a_model_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "huge").mkdir()
    huge = json.loads((MICRO / "config.json").read_text()) | {"num_hidden_layers": 10**9}
    (tmp_path / "huge/config.json").write_text(json.dumps(huge))
    done = ponder(tmp_path, "huge", "--problems", "micro")
    assert done.returncode == 1 and "Take a smaller model" in done.stderr
    assert not (tmp_path / "tries").exists()


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
        (["micro", "--problems", "gym: no/such task"], "does not exist"),
        (["micro", "--problems", "rows/trian.jsonl", "--prompt", "question"], "There is no file of problems"),
        (["micro", "--problems", "harmbench"], "can only be judged by somebody who reads them"),
        (["micro", "--problems", "alpaca-eval"], "can only be judged by somebody who reads them"),
        (["micro", "--problems", "micro", "--deadline", "2"], "micro is a model: --deadline is for functions"),
        (["odd.py:shy", "--seconds", "2", "--kind", "math"], "--seconds, --kind are for models"),
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
