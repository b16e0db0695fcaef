"""Problems to judged groups: a scripted engine writes the completions, everything after it is real."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import pytest
from transformers import PreTrainedTokenizerFast

from ponder.errors import DataError
from ponder.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, MathGold, Message, Problem
from ponder.rollout import Collected, Engine, LocalEngine, OnFinish, OnProgress, Refill, Request
from ponder.rollout.collect import collect
from ponder.verify.pool import VerifierPool

MAX_TOKENS = 10
RIGHT, WRONG = "<think>ok</think> <answer>7</answer>", "<think>no</think> <answer>8</answer>"


class Script:
    """Writes for sample j of problem "p..." what the script says, and keeps what it was asked."""

    def __init__(self, texts: dict[str, Sequence[str]], prompts: dict[tuple[int, ...], str]) -> None:
        self.texts, self.prompts = texts, prompts
        self.seeds: list[int] = []
        self.calls: list[list[str]] = []

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[tuple[Completion, ...]]:
        self.calls.append([self.prompts[r.prompt_ids] for r in requests])
        result = []
        for request in requests:
            group = []
            for j, seed in enumerate(request.seeds):
                self.seeds.append(seed)
                text = self.texts[self.prompts[request.prompt_ids]][j]
                length = MAX_TOKENS if text.endswith("...") else len(text) % MAX_TOKENS + 1
                completion = Completion(
                    token_ids=(5,) * length,
                    logprobs=(-1.0,) * length,
                    text=text,
                    finish_reason="length" if text.endswith("...") else "stop",
                    weight_version=weight_version,
                    seed=seed,
                )
                group.append(completion)
                if on_finish is not None:
                    on_finish(request.key, j, completion)
            result.append(tuple(group))
        return result


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=1) as pool:
        yield pool


def problem(name: str, answer: str = "7") -> Problem:
    return Problem(
        id=name, messages=(Message(role="user", content=f"w{name[1:]}"),), gold=MathGold(answer=answer), domain="math"
    )


class Run:
    """Collects with the script; `run(...)` gives what came of it."""

    def __init__(self, policy: Policy, pool: VerifierPool, texts: dict[str, Sequence[str]]) -> None:
        self.policy, self.pool, self.phases = policy, pool, list[str]()
        prompts = {policy.template.encode(policy.tokenizer, problem(n).messages): n for n in texts}
        self.script = Script(texts, prompts)
        self.engine: Engine = self.script

    def __call__(
        self, problems: Sequence[Problem], refill: Refill | None = None, overlong: float | None = None
    ) -> Collected:
        def phase(name: str) -> nullcontext[None]:
            self.phases.append(name)
            return nullcontext()

        return collect(
            self.engine,
            self.policy.voice(),
            problems,
            group_size=2,
            sampling=Sampling(),
            max_tokens=MAX_TOKENS,
            seed=11,
            weight_version=5,
            pool=self.pool,
            rewards={"accuracy": 1.0, "format": 0.5},
            overlong_buffer_ratio=overlong,
            refill=refill,
            phases=phase,
        )


TEXTS = {
    "p1": (RIGHT, WRONG), "p2": (RIGHT, RIGHT), "p3": (WRONG, WRONG), "p4": ("tags only", "7..."),
    "p5": (WRONG, RIGHT), "p6": (RIGHT, RIGHT), "p7": (RIGHT, WRONG),
}  # fmt: skip


def test_groups_are_judged_in_order(qwen2: Policy, pool: VerifierPool) -> None:
    run = Run(qwen2, pool, TEXTS)
    groups = run([problem("p3"), problem("p1"), problem("p4")]).groups
    assert [g.problem.id for g in groups] == ["p3", "p1", "p4"]
    assert [g.rewards for g in groups] == [(0.5, 0.5), (1.5, 0.5), (0.0, 0.0)]
    first = groups[1].rollouts[0]
    assert first.rewards == {"accuracy": 1.0, "format": 1.0}
    assert (first.verdict.outcome, first.completion.text, first.completion.weight_version) == ("right", RIGHT, 5)
    assert first.prompt_ids == qwen2.template.encode(qwen2.tokenizer, problem("p1").messages)
    assert run.phases == ["generate", "verify"]


def test_every_completion_has_its_own_seed(qwen2: Policy, pool: VerifierPool) -> None:
    first, again = Run(qwen2, pool, TEXTS), Run(qwen2, pool, TEXTS)
    refill = Refill(budget=2, problem=lambda i: problem(f"p{5 + i}"))
    assert first([problem("p2"), problem("p3")], refill) == again([problem("p2"), problem("p3")], refill)
    assert len(set(first.script.seeds)) == len(first.script.seeds) == 8


def test_refill_replaces_useless_groups_within_the_budget(qwen2: Policy, pool: VerifierPool) -> None:
    tried: list[int] = []

    def further(place: int) -> Problem:
        tried.append(place)
        return problem(["p6", "p5", "p7", "p4"][place])

    run = Run(qwen2, pool, TEXTS)
    collected = run([problem("p1"), problem("p2"), problem("p3")], Refill(budget=4, problem=further))
    assert run.script.calls == [["p1", "p2", "p3"], ["p6", "p5"], ["p7"]]
    assert tried == [0, 1, 2]
    assert [g.problem.id for g in collected.groups] == ["p1", "p2", "p3", "p6", "p5", "p7"]
    assert collected.metrics["groups/refilled"] == 3

    run = Run(qwen2, pool, TEXTS)
    assert len(run([problem("p2"), problem("p3")], Refill(budget=1, problem=lambda _: problem("p6"))).groups) == 3
    assert run.script.calls == [["p2", "p3"], ["p6"]]


def test_useless_groups_are_no_error(qwen2: Policy, pool: VerifierPool) -> None:
    """A source with nothing new ends the refill when the budget is spent."""
    run = Run(qwen2, pool, TEXTS)
    collected = run([problem("p2")], Refill(budget=30, problem=lambda _: problem("p2")))
    assert [g.problem.id for g in collected.groups] == ["p2"]


def test_overlong_penalty_is_part_of_the_reward(qwen2: Policy, pool: VerifierPool) -> None:
    texts = {"p1": (RIGHT, "<think>ok</think> <answer>7</answer> ...")}
    (group,) = Run(qwen2, pool, texts)([problem("p1")], overlong=0.5).groups
    lengths = [len(r.completion.token_ids) for r in group.rollouts]
    penalties = [-max(0.0, n - 5.0) / 5 for n in lengths]
    assert lengths[1] == MAX_TOKENS and penalties[1] == -1
    assert [r.rewards["overlong"] for r in group.rollouts] == pytest.approx(penalties)
    assert group.rollouts[0].reward == pytest.approx(1.5 + penalties[0])


def test_a_problem_without_gold_is_refused(qwen2: Policy, pool: VerifierPool) -> None:
    bare = Problem(id="p1", messages=problem("p1").messages, gold=None, domain="math")
    with pytest.raises(DataError, match="'p1'"):
        Run(qwen2, pool, TEXTS)([bare])


def test_with_the_real_engine(qwen2: Policy, pool: VerifierPool, tokenizer: PreTrainedTokenizerFast) -> None:
    run = Run(qwen2, pool, TEXTS)
    run.engine = LocalEngine(qwen2, 4, 2)
    problems = [problem(f"p{i}") for i in range(1, 9)]
    groups = run(problems).groups
    assert [g.problem.id for g in groups] == [p.id for p in problems]
    assert all(
        r.completion.text == tokenizer.decode([i for i in r.completion.token_ids if i > 2])
        for g in groups
        for r in g.rollouts
    )
