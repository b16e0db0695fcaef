"""Votes, checks, retries, audits and budgets over HTTP, each against a count of one's own."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ponder.ask.stream import Comment
from ponder.evaluation.results import JudgedCompletion, ProblemResult
from ponder.evaluation.scores import score
from ponder.policy import Policy, load_policy
from ponder.policy.scorer import Scorer
from ponder.policy.scorer_load import load_scorer, new_scorer, save_scorer
from ponder.recipe.rollout import Sampling
from ponder.records import ExpressionGold, Message, Problem
from ponder.rollout import LocalEngine, Request
from ponder.rollout.thoughts import closing_ids
from ponder.seeds import derive_seed
from ponder.serve.conversation import Node
from ponder.serve.said import Said
from ponder.text.template import Template
from ponder.verify import verify
from ponder.verify.claims import find_claims
from tests.serve.conftest import Running, serving

COUNTDOWN = "Using the numbers {numbers}, make {target}. Use each number exactly once."
CASES = [((3, 4), 7), ((17, 25), 42), ((2, 3), 6), ((9, 5), 4)]


def ask(numbers: tuple[int, ...], target: int) -> str:
    return COUNTDOWN.format(numbers=list(numbers), target=target)


def check(numbers: tuple[int, ...], target: int) -> dict[str, Any]:
    return {"kind": "expression", "numbers": list(numbers), "target": target}


def is_right(text: str, numbers: tuple[int, ...], target: int) -> bool:
    """Python's own arithmetic on an expression and nothing else."""
    if not re.fullmatch(r"[\d+*/() -]+", text.strip()) or Counter(map(int, re.findall(r"\d+", text))) != Counter(
        numbers
    ):
        return False
    try:
        return bool(eval(re.sub(r"(\d+)", r"Fraction(\1)", text.strip()), {"Fraction": Fraction}) == target)
    except (ArithmeticError, SyntaxError, TypeError):
        return False


def is_expression(text: str | None) -> bool:
    """Whether it is a sum or a product of whole numbers."""
    return text is not None and re.fullmatch(r"\d+([-+*]\d+)+", text) is not None


@pytest.fixture(scope="module")
def micro() -> Policy:
    return load_policy("micro", precision="fp32", device="cpu")


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scorer]:
    folder = tmp_path_factory.mktemp("scorer")
    policy = load_policy("micro", precision="fp32", device="cpu")
    made = new_scorer(policy, loss="pairwise", scope="answer", base="micro", max_tokens=256, seed=1)
    save_scorer(made, folder)
    return folder, load_scorer(folder, precision="fp32", device="cpu")


@pytest.fixture(scope="module")
def server(scorer: tuple[Path, Scorer]) -> Iterator[Running]:
    with serving("precision=fp32", f"scorer={scorer[0]}", "max_tokens=60") as running:
        yield running


def test_a_vote_is_a_count_of_its_samples(server: Running) -> None:
    reply = server.chat(ask((3, 4), 7), seed=3, ponder={"vote": 12, "stop_early": False, "samples": True})
    vote, samples, usage = reply["ponder"]["vote"], reply["ponder"]["samples"], reply["usage"]
    counts = Counter(one["cluster"] for one in samples if one["cluster"])
    assert len(samples) == vote["of"] == vote["done"] == 12
    assert vote["counts"] == dict(counts) and vote["votes"] == max(counts.values(), default=0)
    assert vote["share"] == vote["votes"] / 12
    assert usage["completion_tokens"] == sum(one["tokens"] for one in samples)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == sum(one["thinking_tokens"] for one in samples)
    (choice,) = reply["choices"]
    shortest = min((o for o in samples if o["answer"] == vote["answer"]), key=lambda o: (o["tokens"], o["sample"]))
    assert choice["index"] == 0 and choice["message"]["content"] == shortest["content"]


