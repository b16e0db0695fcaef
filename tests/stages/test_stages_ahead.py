"""An rl stage that draws ahead: which weights drew what, and the same bytes whatever is killed."""

import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from ponder.pipeline.run import run
from ponder.policy import load_policy
from ponder.recipe import load_recipe
from ponder.recipe.stages import EvaluateStage, RlStage, SampleStage
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.records import Rollout, WeightSpan
from ponder.rollout.lane import Lane, Step
from ponder.train import Sample, Trainer
from ponder.watch import read_metrics
from ponder.watch.losses import read_losses
from ponder.watch.rollouts import LoggedRollout, read_rollouts
from ponder.workers import weights
from ponder.workers.worker import Worker
from tests import command

LIVES = Path(__file__).parent / "lives.py"
PROBLEMS = [{"source": "micro", "tasks": ["equation"], "count": 50}]
RECIPE = """
name: ahead
stages:
  zero:
    kind: rl
    model: micro
    template: r1-zero
    problems: [{source: micro, tasks: [equation], count: 50}]
    steps: 6
    problems_per_step: 3
    group_size: 4
    sampling: {temperature: 1.0, max_tokens: 32}
    optimizer: {lr: 3.0e-4}
    precision: fp32
    keep_checkpoints: 9
"""
ONE = "    engine: {lag: 1}\n    updates_per_rollout: 2\n    checkpoint_every: 2\n"
# Problems drawn by what rollouts showed, groups sampled again, ratios to the trainer: all that a rollout can depend on.
TWO = """    engine: {lag: 2}
    checkpoint_every: 2
    sampler: {by: solve_rate}
    objective: {preset: dapo, mismatch_cap: 2}
"""


def trained(recipe: str, folder: Path, *overrides: str, on: str | None = None) -> tuple[Path, str]:
    """The stage's folder, and all that it said."""
    path = folder / "recipe.yaml"
    path.write_text(RECIPE + recipe)
    said: list[str] = []
    run(load_recipe(path, overrides), folder / "run", text=path.read_text(), on=on, say=said.append)
    return folder / "run" / "stages" / "zero", "\n".join(said)


def log(stage: Path) -> list[LoggedRollout]:
    return list(read_rollouts(stage))


def versions(stage: Path) -> list[int]:
    """The version of the weights after each step, 0 included: a step without a useful group makes no update."""
    return [0, *accumulate(int("optimizer/lr" in row) for row in read_metrics(stage))]


def assert_same(first: Path, second: Path) -> None:
    expected, got = (load_file(stage / "model" / "model.safetensors") for stage in (first, second))
    assert expected.keys() == got.keys() and all(torch.equal(expected[name], got[name]) for name in expected)
    name = Path("rollouts") / "rollouts-000000.jsonl"
    assert (first / name).read_bytes() == (second / name).read_bytes()


def samples(rollouts: list[Rollout]) -> list[Sample]:
    return [
        Sample(
            prompt_ids=one.prompt_ids,
            response_ids=one.completion.token_ids,
            group=str(i),
            weight=0.0,
            behaviour=one.completion.logprobs,
        )
        for i, one in enumerate(rollouts)
    ]


