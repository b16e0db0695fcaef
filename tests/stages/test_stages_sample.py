"""The sample stage on the embedded base: real sampling, killed and continued, tried with --smoke, and refused."""

import json
import time
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from chat_server import Action, ChatServer, said

from ponder.errors import RecipeError
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.records import Example, LabelledResponse, PreferencePair, from_json
from ponder.task import load_problems
from ponder.text.language import language_share
from ponder.verify import verify
from tests import command

TEXT = """\
name: cold
stages:
  data:
    kind: sample
    model: micro
    problems: [{source: micro, tasks: [equation, arithmetic], count: 24, seed: 5}]
    samples: 8
    sampling: {temperature: 1.0, max_tokens: 128}
    keep: {correct: true, readable: {}, one_language: 0.95, distinct: 2, min_tokens: 20}
    rewrite: {by: {kind: rule}, language: true, summary: true}
"""
FILES = ("examples.jsonl", "rejected.jsonl", "composition.json", "requests/samples.jsonl")


def write(tmp_path: Path, text: str = TEXT) -> Path:
    path = tmp_path / "cold.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def server() -> Iterator[ChatServer]:
    found = ChatServer()
    yield found
    found.close()


def go(path: Path, out: Path, *overrides: str, smoke: bool = False) -> dict[str, Any]:
    run(load_recipe(path, overrides), out, text=path.read_text(), smoke=smoke, say=lambda line: None)
    results = json.loads((out / "stages" / "data" / "manifest.json").read_text())["results"]
    assert isinstance(results, dict)
    return results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("cold")
    path = write(folder)
    return path, folder / "out", go(path, folder / "out")


def test_cold_start_data_without_a_teacher(made: tuple[Path, Path, dict[str, Any]]) -> None:
    path, out, results = made
    stage = load_recipe(path, ()).stages["data"]
    problems = {one.id: one for one in load_problems(stage.problems).problems}  # type: ignore[union-attr]
    rows = (out / "stages" / "data" / "examples.jsonl").read_text().splitlines()
    examples = [from_json(Example, json.loads(row)) for row in rows]
    assert len(examples) == results["kept"] > 5 and results["asked"] == 192
    for example in examples:
        problem = problems[example.id.rpartition("#")[0]]
        assert problem.gold is not None and verify(example.answer, problem.gold).outcome == "right"
        assert example.messages == problem.messages and example.origin == "data"
        assert example.answer.startswith("<answer>") and example.answer.endswith("</answer>")
        assert example.thinking and language_share(example.thinking, problem.language) in (None, 1.0)
    ids = [example.id.rpartition("#")[0] for example in examples]
    assert ids == sorted(ids, key=list(problems).index) and max(map(ids.count, ids)) == 2
    rejected = [json.loads(row) for row in (out / "stages" / "data" / "rejected.jsonl").read_text().splitlines()]
    assert len(examples) + len(rejected) == 192
    assert sum(results["rejected"].values()) == len(rejected)
    assert {one["reason"] for one in rejected} >= {"wrong", "too_short"}
    assert sum(part["count"] for part in results["composition"]) == len(examples)
    assert results["requests"]["samples"]["completion_tokens"] > 192