def test_a_vote_reads_its_prompt_once(server: Running, micro: Policy) -> None:
    text = "Seven and twelve, all of it together, please."
    reply = server.chat(text, seed=1, max_tokens=8, ponder={"vote": 64})
    ids = micro.template.encode(micro.tokenizer, [Message(role="user", content=text)])
    assert reply["usage"]["prompt_tokens"] == len(ids)
    again = server.chat(text, seed=2, max_tokens=8, ponder={"vote": 64})
    assert again["usage"]["prompt_cache_hit_tokens"] == (len(ids) - 1) // 32 * 32


def test_a_vote_of_16_is_the_consensus_of_an_evaluation(server: Running, micro: Policy) -> None:
    """The same seeds sampled by the engine of `ponder eval`, judged and scored as it does."""
    engine, sampling = LocalEngine(micro, 64), Sampling(temperature=0.6, top_p=0.95)
    for numbers, target in CASES[:2]:
        message, gold = (
            Message(role="user", content=ask(numbers, target)),
            ExpressionGold(numbers=numbers, target=target),
        )
        ids = micro.template.encode(micro.tokenizer, [message])
        seeds = tuple(derive_seed(5, "serve", *ids, i) for i in range(16))
        (group,) = engine.generate([Request(prompt_ids=ids, seeds=seeds, key="x")], sampling, 60, 0)
        result = _judged(Problem(id="x", messages=(message,), gold=gold, domain="countdown"), group, micro.template)
        consensus = score([result], micro.template, {}, 0).overall.cons_at[16]
        asked = {"vote": 16, "check": check(numbers, target)}
        own = server.chat(message.content, seed=5, ponder=asked | {"stop_early": False, "samples": True})["ponder"]
        leaders = [name for name, count in own["vote"]["counts"].items() if count == own["vote"]["votes"]]
        right = [is_right(name, numbers, target) for name in leaders]
        assert consensus == (sum(right) / len(right) if right else 0.0)
        assert [one["answer"] for one in own["samples"]] == [one.verdict.answer for one in result.samples]
        early = server.chat(message.content, seed=5, ponder=asked)["ponder"]
        assert early["vote"]["answer"] == own["vote"]["answer"]
        assert early["check"]["outcome"] == own["check"]["outcome"]


def _judged(problem: Problem, group: Any, template: Template) -> ProblemResult:
    assert problem.gold is not None
    samples = []
    for one in group:
        response = template.split(one.text, finished=one.finish_reason == "stop")
        verdict = verify(response.answer or "", problem.gold)
        fields = {"text": one.text, "tokens": len(one.token_ids), "finish_reason": one.finish_reason, "seed": one.seed}
        samples.append(JudgedCompletion(verdict=verdict, **fields))
    return ProblemResult(problem=problem, samples=tuple(samples))


def test_no_green_badge_on_a_wrong_answer(server: Running) -> None:
    """Every sample's check against Python's own arithmetic; `benchmarks/badges.py` does so for 1,000 problems."""
    text, asked = ask((3, 4), 7), {"vote": 8, "stop_early": False, "samples": True}
    voted = server.chat(text, seed=3, ponder=asked)["ponder"]["samples"]
    solved = next(one["answer"] for one in voted if is_expression(one["answer"]))
    numbers, target = tuple(map(int, re.findall(r"\d+", solved))), int(eval(solved))
    outcomes: Counter[str] = Counter()
    reply = server.chat(text, seed=3, ponder=asked | {"check": check(numbers, target)})
    for one in reply["ponder"]["samples"]:
        outcomes[one["check"]["outcome"]] += 1
        assert (one["check"]["outcome"] == "right") == is_right(one["answer"] or "", numbers, target), one
    answer, badge = reply["choices"][0]["message"]["content"], reply["ponder"]["check"]["outcome"]
    assert (badge == "right") == is_right(answer, numbers, target)
    assert outcomes["right"] > 0 and outcomes["wrong"] > 0, outcomes


