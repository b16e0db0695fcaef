"""What own functions give decides what is learnt, what they fail to give decides nothing, and both are tried first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.errors import LearningError, RecipeError
from ponder.own import Called, Failure, read_own
from ponder.recipe.load import load_recipe
from ponder.recipe.objective import Objective
from ponder.records import Completion, Group, MathGold, Message, OwnGold, Problem, Rollout, Verdict
from ponder.reward import Judged
from ponder.reward.canaries import check_canaries
from ponder.reward.combine import score
from ponder.reward.judging import judge
from ponder.reward.rules import accuracy
from ponder.rollout import Collected
from ponder.rollout.collect import OwnFailure
from ponder.stages.failures import FAILURES, FailureLog
from ponder.text import TEMPLATES
from ponder.train import credit
from ponder.verify.pool import VerifierPool
from ponder.watch.rollouts import RolloutLog, read_rollouts
from ponder.watch.summary import summarize_groups

TEMPLATE = TEMPLATES["r1-zero"]
NAME = "mine.py:f"
FILE = """
import math
calls = 0
def f(judged): return 0.25
def nan(judged): return math.nan
def never(judged): raise ValueError("always")
def mostly(judged): return len(judged.response.answer.strip()) / 100
def right(judged): return float(judged.verdict.outcome == "right")
def hangs(judged):
    while True: pass
def always(answer, gold): return True
def number(answer, gold): return int(answer) == gold.answer
def no(answer, gold): return False
def broken(answer, gold): return gold.anwser
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VerifierPool]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(FILE)
    with VerifierPool(workers=2, deadline_seconds=1.0, own=read_own(["mine.py"], folder)) as one:
        yield one


def problem(verifier: str | None = None, number: int = 7) -> Problem:
    gold = MathGold(answer=str(number)) if verifier is None else OwnGold(function=f"mine.py:{verifier}", answer=number)
    asked = Message(role="user", content=f"Which is it, {number}?")
    return Problem(id=f"p/{number}", messages=(asked,), gold=gold, domain="d")


def rollout(reward: float, failed: tuple[str, ...] = ()) -> Rollout:
    return Rollout(
        problem=problem(),
        prompt_ids=(1, 2),
        completion=Completion(
            token_ids=(3, 4), logprobs=(-0.5, -0.5), text="x", finish_reason="stop", weight_version=0, seed=1
        ),
        verdict=Verdict(outcome="right", reason=""),
        rewards={"accuracy": 1.0, NAME: None if failed else reward},
        reward=reward,
        failed=failed,
    )


def test_what_failed_is_no_zero_but_left_out_of_its_group(tmp_path: Path) -> None:
    told = [rollout(1.0), rollout(0.0), rollout(0.0)]
    failed = rollout(0.0, failed=(NAME,))
    with_it, without = Group(rollouts=(*told[:2], failed, told[2])), Group(rollouts=tuple(told))
    assert credit([with_it], Objective()) == credit([without], Objective())
    assert len(credit([with_it], Objective())[0]) == 3
    # Two that are told alike say nothing, whatever stands in the place of the one that failed.
    assert not Group(rollouts=(rollout(1.0), rollout(1.0), failed)).useful
    assert not Group(rollouts=(failed, failed)).useful
    assert summarize_groups([with_it], TEMPLATE)[f"failed/{NAME}"] == 1
    log = RolloutLog(tmp_path)
    for one in with_it.rollouts:
        log.write(1, one)
    assert [one.rollout for one in read_rollouts(tmp_path)] == list(with_it.rollouts)
    lines = (tmp_path / "rollouts" / "rollouts-000000.jsonl").read_text().splitlines()
    assert ["failed" in line for line in lines] == [False, False, True, False]


def test_the_verdict_is_there_before_the_reward_and_both_are_added(pool: VerifierPool) -> None:
    (use,) = load_uses({"mine.py:right": 2.0})
    for text, expected in (("<answer>7</answer>", 1.0), ("<answer>8</answer>", 0.0)):
        judged = written(problem(), f"easy.</think> {text}")
        judgement = judge(pool, judged, [use]).result()
        named, total = score(judgement.judged, {"accuracy": 1.0, "mine.py:right": 2.0}, judgement.own)
        assert named == {"accuracy": expected, "mine.py:right": expected} and total == 3.0 * expected


def load_uses(weights: dict[str, float]):  # type: ignore[no-untyped-def]
    from ponder.reward.combine import own_rewards

    return own_rewards(weights)


def written(of: Problem, completion: str) -> Judged:
    return Judged(
        problem=of,
        response=TEMPLATE.split(completion),
        verdict=Verdict(outcome="wrong", reason="not judged yet"),
        completion_tokens=5,
        finish_reason="stop",
        max_tokens=9,
    )


def test_an_own_verifier_that_fails_pays_no_zero(pool: VerifierPool) -> None:
    judged = written(problem("number"), "hm.</think> <answer>seven</answer>")
    judgement = judge(pool, judged).result()
    assert judgement.judged.verdict.outcome == "cannot_tell"
    assert accuracy(judgement.judged) is None
    (failure,) = judgement.failures()
    assert failure.function == "mine.py:number" and "ValueError" in failure.reason
    fine = judge(pool, written(problem("number"), "hm.</think> <answer>8</answer>")).result()
    assert accuracy(fine.judged) == 0.0 and not fine.failures()