def test_killed_and_continued_ends_with_the_same_bytes(made: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    path, whole, _ = made
    broken = tmp_path / "broken"
    process = command.start("run", path, "--out", broken, session=True)
    deadline = time.monotonic() + 60
    log = broken / "stages" / "data" / "requests" / "samples.jsonl"
    while not log.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.kill_all()
    assert not (broken / "stages" / "data" / "done").exists()
    assert command.run("run", path, "--out", broken).returncode == 0
    for name in FILES:
        assert (broken / "stages" / "data" / name).read_bytes() == (whole / "stages" / "data" / name).read_bytes()


PAIRS = TEXT.partition("    keep:")[0] + "    output: pairs\n    pairs: {length_tolerance: null}\n"


def test_pairs_by_the_worlds_own_rule(tmp_path: Path) -> None:
    results = go(write(tmp_path, PAIRS), tmp_path / "out", "stages.data.problems.0.count=12")
    rows = (tmp_path / "out" / "stages" / "data" / "pairs.jsonl").read_text().splitlines()
    pairs = [from_json(PreferencePair, json.loads(row)) for row in rows]
    assert len(pairs) == results["kept"] > 2
    stage = load_recipe(tmp_path / "cold.yaml", ("stages.data.problems.0.count=12",)).stages["data"]
    problems = {one.messages: one for one in load_problems(stage.problems).problems}  # type: ignore[union-attr]
    for pair in pairs:
        gold = problems[pair.messages].gold
        assert gold is not None
        assert [verify(text, gold).outcome for text in (pair.chosen, pair.rejected)] == ["right", "wrong"]


@pytest.mark.parametrize(("output", "kind"), [("examples", Example), ("pairs", PreferencePair),
                                              ("labels", LabelledResponse)])  # fmt: skip
def test_smoke_leaves_something_for_later_stages(tmp_path: Path, output: str, kind: type[object]) -> None:
    text = f"""\
name: far
stages:
  data:
    kind: sample
    output: {output}
    endpoint: {{base_url: "http://nowhere.invalid/v1", model: teacher, api_key_env: NO_SUCH_KEY}}
    problems: [{{source: hub, id: nobody/nothing}}]
    samples: 64
"""
    if output != "examples":
        text += '    judge: {kind: endpoint, endpoint: {base_url: "http://nowhere.invalid/v1", model: judge}}\n'
    results = go(write(tmp_path, text), tmp_path / "out", smoke=True)
    rows = (tmp_path / "out" / "stages" / "data" / f"{output}.jsonl").read_text().splitlines()
    records = [from_json(kind, json.loads(row)) for row in rows]
    assert len(records) == results["kept"] == {"examples": 8, "pairs": 4, "labels": 8}[output]


def test_the_plan(tmp_path: Path) -> None:
    plan = describe_plan(load_recipe(write(tmp_path), ()), tmp_path / "out")
    assert "24 problems x 8 responses of at most 128 tokens from micro, made into examples" in plan
    assert "KV cache" in plan and "operations/s assumed" in plan
    teacher = TEXT.replace("    model: micro\n", "    endpoint: {base_url: 'https://a.b/v1', model: r1, "
                           "price_per_million_input: 1, price_per_million_output: 4}\n")  # fmt: skip
    plan = describe_plan(load_recipe(write(tmp_path, teacher), ()), tmp_path / "out")
    # 24 * 8 replies, each 200 tokens at 1 and a fifth of 128 tokens at 4 per million
    assert f"roughly {192 * (200 + 102.4) / 1e6:.2f} for 192 replies" in plan and "r1 at https://a.b/v1" in plan


def test_the_judge_is_asked_before_the_choice(server: ChatServer, tmp_path: Path) -> None:
    """One distinct answer is kept of those that the judge finds right, not the first whatever it says."""
    right: set[str] = set()

    def play(body: Mapping[str, Any], tries: int) -> Action:
        text = str(body["messages"][-1]["content"])
        is_right = sha256(text.encode()).digest()[0] % 2 == 0
        if is_right:
            right.add(text.partition("<answer>")[0])
        return said(json.dumps({"correctness": "correct" if is_right else "incorrect"}))

    server.play = play
    judged = TEXT.partition("    keep:")[0] + (
        "    keep: {judged: true, correct: false, distinct: 1}\n"
        f"    judge: {{kind: endpoint, endpoint: {{base_url: '{server.url}', model: judge, max_concurrency: 1}}}}\n"
    )
    results = go(write(tmp_path, judged), tmp_path / "out", "stages.data.problems.0.count=4", "stages.data.samples=4")
    assert results["kept"] == len(right) > 0, "one of every problem that has a right answer"
    assert len(server.requests) > 4, "not the chosen ones alone"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("stages.data.model=null",), "give one of them, got neither"),
        (("stages.data.endpoint={base_url: 'http://a/v1', model: m}",), "give one of them, got both"),
        (("stages.data.endpoint={base_url: a/v1, model: m}",), "base_url 'a/v1' is no address: expected http://"),
        (
            ("stages.data.endpoint={base_url: 'https://me:secret@host/v1', model: m}",),
            r"name or password before its host \('host/v1'\)",
        ),
        (
            ("stages.data.endpoint={base_url: 'http://a/v1/chat/completions', model: m}",),
            "leave /chat/completions out",
        ),
        (("stages.data.keep.judged=true",), "keep.judged needs a judge that reads"),
        (("stages.data.output=pairs",), "remove keep.correct, rewrite"),
        (("stages.data.output=labels", "stages.data.rewrite=null"), "remove keep.correct"),
        (("stages.data.keep.pass_rate=[0.9, 0.1]",), "least first"),
        (("stages.data.keep.min_tokens=10", "stages.data.keep.max_tokens=9"), "above max_tokens"),
        (("stages.data.rewrite={by: {kind: rule}}",), "nothing is rewritten"),
        (("stages.data.rewrite.solution=true",), "set one of them"),
        (("stages.data.rewrite={by: {kind: rule}, solution: true}",), "rule cannot write solutions"),
        (("stages.data.sampling.length_schedule=[{from_step: 1, max_tokens: 9}]",), "length_schedule"),
        (("stages.data.judge={kind: model, model: nothere}", "stages.data.keep.judged=true"), "refers to 'nothere'"),
        (("stages.data.judge={kind: model, model: micro}",), "the judge is asked nothing"),
        (("stages.data.keep.best_of=1", "stages.data.keep.rewards={acuracy: 1}"), "did you mean 'accuracy'"),
        (("stages.data.sampling.max_tokens=100000",), "window"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, change: tuple[str, ...], message: str) -> None:
    with pytest.raises((RecipeError, ValueError), match=message):
        go(write(tmp_path), tmp_path / "out", *change)
    assert not (tmp_path / "out").exists()


def test_settings_without_effect_do_not_refuse_a_finished_stage(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: said('{"correctness": "correct"}')
    text = TEXT.partition("    keep:")[0] + "    keep: {judged: true, correct: false}\n"
    path = write(tmp_path, f"{text}    judge: {{kind: endpoint, endpoint: {{base_url: '{server.url}', model: m}}}}\n")
    go(path, tmp_path / "out", "stages.data.problems.0.count=2")
    before = (tmp_path / "out" / "stages" / "data" / "manifest.json").read_bytes()
    go(path, tmp_path / "out", "stages.data.problems.0.count=2", "stages.data.judge.endpoint.retries=9")
    assert (tmp_path / "out" / "stages" / "data" / "manifest.json").read_bytes() == before
