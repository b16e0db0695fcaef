"""Evaluations end to end: scripted completions with known scores, and a real tiny model through the local engine."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ponder.errors import DataError, RecipeError
from ponder.evaluation import Scores, read_results, read_scores
from ponder.evaluation.command import evaluate_command
from ponder.evaluation.evaluate import evaluate, replay
from ponder.policy import Policy, random_policy, save_policy
from ponder.recipe.compute import ComputePlan
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, FinishReason, MathGold, Message, Problem, Talk
from ponder.rollout import LocalEngine, OnFinish, OnProgress, Request
from ponder.verify.pool import VerifierPool

SAMPLING = Sampling(temperature=0.6, top_p=0.95, max_tokens=12)


@pytest.fixture(scope="module")
def policy() -> Policy:
    words = ["<pad>", "<eos>", "<think>", "</think>", "<answer>", "</answer>", "wait", *map(str, range(20))]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<eos>", pad_token="<pad>")
    architecture = {
        "model_type": "qwen2",
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 160,
    }
    return random_policy(architecture, tokenizer, "r1-zero", seed=1, precision="fp32", device="cpu")


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=1, deadline_seconds=30) as pool:
        yield pool


def problem(name: str, gold: str = "5") -> Problem:
    message = Message(role="user", content=f"question {name}")
    return Problem(id=name, messages=(message,), gold=MathGold(answer=gold), domain="math")


class Scripted:
    """Says what it was told to, the last completion first, as engines may."""

    def __init__(self, texts: dict[str, list[tuple[str, FinishReason]]]) -> None:
        self._texts = texts
        self.requests: list[Request] = []

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[tuple[Completion, ...]]:
        self.requests = list(requests)
        found = [tuple(self._completion(r, i, weight_version) for i in range(len(r.seeds))) for r in requests]
        for request, group in reversed(list(zip(requests, found, strict=True))):
            for index in reversed(range(len(group))):
                if on_finish is not None:
                    on_finish(request.key, index, group[index])
        return found

    def _completion(self, request: Request, index: int, version: int) -> Completion:
        text, finish = self._texts[request.key][index]
        ids = tuple(range(len(text.split())))
        return Completion(
            token_ids=ids,
            logprobs=(0.0,) * len(ids),
            text=text,
            finish_reason=finish,
            weight_version=version,
            seed=request.seeds[index],
        )


CUT: tuple[str, FinishReason] = ("<think> so <answer> 5", "length")
SCRIPT: dict[str, list[tuple[str, FinishReason]]] = {
    "a": [
        ("<think> so </think> <answer> 5 </answer>", "stop"),
        CUT,
        ("<think> so </think> <answer> 6 </answer>", "stop"),
    ],
    "b": [("<think> so </think> <answer> 5.0 </answer>", "stop")] * 3,
}


def run(policy: Policy, pool: VerifierPool, log: Path | None, engine: Scripted | None = None) -> Scores:
    engine = engine or Scripted(SCRIPT)
    return evaluate(
        policy.voice(),
        engine,
        [problem("a"), problem("b")],
        samples=3,
        sampling=SAMPLING,
        pool=pool,
        seed=4,
        model="scripted",
        weight_version=9,
        log=log,
    )


class Failing(Scripted):
    """Whoever answered in the third conversation of `b` failed."""

    def _completion(self, request: Request, index: int, version: int) -> Completion:
        made = super()._completion(request, index, version)
        if (request.key, index) != ("b", 2):
            return made
        spans = ((0, len(made.token_ids)),)
        talk = Talk(messages=(), spans=spans, failure="game.py:3: Guess raises KeyError", failed_by="game.py:Guess")
        return replace(made, talk=talk, finish_reason="length")


def test_a_conversation_in_which_others_failed_is_not_wrong(policy: Policy, pool: VerifierPool, tmp_path: Path) -> None:
    scores = run(policy, pool, tmp_path / "c.jsonl", Failing(SCRIPT))
    verdict = read_results(tmp_path / "c.jsonl")[1][1].samples[2].verdict
    assert (verdict.outcome, verdict.reason) == ("cannot_tell", "game.py:3: Guess raises KeyError")
    assert scores.overall.cannot_tell == pytest.approx(1 / 6)


def test_scores_files_and_provenance(policy: Policy, pool: VerifierPool, tmp_path: Path) -> None:
    scores = run(policy, pool, tmp_path / "c.jsonl")
    assert scores.accuracy == {"a": pytest.approx(1 / 3), "b": 1.0}
    assert scores.overall.truncated == scores.overall.empty_answer == pytest.approx(1 / 6)
    assert scores.overall.format_ok == pytest.approx(5 / 6)
    assert scores.invalid is not None
    for name in (
        "template",
        "sampling",
        "seed",
        "versions",
        "dtype",
        "problems_sha256",
        "samples",
        "stop_ids",
        "model",
    ):
        assert name in scores.provenance
    provenance, results = read_results(tmp_path / "c.jsonl")
    assert provenance == json.loads(json.dumps(scores.provenance))
    assert [result.problem.id for result in results] == ["a", "b"]
    assert [s.finish_reason for s in results[0].samples] == ["stop", "length", "stop"]
    assert [s.verdict.outcome for s in results[0].samples] == ["right", "wrong", "wrong"]
    assert all(s.verdict.reason for result in results for s in result.samples)


def test_seeds_belong_to_the_problem_and_the_sample(policy: Policy, pool: VerifierPool) -> None:
    first, second = Scripted(SCRIPT), Scripted(SCRIPT)
    run(policy, pool, None, first)
    evaluate(
        policy.voice(),
        second,
        [problem("b")],
        samples=3,
        sampling=SAMPLING,
        pool=pool,
        seed=4,
        model="scripted",
    )
    assert len({seed for request in first.requests for seed in request.seeds}) == 6
    assert second.requests[0].seeds == first.requests[1].seeds


def test_replay_gives_the_same_and_judges_anew(policy: Policy, pool: VerifierPool, tmp_path: Path) -> None:
    log = tmp_path / "c.jsonl"
    scores = run(policy, pool, log)
    again = replay(log, pool, tmp_path / "again.jsonl")
    assert (again.overall, again.by, again.accuracy) == (scores.overall, scores.by, scores.accuracy)
    assert again.provenance["replayed"] == str(log)
    log.write_text(log.read_text().replace('"gold":{"answer":"5"', '"gold":{"answer":"6"'))
    assert replay(log, pool).accuracy == {"a": pytest.approx(1 / 3), "b": 0.0}
    with pytest.raises(DataError, match="would overwrite it"):
        replay(log, pool, log)


@pytest.mark.parametrize(
    ("problems", "words"),
    [
        ([], "at least one problem"),
        ([problem("a"), problem("a")], "different id for every problem"),
        (
            [Problem(id="x", messages=(Message(role="user", content="?"),), gold=None, domain="chat")],
            "1 of 1 have none, such as 'x'",
        ),
        (
            [
                Problem(
                    id="x", messages=(Message(role="user", content="1 " * 200),), gold=MathGold(answer="5"), domain="m"
                )
            ],
            "prompt of problem 'x' has .* tokens, but the model's window holds 160",
        ),
    ],
)
def test_bad_problems(policy: Policy, pool: VerifierPool, problems: list[Problem], words: str) -> None:
    with pytest.raises(DataError, match=words):
        evaluate(policy.voice(), Scripted({}), problems, samples=1, sampling=SAMPLING, pool=pool, seed=0, model="m")


def test_a_real_model_twice_the_same(policy: Policy, pool: VerifierPool, tmp_path: Path) -> None:
    problems = [problem(str(i), gold=str(i)) for i in range(4)]
    seen: list[tuple[int, int]] = []
    logs = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    found = [
        evaluate(
            policy.voice(),
            LocalEngine(policy, 8, lanes=1),
            problems,
            samples=4,
            sampling=SAMPLING,
            pool=pool,
            seed=2,
            model="tiny",
            log=log,
            progress=lambda done, total, pace: once(seen, done, total),
        )
        for log in logs
    ]
    assert found[0] == found[1]
    assert logs[0].read_bytes() == logs[1].read_bytes()
    assert seen == [(i, 16) for i in range(1, 17)] * 2
    assert 1 <= found[0].overall.mean_tokens <= 12


def once(seen: list[tuple[int, int]], done: int, total: int) -> None:
    """Told more often where drawing takes longer."""
    if done and (done, total) not in seen[-1:]:
        seen.append((done, total))


class Killed(LocalEngine):
    """Stops in the middle of a call, as a killed process does."""

    calls = 0

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[tuple[Completion, ...]]:
        self.calls += 1
        found = super().generate(requests, sampling, max_tokens, weight_version, None, None)
        for request, group in list(zip(requests, found, strict=True))[: 1 if self.calls == 3 else None]:
            for index, completion in enumerate(group):
                assert on_finish is not None
                on_finish(request.key, index, completion)
        if self.calls == 3:
            raise KeyboardInterrupt
        return found


@pytest.mark.parametrize("tear", [0, 1, 40])
def test_a_killed_evaluation_goes_on_to_the_same_bytes(
    policy: Policy, pool: VerifierPool, tmp_path: Path, tear: int
) -> None:
    problems = [problem(str(i), gold=str(i)) for i in range(9)]

    def go(log: Path, engine: LocalEngine, seed: int = 2) -> Scores:
        return evaluate(
            policy.voice(),
            engine,
            problems,
            samples=3,
            sampling=SAMPLING,
            pool=pool,
            seed=seed,
            model="tiny",
            log=log,
            per_call=6,  # two problems a call
            go_on=True,
            progress=lambda done, total, pace: once(seen, done, total),
        )

    seen: list[tuple[int, int]] = []
    whole = go(tmp_path / "whole.jsonl", LocalEngine(policy, 8, lanes=1))
    log = tmp_path / "killed.jsonl"
    with pytest.raises(KeyboardInterrupt):
        go(log, Killed(policy, 8, lanes=1))
    if tear:
        log.write_bytes(log.read_bytes()[:-tear])
    stored = log.read_bytes().count(b"\n") - 1  # the fifth problem may have been judged or not
    kept = stored // 2 * 2
    assert kept == (4 if stored >= 4 else 2)
    seen.clear()
    engine = LocalEngine(policy, 8, lanes=1)
    assert go(log, engine) == whole
    assert log.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert seen[0] == (3 * kept + 1, 27)  # whole calls are kept, the one that was begun is made again
    seen.clear()
    assert go(log, engine) == whole and seen == []  # all is there
    assert go(log, engine, seed=3) != whole and len(seen) == 27  # another evaluation: nothing of the old one is taken


def test_the_command_on_a_model_folder(policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_policy(policy, tmp_path / "model")
    benchmark = tmp_path / "mine.jsonl"
    benchmark.write_text('{"prompt": "2 + 3", "answer": 5}\n{"prompt": "1 + 3", "answer": 4}\n{"prompt": "1"}\n')
    out = tmp_path / "out"
    evaluate_command(str(tmp_path / "model"), str(benchmark), samples=2, out=out, as_json=True)
    printed = capsys.readouterr()
    value = json.loads(printed.out)
    assert value["benchmark"] == "mine"
    assert (value["problems"], value["samples"], value["cons@16"]) == (2, 2, None)
    assert {"pass@1", "pass@1_interval", "mean_tokens", "truncated", "invalid", "by"} <= value.keys()
    assert "1 rows left out" in printed.err
    scores = read_scores(out / "scores.json")
    assert scores.overall.pass_at_1 == value["pass@1"]
    assert scores.provenance["rows_left_out"] == 1

    stored, again = out / "completions.jsonl", tmp_path / "again"
    evaluate_command(None, None, replay_file=stored, out=again, plan=ComputePlan(audit=True))
    assert (again / "computed.json").exists()
    (again / "scores.json").unlink()  # as if killed
    evaluate_command(None, None, replay_file=stored, out=again)
    assert "replay of" in capsys.readouterr().out
    assert read_scores(again / "scores.json").overall == scores.overall
    assert not (again / "computed.json").exists(), "of other verdicts"

    asked = (out / "completions.jsonl").read_bytes()
    evaluate_command(str(tmp_path / "model"), str(benchmark), samples=1, seed=7, out=out)
    assert (out / "earlier" / "completions.jsonl").read_bytes() == asked != (out / "completions.jsonl").read_bytes()
    assert read_scores(out / "earlier" / "scores.json").overall == scores.overall
    assert "is kept as" in capsys.readouterr().err

    evaluate_command(None, None, replay_file=out / "earlier" / "completions.jsonl", out=out)
    assert read_scores(out / "earlier-2" / "scores.json").provenance["seed"] == 7

    (out / "scores.json").unlink()
    part = b"".join(asked.splitlines(keepends=True)[:2])
    (out / "completions.jsonl").write_bytes(part)  # as if killed, and not this evaluation
    with pytest.warns(UserWarning, match="that was not finished: it is kept as"):
        evaluate_command(str(tmp_path / "model"), str(benchmark), samples=1, seed=9, out=out)
    assert (out / "completions.jsonl.earlier").read_bytes() == part

    (out / "completions.jsonl").write_bytes(part)
    evaluate_command(None, None, replay_file=out / "completions.jsonl")
    assert "holds 1 of 2 problems" in capsys.readouterr().err


def test_the_command_needs_a_model_and_a_benchmark() -> None:
    with pytest.raises(RecipeError, match="needs a model and one of --benchmark"):
        evaluate_command("micro", None)
    with pytest.raises(RecipeError, match="'simpleqa' needs a judge that reads answers"):
        evaluate_command("micro", "simpleqa")
    with pytest.raises(RecipeError, match="top-p above 0"):
        evaluate_command("micro", "micro", top_p=0.0)


@pytest.mark.parametrize(
    "option",
    [{"benchmark": "micro"}, {"samples": 2}, {"template": "r1"}, {"endpoint": "http://a/v1"}, {"key_env": "KEY"}],
)
def test_replay_takes_nothing_that_is_for_sampling(option: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--replay judges the stored completions again"):
        evaluate_command(None, **({"benchmark": None} | option), replay_file=tmp_path / "c.jsonl")