@pytest.mark.parametrize(
    ("verifier", "weights", "said"),
    [
        ("always", {"accuracy": 1.0}, r"The canary .* earns 1 of the reward 'accuracy' on problem 'p/7'"),
        ("broken", {"accuracy": 1.0}, r"(?s)mine.py:broken fails on all .*has no attribute 'anwser'"),
        (None, {"accuracy": 1.0, "mine.py:nan": 1.0}, r"mine.py:nan returned nan; expected a finite number"),
        (None, {"mine.py:hangs": 1.0}, r"mine.py:hangs gave nothing within 1 seconds, whatever it is called with"),
        (None, {"mine.py:never": 1.0}, r"(?s)mine.py:never fails on all of the \d+ .*ValueError: always.*Traceback"),
        (None, {"accuracy": 1.0, "mine.py:f": 0.0, "nosuch": 1.0}, r"There is no reward 'nosuch'"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_at_the_start(
    pool: VerifierPool, verifier: str | None, weights: dict[str, float], said: str
) -> None:
    with pytest.raises((LearningError, RecipeError), match=said):
        check_canaries(TEMPLATE, [problem(verifier)], weights, pool, say=lambda line: None)


@pytest.mark.parametrize(
    ("verifier", "weights", "said"),
    [
        (None, {"accuracy": 1.0, NAME: 1.0}, "mine.py:f gives completions that answer nothing 0.25 throughout"),
        (None, {"accuracy": 1.0, "mine.py:mostly": 1.0}, "WARNING: mine.py:mostly fails on"),
        ("number", {"accuracy": 1.0}, "WARNING: mine.py:number fails on"),
        ("no", {"accuracy": 1.0}, "WARNING: mine.py:no finds none of 1 golds' own answers right"),
    ],
)
def test_what_may_be_meant_is_said(
    pool: VerifierPool, verifier: str | None, weights: dict[str, float], said: str
) -> None:
    lines: list[str] = []
    check_canaries(TEMPLATE, [problem(verifier)], weights, pool, say=lines.append)
    assert len([line for line in lines if said in line]) == 1, lines


def test_failures_are_listed_cut_back_and_stop_the_run_when_nothing_is_left(tmp_path: Path) -> None:
    log = FailureLog(tmp_path)
    log.write(1, collected(4, failures=0))
    assert not (tmp_path / FAILURES).exists()
    log.write(1, collected(4, failures=3))
    with pytest.raises(LearningError, match=r"mine.py:f gave nothing for any of the 4 completions of step 2.*KeyError"):
        log.write(2, collected(4, failures=4))
    assert len((tmp_path / FAILURES).read_text().splitlines()) == 7
    again = FailureLog(tmp_path)
    again.truncate_after(1)
    assert len((tmp_path / FAILURES).read_text().splitlines()) == 3


def test_a_verifier_that_fails_whenever_it_is_called_stops_the_run(tmp_path: Path) -> None:
    """It is not called where there is no answer, so that hardly ever all completions are its failures."""
    log = FailureLog(tmp_path)
    log.write(1, collected(8, failures=3, calls=3))  # of three calls nothing can be said
    log.write(2, collected(8, failures=5, calls=6))
    with pytest.raises(LearningError, match="gave nothing for any of the 5 completions of step 3"):
        log.write(3, collected(8, failures=5, calls=5))


def collected(completions: int, failures: int, calls: int | None = None) -> Collected:
    failure = Failure(function=NAME, cause="exception", reason="mine.py:3: KeyError", traceback="Traceback")
    return Collected(
        groups=(Group(rollouts=tuple(rollout(0.0) for _ in range(completions))),),
        metrics={},
        failures=tuple(OwnFailure(problem="p", seed=i, failure=failure) for i in range(failures)),
        calls={} if calls is None else {NAME: calls},
    )


def test_a_called_value_is_looked_up_by_its_name() -> None:
    judged = written(problem(), "</think> <answer>7</answer>")
    assert score(judged, {NAME: 0.5}, {NAME: Called(value=0.5)}) == ({NAME: 0.5}, 0.25)
    assert score(judged, {NAME: 0.5}, {NAME: Called(value=None)}) == ({NAME: None}, 0.0)


def test_an_own_reward_can_be_set_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nstages:\n  zero: {kind: rl, model: micro, steps: 1, problems: [{source: micro}]}\n")
    recipe = load_recipe(path, ["stages.zero.rewards.accuracy=1", "stages.zero.rewards.rewards.py:brevity=0.2"])
    assert recipe.stages["zero"].model_dump()["rewards"] == {"accuracy": 1.0, "rewards.py:brevity": 0.2}
    assert recipe.home == tmp_path


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("rewards: {accuracy: 1}, problems: [{source: file, path: x.jsonl, gold: check.py}]", "names no function"),
        ("rewards: {accuracy: 1}, problems: [{source: file, path: x.jsonl, gold: 'check.py:'}]", "names no function"),
        ("problems: [{source: file, path: x.jsonl, gold: maths}]", "did you mean 'math'"),
        ("problems: [{source: python, file: x.py, function: 'a b'}]", "problems.0.function"),
        ("problems: [{source: python}]", "needs 'file'"),
        (
            "problems: [{source: micro}], held_out: {problems: [{source: micro}], metrics: [brevity]}",
            "names no function",
        ),
    ],
)
def test_a_recipe_with_other_names_is_said_with_its_line(tmp_path: Path, stage: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nstages:\n  zero: {{kind: rl, model: micro, steps: 1, {stage}}}\n")
    with pytest.raises(RecipeError, match=rf"mine.yaml:3: .*{said}"):
        load_recipe(path)