def assert_drawn_by_the_weights_that_lag_says(stage: Path) -> None:
    """Rollouts begin after steps 0, 2 and 4, and the weights of the rollout before drew each: what the log says of a
    token is what these weights, loaded from their checkpoint, say."""
    found, made = log(stage), versions(stage)
    drawn_by = {one.step: one.rollout.completion.weight_version for one in found}
    assert drawn_by == {1: 0, 3: 0, 5: made[2]} and made[2] == 2
    stale = [row["policy/staleness"] for row in read_metrics(stage)]
    assert stale == [made[step] - drawn_by[step // 2 * 2 + 1] for step in range(6)]
    assert stale[:4] == [0, 1, 2, 3]
    drawn_last = samples([one.rollout for one in found if one.step == 5])
    drawn = torch.cat([torch.tensor(list(sample.behaviour or ())) for sample in drawn_last])
    far = {}
    for step in (2, 4):
        policy = load_policy(stage / "checkpoints" / f"step-{step:08d}" / "model", precision="fp32")
        trainer = Trainer(policy, Optimizer(), BatchLimits())
        far[step] = float((torch.cat(trainer.logprobs(drawn_last)) - drawn).abs().mean())
    assert far[2] < 1e-5 < 1e-3 < far[4]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(ONE, tmp_path_factory.mktemp("whole"))[0]


def test_each_rollout_is_drawn_by_the_weights_that_lag_says(whole: Path) -> None:
    assert_drawn_by_the_weights_that_lag_says(whole)


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `whole`, drawn by an engine in a process of its own."""
    stage, said = trained(ONE, tmp_path_factory.mktemp("placed"), "stages.zero.engine.workers=1", on="local")
    assert "in 1 engine(s) in processes of their own: 2 to 3 updates old" in said
    return stage


def test_engines_in_processes_of_their_own_draw_ahead(placed: Path) -> None:
    assert_drawn_by_the_weights_that_lag_says(placed)
    assert not list(placed.rglob("*.safetensors.tmp")) and not list((placed / "weights").iterdir())


def test_an_engine_and_a_rank_that_are_lost_while_engines_draw_ahead_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an engine was to draw goes to another. With a rank the stage begins anew from its checkpoint; the engines
    stay, and what they draw for nobody is let go of."""
    (tmp_path / "first").mkdir()
    ranks = "stages.zero.batch={ranks: 2}"
    first, _ = trained(ONE, tmp_path / "first", "stages.zero.engine.workers=1", ranks, on="local")
    ahead, killed = 0, dict[str, int]()
    engines, begin = set[int](), Worker.begin

    def strike(self: Worker, verb: str, *given: Any, limit: float) -> None:
        nonlocal ahead
        begin(self, verb, *given, limit=limit)
        engines.add(engine := self.place.pids()[1])  # type: ignore[attr-defined]
        ahead += verb == "draw" and threading.current_thread() is not threading.main_thread()
        if ahead == 1 and "engine" not in killed:
            killed["engine"] = engine
            os.kill(engine, signal.SIGKILL)
        if ahead > 3 and "rank" not in killed:
            ranks = [one for one in psutil.Process().children() if "rank" in " ".join(one.cmdline())]
            killed["rank"] = next(one.pid for one in ranks if one.pid not in engines)
            os.kill(killed["rank"], signal.SIGKILL)

    monkeypatch.setattr(Worker, "begin", strike)
    second, said = trained(ONE, tmp_path, "stages.zero.engine.workers=2", ranks, on="local")
    assert killed.keys() == {"engine", "rank"} and "All start again from the last checkpoint" in said
    assert len(engines) == 3, "two, and one in place of the one that was killed"
    assert {loss.what.partition("-")[0] for loss in read_losses(second)} == {"engine", "ranks"}
    assert_same(first, second)


@pytest.mark.slow
@pytest.mark.parametrize(("on", "kills"), [((), 3), (("local",), 2)])
def test_killed_at_random_moments_everything_is_the_same(on: tuple[str, ...], kills: int, tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(RECIPE + TWO)
    done = command.run(path, tmp_path, kills, 5, *on, program=LIVES.read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    killed = json.loads(done.stdout.splitlines()[-1])
    assert sum(killed) == kills
    first = tmp_path / "whole" / "stages" / "zero"
    made = versions(first)
    assert all(one.rollout.completion.weight_version == made[max(0, one.step - 3)] for one in log(first))
    for number in range(1, len(killed) + 1):
        assert_same(first, tmp_path / f"killed-{number}" / "stages" / "zero")


def test_the_stage_goes_on_when_the_process_that_draws_is_killed(whole: Path, tmp_path: Path) -> None:
    path, lost = tmp_path / "recipe.yaml", "The process that draws ahead ended by the signal SIGKILL"
    path.write_text(RECIPE + ONE)
    for attempt in range(3):  # it may have drawn all that is wanted before it is found
        process = command.start("run", path, "--out", tmp_path / f"run-{attempt}")
        own = psutil.Process(process.pid)
        seen, drawing = Counter[int](), 0
        while not drawing:
            assert process.poll() is None
            for child in own.children():
                with suppress(psutil.NoSuchProcess):
                    seen[child.pid] += child.cmdline() == own.cmdline()
            # any child looks like this one between its fork and its exec, the one that draws does for good
            drawing = next((pid for pid, times in seen.items() if times >= 10), 0)
            time.sleep(0.05)
        os.kill(drawing, signal.SIGKILL)
        said = "".join(process.communicate())
        assert process.returncode == 0, said
        assert_same(whole, tmp_path / f"run-{attempt}" / "stages" / "zero")
        if lost in said:
            break
    assert lost in said


@pytest.mark.parametrize("on", [None, "local"])
def test_newer_weights_go_on_with_what_is_drawn_ahead(
    on: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `interrupt` completions are of several versions: what the log says of a token is what the weights of its
    span say, after all that stands before it. Nothing is older than lag says, and nothing is left behind."""
    monkeypatch.setattr(weights, "_LOOK_SECONDS", 0.0)
    step, own = Lane.step, os.getpid()

    def slow(self: Lane) -> Step:
        time.sleep(0.02 if os.getpid() != own else 0)
        return step(self)

    monkeypatch.setattr(Lane, "step", slow)
    stage, _ = trained(
        "    checkpoint_every: 1\n",
        tmp_path,
        "stages.zero.engine={lag: 1, interrupt: true, workers: 1}",
        "stages.zero.sampling.max_tokens=120",
        "stages.zero.problems_per_step=6",
        "stages.zero.steps=4",
        on=on,
    )
    made, found = versions(stage), log(stage)
    several = [one for one in found if one.rollout.completion.spans]
    assert several, "some were under way when weights were new"
    for one in found:
        completion = one.rollout.completion
        spans = completion.spans or (WeightSpan(version=completion.weight_version, stop=len(completion.token_ids)),)
        assert made[max(0, one.step - 2)] <= spans[0].version <= spans[-1].version <= made[one.step - 1]
    for version in sorted({span.version for one in several for span in one.rollout.completion.spans} - {0}):
        policy = load_policy(stage / "checkpoints" / f"step-{made.index(version):08d}" / "model", precision="fp32")
        said = Trainer(policy, Optimizer(), BatchLimits()).logprobs(samples([one.rollout for one in several]))
        for one, logprobs in zip(several, said, strict=True):
            start = 0
            for span in one.rollout.completion.spans:
                if span.version == version:
                    drawn = torch.tensor(list(one.rollout.completion.logprobs))[start : span.stop]
                    assert (logprobs[start : span.stop] - drawn).abs().max() < 1e-3
                start = span.stop
    assert not list((stage / "weights").iterdir())


def test_a_run_trained_longer_says_which_weights_draw_what_was_not_drawn(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole.parents[1], tmp_path / "run")
    stage, said = trained(ONE, tmp_path, "stages.zero.steps=10")
    assert "rollouts after step 6 that were to be drawn before are not on disk" in said
    drawn_by, made = {one.step: one.rollout.completion.weight_version for one in log(stage)}, versions(stage)
    assert drawn_by == {1: 0, 3: 0, 5: made[2], 7: made[6], 9: made[6]}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"engine": {"lag": 1}, "environment": {"tools": ["calculator"]}}, "conversations with an environment"),
        (
            {"engine": {"lag": 1}, "judged": {"by": {"kind": "model", "model": "micro"}}, "rewards": {"judged": 1}},
            "the model that gives the reward 'judged' judges in this process",
        ),
        ({"engine": {"lag": -1}}, "greater than or equal to 0"),
        ({"engine": {"interrupt": True}}, "with lag 0 nothing is drawn while it trains"),
    ],
)
def test_where_nothing_would_overlap_lag_is_refused(more: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        RlStage.model_validate({"model": "micro", "problems": PROBLEMS, "steps": 2, **more})


def test_stages_that_train_nothing_refuse_lag() -> None:
    with pytest.raises(ValidationError, match="nothing is trained while a `sample` stage draws"):
        SampleStage.model_validate({"model": "micro", "problems": PROBLEMS, "engine": {"lag": 1}})
    with pytest.raises(ValidationError, match="nothing is trained while models are measured"):
        EvaluateStage.model_validate({"models": ["micro"], "benchmarks": ["micro"], "engine": {"lag": 1}})
