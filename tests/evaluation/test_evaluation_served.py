"""A model at an endpoint is measured like one of our own: the same verdicts, intervals and files, and what it cost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.ask.form import RequestForm
from ponder.ask.reply import read_reply
from ponder.errors import DataError, EndpointError, ModelError, PonderError, RecipeError
from ponder.evaluation.command import evaluate_command
from ponder.evaluation.estimate import bootstrap_interval
from ponder.evaluation.results import read_results
from ponder.evaluation.scores import read_scores
from ponder.evaluation.served_command import read_endpoint
from ponder.recipe.compute import ComputePlan
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.rollout import Sampling
from ponder.seeds import derive_seed
from tests.chat_server import Action, ChatServer, said

BEST = {"plan": ComputePlan(best_of=2), "scorer": "no/such/scorer"}
BENCHMARK = "name: sums\nsamples: 2\nmax_tokens: 64\nproblems: [{{source: file, path: {}}}]\n"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    found = ChatServer()
    yield found
    found.close()


@pytest.fixture
def benchmark(tmp_path: Path) -> str:
    rows = [{"prompt": f"{i} + 3 = ?", "answer": str(i + 3)} for i in range(5)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "sums.yaml").write_text(BENCHMARK.format(tmp_path / "sums.jsonl"))
    return str(tmp_path / "sums.yaml")


def answer(body: Any) -> int:
    return int(body["messages"][-1]["content"].split()[0]) + 3


def plays(body: Any, tries: int) -> Action:
    """Every form of reply: thinking apart, between tags, none; one cut in its thinking; one wrong."""
    right = answer(body)
    return [
        said(f"The answer is {right}.", reasoning_content="Let me add."),
        said(f"<think>Let me add.</think>The answer is {right}."),
        said(f"The answer is {right}."),
        said("", finish="length", reasoning_content="Let me add, and add"),
        said(f"The answer is {right + 1}."),
    ][right - 3]


def measured(server: ChatServer, benchmark: str, out: Path, **options: Any) -> Any:
    evaluate_command("teacher", benchmark, out=out, endpoint=server.url, as_json=True, seed=3, **options)
    return read_scores(out / "scores.json")


def test_scores_are_those_of_what_the_server_said(server: ChatServer, benchmark: str, tmp_path: Path) -> None:
    server.play = plays
    scores = measured(server, benchmark, tmp_path / "out")
    assert list(scores.accuracy.values()) == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert scores.overall.pass_at_1 == pytest.approx(0.6)
    wanted = bootstrap_interval([1.0, 1.0, 1.0, 0.0, 0.0], seed=derive_seed(3, "score"))
    assert scores.overall.interval == pytest.approx(wanted)
    assert (scores.overall.truncated, scores.overall.empty_answer) == pytest.approx((0.2, 0.2))
    assert scores.overall.mean_tokens == 5.0
    assert len(server.requests) == 10 and server.requests[0]["max_tokens"] == 64
    provenance, results = read_results(tmp_path / "out/completions.jsonl")
    assert results[0].samples[0].text == results[1].samples[0].text.replace("4", "3") != ""
    assert results[3].samples[0].text == "<think>\nLet me add, and add"
    assert provenance["endpoint"] == {"base_url": server.url, "model": "teacher"}
    assert provenance["requests"]["prompt_tokens"] == 70


def test_it_can_be_judged_again_without_the_server(server: ChatServer, benchmark: str, tmp_path: Path) -> None:
    server.play = plays
    scores = measured(server, benchmark, tmp_path / "out")
    evaluate_command(None, None, replay_file=tmp_path / "out/completions.jsonl", out=tmp_path / "again", as_json=True)
    again = read_scores(tmp_path / "again/scores.json")
    assert (again.overall, again.accuracy) == (scores.overall, scores.accuracy)


def test_a_reply_is_paid_once(server: ChatServer, benchmark: str, tmp_path: Path) -> None:
    server.play = lambda body, tries: said("x") if answer(body) < 6 else Action(status=400, body="no such parameter")
    with pytest.raises(EndpointError, match=r"4 of 10 requests .* failed"):
        measured(server, benchmark, tmp_path / "out")
    assert not (tmp_path / "out/scores.json").exists()
    before = len(server.requests)
    server.play = lambda body, tries: said(str(answer(body)))
    scores = measured(server, benchmark, tmp_path / "out")
    assert len(server.requests) == before + 4, "only those that failed"
    assert list(scores.accuracy.values()) == [0.0, 0.0, 0.0, 1.0, 1.0]


def test_what_fails_for_good_counts_as_no_answer_and_is_said(
    server: ChatServer, benchmark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Action(body=said("5", finish="content_filter").body)
    server.play = lambda body, tries: bad if answer(body) == 3 else said(str(answer(body)))
    file = tmp_path / "server.yaml"
    file.write_text(
        f"base_url: {server.url}\nmodel: teacher\nmax_failures: 0.5\nretries: 0\n"
        "price_per_million_input: 2\nprice_per_million_output: 10\n"
    )
    evaluate_command(None, benchmark, out=tmp_path / "out", endpoint=str(file))
    scores = read_scores(tmp_path / "out/scores.json")
    assert list(scores.accuracy.values()) == [0.0, 1.0, 1.0, 1.0, 1.0]
    cost = 8 * (7 * 2 + 5 * 10) / 1e6
    assert scores.provenance["requests"]["cost"] == pytest.approx(cost)
    shown = capsys.readouterr().out
    assert f"cost {cost:.4f}" in shown and "2 failed, which count as no answer" in shown


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 600}}, 600),
        ({"prompt_cache_hit_tokens": 600, "prompt_cache_miss_tokens": 400}, 600),
        ({"cached_tokens": 600}, 600),
        ({"prompt_tokens_details": None}, None),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, 0),
        ({"cached_tokens": 2000}, None),  # more than there are is no count
        ({"cached_tokens": "many"}, None),
    ],
)
def test_what_the_cache_had_is_paid_by_its_own_price(usage: dict[str, Any], cached: int | None) -> None:
    choice = {"message": {"content": "5"}, "finish_reason": "stop"}
    counts = {"prompt_tokens": 1000, "completion_tokens": 100, **usage}
    reply = read_reply(json.dumps({"choices": [choice], "usage": counts}), max_tokens=200)
    assert reply.cached_tokens == cached
    prices = {"price_per_million_input": 2.0, "price_per_million_output": 10.0}

    def cost(**more: float) -> float | None:
        endpoint = Endpoint(base_url="http://localhost/v1", model="m", **{**prices, **more})  # type: ignore[arg-type]
        return RequestForm(endpoint, Sampling(max_tokens=200), 0).priced(reply).cost

    hits = cached or 0
    assert cost(price_per_million_cached_input=0.5) == pytest.approx((2 * (1000 - hits) + 0.5 * hits + 1000) / 1e6)
    assert cost() == pytest.approx((2 * 1000 + 1000) / 1e6)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"model": None, "endpoint": "http://localhost:1/v1"}, RecipeError, "name the one to measure"),
        ({"model": "m", "endpoint": "http://localhost:1/v1", "template": "r1"}, RecipeError, "its own template"),
        ({"model": "m", "key_env": "KEY"}, RecipeError, "goes with --endpoint"),
        ({"model": "m", "endpoint": "no/such/file.yaml"}, PonderError, "no/such/file.yaml"),
        ({"model": "m", "endpoint": "http://localhost:1/v1", **BEST}, ModelError, "no/such/scorer"),
        ({"model": "micro", **BEST}, ModelError, "no/such/scorer"),
    ],
)
def test_what_does_not_go_together(
    options: dict[str, Any], error: type[Exception], said: str, benchmark: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        evaluate_command(benchmark=benchmark, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base_url: http://localhost/v1\nmodle: x\n", r"modle.*did you mean"),
        ("model: m\n", "the endpoint needs 'base_url'"),
        ("- a\n", "the endpoint: expected keys, got a list"),
        ("", "the endpoint: expected keys, got an empty file"),
        (None, "is no address, which begins with http:// or https://, and there is no such file"),
    ],
)
def test_a_file_that_is_no_endpoint(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(RecipeError, match=words) as found:
        read_endpoint(str(tmp_path / "e.yaml"), "m", None)
    assert "recipe is" not in str(found.value) and "no recipe" not in str(found.value)


def test_problems_without_gold_are_refused_before_anything_is_asked(server: ChatServer, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "a"}\n')
    (tmp_path / "b.yaml").write_text(
        f"name: b\nsamples: 1\nmax_tokens: 8\nproblems: [{{source: file, path: {tmp_path / 'p.jsonl'}, gold: null}}]\n"
    )
    with pytest.raises((DataError, RecipeError)):
        evaluate_command("m", str(tmp_path / "b.yaml"), out=tmp_path / "out", endpoint=server.url)
    assert server.requests == []