def test_retries_end_with_the_first_right_answer(server: Running) -> None:
    """The same seeds as of a vote, and a problem that its fourth different answer solves."""
    text = ask((3, 4), 7)
    voted = server.chat(text, seed=3, ponder={"vote": 8, "stop_early": False, "samples": True})["ponder"]["samples"]
    answers = list(dict.fromkeys(one["answer"] for one in voted if is_expression(one["answer"])))
    solved = answers[-1]
    numbers, target = tuple(map(int, re.findall(r"\d+", solved))), Fraction(eval(solved))
    assert target.denominator == 1
    made = next(i for i, one in enumerate(voted) if is_right(one["answer"] or "", numbers, int(target)))
    asked = {"retries": 7, "check": check(numbers, int(target)), "samples": True}
    reply = server.chat(text, seed=3, ponder=asked)
    own = reply["ponder"]
    assert own["retries"] == {"made": made, "most": 7, "sample": made} and made > 0
    assert [one["content"] for one in own["samples"]] == [one["content"] for one in voted[: made + 1]]
    assert [one["check"]["outcome"] == "right" for one in own["samples"]] == [False] * made + [True]
    assert own["check"]["outcome"] == "right" and reply["choices"][0]["message"]["content"] == voted[made]["content"]
    assert reply["usage"]["completion_tokens"] == sum(one["tokens"] for one in own["samples"])
    unsolved = server.chat(text, seed=3, ponder={"retries": 1, "check": check((1, 2), 99)})["ponder"]
    assert unsolved["retries"]["made"] == 1 and unsolved["check"]["outcome"] == "wrong"


def test_best_of_takes_what_the_reward_model_likes_most(server: Running, scorer: tuple[Path, Scorer]) -> None:
    text = ask((9, 5), 4)
    reply = server.chat(text, seed=4, ponder={"best_of": 6, "samples": True})
    samples = reply["ponder"]["samples"]
    for one in samples:
        known = scorer[1].score_reply([Message(role="user", content=text)], one["reasoning_content"], one["content"])
        assert one.get("score") == (None if known is None else pytest.approx(known, abs=1e-4))
    best = max((one for one in samples if "score" in one), key=lambda one: one["score"])
    assert reply["ponder"]["best_of"] == {"of": 6, "sample": best["sample"], "score": best["score"]}
    assert reply["choices"][0]["message"]["content"] == best["content"]


def test_a_vote_that_does_not_agree_abstains(server: Running) -> None:
    asked = {"vote": 4, "abstain_below": 1.0, "check": check((3, 4), 7)}
    reply = server.chat(ask((3, 4), 7), seed=1, temperature=1.5, max_tokens=20, ponder=asked)
    vote = reply["ponder"]["vote"]
    assert vote["abstained"] and vote["votes"] < 4
    assert reply["choices"][0]["message"]["content"].startswith("No answer: ")
    assert reply["ponder"]["check"]["outcome"] == "cannot_tell"


def test_a_budget_bounds_the_thinking(server: Running, micro: Policy) -> None:
    """By vLLM's name and by the switch's own."""
    closing = len(closing_ids(micro.voice()))
    text = ask((3, 4), 7)
    reply = server.chat(text, seed=2, n=4, thinking_token_budget=3)
    own = server.chat(text, seed=2, n=4, thinking={"type": "enabled", "budget_tokens": 3})
    free = server.chat(text, seed=2, n=4)
    assert reply["choices"] == own["choices"] != free["choices"]
    thought = [one["usage"]["completion_tokens_details"]["reasoning_tokens"] for one in (reply, free)]
    assert thought[0] <= 4 * (3 + closing) and thought[0] < thought[1]
    assert all(one["message"]["content"] for one in reply["choices"] if one["finish_reason"] == "stop")


def test_an_audit_lists_the_equations_of_the_thinking(server: Running) -> None:
    reply = server.chat("What is 17 + 25?", seed=1, ponder={"audit": True})
    thinking = reply["choices"][0]["message"].get("reasoning_content", "")
    claims = find_claims(thinking)
    assert [one["text"] for one in reply["ponder"]["audit"]["claims"]] == [claim.text for claim in claims]


