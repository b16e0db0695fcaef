"""What is read from a run folder: measures that agree with the scores beside them, costs, small files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from report_r1_builder import Skill, build_r1, finish, held_out, results, write_evaluation
from report_run_builder import manifest, problem

from ponder.errors import PonderError
from ponder.evaluation import completions_path, load_scores
from ponder.evaluation.scores import read_scores
from ponder.report.cost import Cost
from ponder.report.evidence import Evidence, gather
from ponder.report.measures import read_measures
from ponder.report.phenomena import phenomena
from ponder.report.readers import read_composition, read_quality, read_win_rates
from ponder.report.run import read_run
from ponder.watch.alarms import read_alarms


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_measures_agree_with_the_scores_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "m--b.jsonl"
    found = results([problem(i) for i in range(12)], Skill(reasoning=0.5, mixed=0.3, form=0.9), 16, "x")
    write_evaluation(path, found, "m", "b", 10)
    scores, evaluation = read_scores(path.with_suffix(".json")).overall, read_measures(path)
    assert evaluation is not None
    assert (evaluation.model, evaluation.benchmark) == ("m", "b")
    measures = list(evaluation.problems.values())
    assert mean([one.accuracy or 0.0 for one in measures]) == pytest.approx(scores.pass_at_1)
    assert mean([one.consensus or 0.0 for one in measures]) == pytest.approx(scores.cons_at[16])
    assert mean([one.tokens for one in measures]) == pytest.approx(scores.mean_tokens)
    words = mean([one.reflection for one in measures])
    assert words == pytest.approx(scores.reflection_per_1k_tokens * scores.mean_tokens / 1000)
    assert mean([one.language or 0.0 for one in measures]) == pytest.approx(scores.language_consistency)
    assert all(one.route == "reasoning" and one.unsafe is None for one in measures)


def test_readable_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "m--b.jsonl"
    one = results([problem(0)], Skill(reasoning=1.0), 4, "x")[0]
    texts = [
        "<think>I add three to zero and get three.</think> <answer>3</answer>",
        "<think>I add three to zero 然后我们得到三。</think> <answer>3</answer>",  # mixed
        "I add three to zero and get three. 3",  # not in the form
        "<think>0+3=3</think> <answer>3</answer>",  # no words, nothing mixed
    ]
    lines = [json.loads(line) for line in _written(path, one).splitlines()]
    for sample, text in zip(lines[1]["samples"], texts, strict=True):
        sample["text"] = text
    lines[1]["samples"][3]["finish_reason"] = "length"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    evaluation = read_measures(path)
    assert evaluation is not None
    (measure,) = evaluation.problems.values()
    assert measure.readable == 0.25


def _written(path: Path, one: object) -> str:
    write_evaluation(path, [one], "m", "b", 10)  # type: ignore[list-item]
    return path.read_text()


def test_no_file_no_measures(tmp_path: Path) -> None:
    assert read_measures(tmp_path / "none.jsonl") is None


def test_held_out_completions_lie_where_they_are_looked_for(tmp_path: Path) -> None:
    held_out(tmp_path, 5, Skill(reasoning=0.5), 8, 4)
    evaluation = read_measures(completions_path(tmp_path, 5))
    assert evaluation is not None
    assert mean([one.accuracy or 0 for one in evaluation.problems.values()]) == pytest.approx(
        load_scores(tmp_path)[5].overall.pass_at_1
    )
    assert {one.consensus for one in evaluation.problems.values()} == {None}  # too few samples


def cost(**given: float | None) -> Cost:
    values = {"seconds": 1.0, "trained": 0.0, "sampled": 0.0, "scored": 0.0, "measured": 0.0, "measured_flops": 0.0}
    return Cost(parameters=100, charged=None, files=(), **(values | given))  # type: ignore[arg-type]


def test_operations_by_hand() -> None:
    one = cost(trained=10, sampled=20, scored=10, measured=5, measured_flops=1000)
    assert one.training_flops == 100 * (6 * 10 + 2 * 20 + 2 * 10)
    assert one.flops == 12_000 + 1000
    unknown = Cost(
        seconds=1, trained=1, sampled=0, scored=0, measured=0, measured_flops=7, parameters=None, charged=None, files=()
    )
    assert (unknown.training_flops, unknown.flops) == (None, None)
    assert cost(measured=5, measured_flops=7).flops == 7  # an evaluate stage


ABSENT = {read_alarms: (), read_composition: (), read_quality: None, read_win_rates: ()}


@pytest.mark.parametrize("read", ABSENT, ids=lambda read: read.__name__)
def test_an_absent_file_is_nothing(read: object, tmp_path: Path) -> None:
    assert read(tmp_path) == ABSENT[read]  # type: ignore[operator, index]


@pytest.mark.parametrize(
    ("read", "name", "content"),
    [
        (read_alarms, "alarms.jsonl", '{"step":1}\n'),
        (read_alarms, "alarms.jsonl", "nothing\n"),
        (read_composition, "composition.json", '{"domain": "x"}'),
        (read_composition, "composition.json", "["),
        (read_quality, "held_out.json", '{"rows": 3}'),
        (read_win_rates, "evaluation/win_rates.json", "[]"),
    ],
)
def test_a_damaged_file_is_named(read: object, name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    (tmp_path / name).write_text(content)
    with pytest.raises(PonderError, match=name.split("/")[-1]):
        read(tmp_path)  # type: ignore[operator]


def test_win_rates_that_nothing_could_judge_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "evaluation" / "win_rates.json"
    path.parent.mkdir()
    known = {
        "win_rate": 0.6, "win_rate_interval": [0.5, 0.7], "win_rate_length_controlled": 0.55, "compared_problems": 9,
        "wins": 3,
    }  # fmt: skip
    unknown = known | {"win_rate": None, "win_rate_interval": None, "win_rate_length_controlled": None}
    path.write_text(json.dumps({"baseline": "b", "judge": "j", "benchmarks": {"g": {"x": known, "y": unknown}}}))
    (one,) = read_win_rates(tmp_path)
    assert (one.model, one.baseline, one.rate, one.interval, one.problems) == ("x", "b", 0.6, (0.5, 0.7), 9)


@pytest.fixture(scope="module")
def r1_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_r1(tmp_path_factory.mktemp("r1"), problems=8, samples=2, steps=12)


@pytest.fixture
def folder(r1_folder: Path, tmp_path: Path) -> Path:
    """A run of all stages, to be changed."""
    return Path(shutil.copytree(r1_folder, tmp_path / "run"))


def evidence(folder: Path) -> Evidence:
    return gather(read_run(folder))


def verdicts(folder: Path) -> dict[str, str]:
    return {one.name: one.verdict for one in phenomena(evidence(folder))}


def change(path: Path, line: int, **values: Any) -> None:
    """Change what a line of a file of completions says of its problem, or the first one of how all were sampled."""
    lines = [json.loads(one) for one in path.read_text().splitlines()]
    lines[line]["provenance" if line == 0 else "problem"] |= values
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))


def shared(folder: Path) -> int:
    found = evidence(folder).together("zero", "cold_start")
    assert found is not None
    return len(found[0].of("reasoning").keys() & found[1].of("reasoning").keys())


def test_other_problems_of_the_same_names_are_not_paired(folder: Path) -> None:
    assert shared(folder) == 8
    path = folder / "stages" / "scores" / "evaluation" / "cold_start--micro.jsonl"
    change(path, 3, messages=[{"role": "user", "content": "Another question?"}])
    assert shared(folder) == 7
    change(path, 5, gold={"kind": "math", "answer": "77"})
    assert shared(folder) == 6


def more_scores(folder: Path) -> Path:
    """A second evaluate stage beside the first, with the same in it."""
    made = json.loads((folder / "recipe.resolved.json").read_text())
    made["recipe"]["stages"]["more"] = made["recipe"]["stages"]["scores"]
    (folder / "recipe.resolved.json").write_text(json.dumps(made))
    more = Path(shutil.copytree(folder / "stages" / "scores", folder / "stages" / "more"))
    finish(more, "evaluate", {"kind": "evaluate"})
    return more


def test_two_evaluate_stages_that_measure_alike_are_one(folder: Path) -> None:
    more = more_scores(folder)
    for path in (more / "evaluation").glob("zero--*"):
        path.unlink()
    for path in (folder / "stages" / "scores" / "evaluation").glob("r1--*"):
        path.unlink()
    (place,) = evidence(folder).evaluated
    assert place["zero"].files["micro"] == "stages/scores/evaluation/zero--micro.jsonl"
    assert place["r1"].files["micro"] == "stages/more/evaluation/r1--micro.jsonl"


@pytest.mark.parametrize(
    "changed", [{"samples": 4}, {"judge": "a model"}, {"sampling": {"temperature": 1.0, "top_p": 0.95}}], ids=str
)
def test_evaluate_stages_that_measure_otherwise_are_not_mixed(folder: Path, changed: dict[str, Any]) -> None:
    for path in (more_scores(folder) / "evaluation").glob("*--micro.jsonl"):
        change(path, 0, **changed)
    first, second = evidence(folder).evaluated
    assert first["zero"].files["micro"] == "stages/scores/evaluation/zero--micro.jsonl"
    assert second["zero"].files["micro"] == "stages/more/evaluation/zero--micro.jsonl"
    found = evidence(folder).together("zero", "cold_start")
    assert found is not None and found[1].files["micro"] == "stages/scores/evaluation/cold_start--micro.jsonl"


def test_a_length_limit_that_a_window_cuts_is_the_one_that_was_asked_for(folder: Path) -> None:
    for number, path in enumerate(sorted((more_scores(folder) / "evaluation").glob("*--micro.jsonl"))):
        sampling = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 100 + number}
        change(path, 0, sampling=sampling, max_tokens_asked=512)
    assert len(evidence(folder).evaluated) == 1


def test_stages_that_go_on_decide_nothing(folder: Path) -> None:
    before = verdicts(folder)
    assert before["pure RL"] != "not measured" and before["reward hacking"] == "held"
    for name in ("zero", "hacking", "student_rl", "scores"):
        stage = folder / "stages" / name
        (stage / "done").unlink()
        manifest(stage, "evaluate" if name == "scores" else "rl", {}, done=False)
    found = evidence(folder)
    assert found.evaluated == [] and found.wins == ()
    assert not {"zero", "hacking", "student_rl"} & (found.courses.keys() | found.costs.keys() | found.alarms.keys())
    assert "r1" in found.courses and "base" not in found.held_out
    after = verdicts(folder)
    assert {after[name] for name in ("pure RL", "reward hacking", "distillation")} == {"not measured"}


def test_a_start_that_was_not_measured_is_not_the_end(folder: Path) -> None:
    for path in (folder / "stages" / "zero" / "evaluation").glob("step-000000.*"):
        path.unlink()
    assert evidence(folder).courses["zero"].start is None
    assert verdicts(folder)["pure RL"] == "not measured"


def test_hacking_could_show_where_it_was_watched(folder: Path) -> None:
    assert "hacking" in evidence(folder).watched
    for step in ("000006", "000012"):
        for path in (folder / "stages" / "hacking" / "evaluation").glob(f"step-{step}.*"):
            path.unlink()
    assert "hacking" not in evidence(folder).watched