def test_a_stream_tells_how_a_vote_goes(server: Running) -> None:
    """Read as the terminal's chat and the page read it."""
    body = {
        "messages": [{"role": "user", "content": ask((3, 4), 7)}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "ponder": {"vote": 6, "stop_early": False, "samples": True, "check": check((3, 4), 7)},
    }
    said, votes = Said(node=Node(id=1, parent=0, role="assistant", content="")), []
    with httpx2.stream("POST", server.url + "/v1/chat/completions", json=body, timeout=60) as reply:
        for line in reply.iter_lines():
            if line.startswith(":"):
                said.take(Comment(line[1:].strip()))
                votes += [] if said.vote is None else [(said.vote.done, sum(said.vote.counts.values()))]
            elif line.startswith("data: {"):
                said.take(json.loads(line[6:]))
    assert votes and votes == sorted(votes) and votes[-1][0] == 6
    own = said.node.ponder or {}
    assert own["vote"]["counts"] == dict(said.vote.counts if said.vote else {})
    assert said.node.ended in ("stop", "length") and said.node.usage is not None
    assert said.node.usage["completion_tokens"] == sum(one["tokens"] for one in own["samples"])
    assert said.node.content and own["check"]["outcome"] in ("right", "wrong", "cannot_tell")


def test_a_checked_reply_streams_as_it_comes_and_ends_with_its_check(server: Running) -> None:
    body = {
        "messages": [{"role": "user", "content": ask((3, 4), 7)}],
        "stream": True,
        "ponder": {"check": check((3, 4), 7)},
    }
    with httpx2.stream("POST", server.url + "/v1/chat/completions", json=body, timeout=60) as reply:
        chunks = [json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: {")]
    assert len(chunks) > 2 and [bool(one.get("ponder")) for one in chunks] == [False] * (len(chunks) - 1) + [True]
    content = "".join(one["choices"][0]["delta"].get("content", "") for one in chunks)
    assert (chunks[-1]["ponder"]["check"]["outcome"] == "right") == is_right(content, (3, 4), 7)


def test_nothing_is_computed_for_a_vote_whose_client_left(server: Running) -> None:
    body = {"messages": [{"role": "user", "content": "Go on."}], "stream": True, "ponder": {"vote": 64}}
    with httpx2.stream("POST", server.url + "/v1/chat/completions", json=body, timeout=60) as reply:
        next(reply.iter_lines())
    for _ in range(200):
        health = server.get("/health").json()
        if health["jobs"] == health["rows"] == 0:
            break
    assert (health["jobs"], health["rows"]) == (0, 0)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"ponder": {"vote": 1}}, "ponder"),
        ({"ponder": {"vote": 257}}, "ponder"),
        ({"ponder": {"vote": "4"}}, "ponder"),
        ({"ponder": {"votes": 4}}, "ponder"),
        ({"ponder": 4}, "ponder"),
        ({"ponder": {"vote": 4, "best_of": 4}}, "ponder"),
        ({"ponder": {"abstain_below": 0.5}}, "ponder"),
        ({"ponder": {"vote": 4, "abstain_below": 1.5}}, "ponder"),
        ({"ponder": {"retries": 2}}, "ponder"),
        ({"ponder": {"check": {"kind": "own", "function": "a.py:f"}}}, "ponder"),
        ({"ponder": {"check": {"kind": "math", "answer": 42}}}, "ponder"),
        ({"ponder": {"check": {"kind": "math", "answer": "42", "more": 1}}}, "ponder"),
        ({"ponder": {"vote": 4}, "n": 2}, "n"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking"),
        ({"thinking_token_budget": 5, "thinking": {"type": "enabled", "budget_tokens": 6}}, "thinking_token_budget"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_400(server: Running, fields: dict[str, Any], param: str) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    reply = server.post("/v1/chat/completions", body)
    assert reply.status_code == 400, reply.text
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert reply.json()["error"]["param"] == param


def test_code_is_judged_in_the_sandbox(server: Running) -> None:
    asked = {"check": {"kind": "code", "tests": ["assert f(1) == 2"]}}
    own = server.chat("Write f.", seed=1, ponder=asked)["ponder"]
    assert own["check"]["outcome"] in ("wrong", "cannot_tell") and own["check"]["reason"]
