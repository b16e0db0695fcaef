"""A run folder as `ponder run` leaves it, with made-up curves, written through the same code that real runs use."""

import math
import random
from dataclasses import replace
from pathlib import Path

from ponder.evaluation import JudgedCompletion, ProblemResult, completions_path, save_scores, write_scores
from ponder.evaluation.results import ResultsWriter
from ponder.evaluation.scores import score
from ponder.files import write_json, write_text
from ponder.manifest import Manifest, Session
from ponder.records import Completion, Language, MathGold, Message, Problem, Rollout, Verdict
from ponder.text import TEMPLATES
from ponder.watch import MetricsLog, RolloutLog

TASKS = ("arithmetic", "countdown", "equation", "function", "ordering", "science")
OBJECTIVE = {"preset": "grpo", "clip_high": 10.0, "kl_coefficient": 0.001}
PROVENANCE = {
    "model": "zero",
    "sampling": {"temperature": 0.6, "top_p": 0.95, "max_tokens": 512},
    "seed": 7,
    "template": TEMPLATES["r1-zero"].to_json(),
    "versions": {"ponder": "0.1.0"},
}


def problem(index: int) -> Problem:
    language: Language = "zh" if index % 2 else "en"
    question = (
        f"一共有 {index} 个，又来了 3 个 <现在有几个>？" if index % 2 else f"There are {index} & 3 more come. How many?"
    )
    return Problem(
        id=f"micro/test/{index}",
        messages=(Message(role="user", content=question),),
        gold=MathGold(answer=str(index + 3)),
        domain=TASKS[index // 2 % 6],
        language=language,
        difficulty=1 + index % 4,
    )


def sample(one: Problem, skill: float, rng: random.Random) -> JudgedCompletion:
    right = rng.random() < skill ** (0.5 + 0.4 * TASKS.index(one.domain))
    answer = str(int(one.id.split("/")[-1]) + (3 if right else rng.choice([2, 4])))
    retries = rng.randrange(round(1 + 6 * skill))
    wait = "等等，不对，再检查一下。" if one.language == "zh" else "Wait, that is wrong. Let me check again: "
    thought = f"{one.prompt} -> 3 more makes {answer}.\n" + "".join(
        f"{wait}{answer} = {answer}\n" for _ in range(retries)
    )
    tokens = 40 + 22 * retries + rng.randrange(20)
    if rng.random() < 0.09 * (1 - skill):
        verdict = Verdict(outcome="wrong", reason="no answer: the completion was cut off")
        return JudgedCompletion(text=thought * 3, tokens=512, finish_reason="length", seed=1, verdict=verdict)
    verdict = Verdict(
        outcome="right" if right else "wrong",
        reason=f"{answer} {'equals' if right else 'is not'} the gold answer",
        answer=answer,
        score=float(right),
    )
    text = f"<think>{thought}</think> <answer>{answer}</answer>"
    return JudgedCompletion(text=text, tokens=tokens, finish_reason="stop", seed=1, verdict=verdict)


def evaluation(folder: Path, step: int, skill: float, problems: int, samples: int) -> None:
    rng = random.Random(step)
    results = [
        ProblemResult(problem=problem(i), samples=tuple(sample(problem(i), skill, rng) for _ in range(samples)))
        for i in range(problems)
    ]
    with ResultsWriter(completions_path(folder, step), PROVENANCE) as writer:
        for result in results:
            writer.write(result)
    save_scores(folder, step, score(results, TEMPLATES["r1-zero"], PROVENANCE, seed=0))


def metrics(step: int, steps: int) -> dict[str, float]:
    rng = random.Random(step)
    at = step / steps
    skill = 0.2 + 0.5 / (1 + math.exp(-8 * (at - 0.4)))
    noise = rng.gauss(0, 0.03)
    tokens = 88 + 120 * at + rng.gauss(0, 5)
    return {
        "rollout/accuracy": min(1, max(0, skill + noise)),
        "rollout/format_ok": min(1.0, 0.7 + at),
        "rollout/truncated": max(0.0, 0.08 * (1 - 2 * at) + rng.gauss(0.01, 0.005)),
        "rollout/empty_answer": max(0.0, 0.1 * (1 - 2 * at) + rng.gauss(0.01, 0.005)),
        "rollout/repetition": max(0.0, rng.gauss(0.01, 0.004)),
        "rollout/cannot_tell": 0.0,
        "rollout/mean_tokens": tokens,
        "rollout/mean_tokens_right": tokens * 0.9,
        "rollout/mean_tokens_wrong": tokens * 1.2,
        "rollout/reflection_per_1k_tokens": 4 + 9 * at + rng.gauss(0, 0.5),
        "rollout/language_consistency": 0.93 - 0.08 * at + rng.gauss(0, 0.01),
        "groups/useful": 0.7 - 0.2 * at + noise,
        "groups/all_right": 0.05 + 0.3 * at - noise,
        "groups/all_wrong": 0.25 - 0.2 * at,
        "reward/mean": skill + min(1.0, 0.7 + at) + noise,
        "reward/std": 0.5,
        "reward/accuracy": skill + noise,
        "reward/format": min(1.0, 0.7 + at),
        "policy/entropy": 0.9 * math.exp(-1.2 * at) + rng.gauss(0, 0.01),
        "policy/kl": 0.02 * at**1.5 + abs(rng.gauss(0, 0.0004)),
        "policy/mismatch": 2e-6 + abs(rng.gauss(0, 4e-7)),
        "optimizer/grad_norm": 0.8 + abs(rng.gauss(0, 0.2)),
        "optimizer/lr": 1e-4,
        "speed/tokens_per_second": 5200 + rng.gauss(0, 150),
        "seconds/generate": 2.9 + 1.5 * at + rng.gauss(0, 0.1),
        "seconds/verify": 0.2,
        "seconds/reference": 0.35,
        "seconds/update": 1.6 + 0.4 * at,
        "seconds/save": 0.4 if step % 10 == 0 else 0.0,
        "seconds/step": 5.5 + 2 * at,
    }


def rollout(step: int, index: int) -> Rollout:
    one = sample(problem(index), 0.5, random.Random(f"{step} {index}"))
    return Rollout(
        problem=problem(index),
        prompt_ids=(1, 2),
        completion=Completion(
            token_ids=tuple(range(one.tokens)),
            logprobs=(-0.5,) * one.tokens,
            text=one.text,
            finish_reason=one.finish_reason,
            weight_version=step - 1,
            seed=index,
        ),
        verdict=one.verdict,
        rewards={"accuracy": one.verdict.score, "format": 1.0, "language": None},
        reward=one.verdict.score + 1.0,
    )


def manifest(folder: Path, kind: str, config: dict[str, object], done: bool, pid: int = 1) -> None:
    started = Session(started="2026-03-01T12:00:00+00:00", host="elsewhere", pid=pid)
    session = replace(started, finished="2026-03-01T12:06:42+00:00", outcome="done") if done else started
    Manifest(
        recipe="zero-micro",
        stage=folder.name,
        kind=kind,
        config=config,
        identity={},
        fingerprint="f",
        seed=1,
        smoke=False,
        versions={"torch": "2.13.0", "transformers": "5.19.0", "ponder": "0.1.0", "python": "3.11.7"},
        sessions=(session,),
    ).write(folder)
    if done:
        write_text(folder / "done", "f\n")


def build_run(folder: Path, *, steps: int = 60, every: int = 10, problems: int = 60, samples: int = 16) -> Path:
    """A run with a finished `base`, a finished `zero`, finished `scores` and a `report` yet to come."""
    stages: dict[str, dict[str, object]] = {
        "base": {"kind": "pretrain", "tokens": 1_000_000, "tokens_per_step": 8192},
        "zero": {"kind": "rl", "model": "base", "steps": steps, "objective": OBJECTIVE},
        "scores": {"kind": "evaluate", "models": ["base", "zero"], "benchmarks": ["micro"]},
        "report": {"kind": "report", "stages": ["zero"]},
    }
    recipe = {"version": 1, "name": "zero-micro", "seed": 1, "stages": stages}
    made = {"format": 1, "ponder": "0.1.0", "smoke": False, "overrides": [], "recipe": recipe}
    write_json(folder / "recipe.resolved.json", made)
    for name in ("base", "zero", "scores"):
        manifest(folder / "stages" / name, str(stages[name]["kind"]), stages[name], done=True)
    with MetricsLog(folder / "stages" / "base") as log:
        for step in range(1, steps + 1):
            log.write(step, {"loss/next_token": 0.6 + 3 * math.exp(-step / 12), "speed/tokens_per_second": 21_000.0})
    evaluation(folder / "stages" / "base", steps, 0.2, problems, samples)
    zero = folder / "stages" / "zero"
    with MetricsLog(zero) as log:
        for step in range(1, steps + 1):
            log.write(step, metrics(step, steps))
    rollouts = RolloutLog(zero)
    for step in range(1, steps + 1, max(1, steps // 4)):
        for index in range(8):
            rollouts.write(step, rollout(step, index))
    for step in range(0, steps + 1, every):
        k = samples if step in (0, steps) else max(1, samples // 4)
        evaluation(zero, step, 0.2 + 0.7 * step / steps, problems, k)
    for model, skill in (("base", 0.2), ("zero", 0.9)):
        rng = random.Random(model)
        results = [
            ProblemResult(problem=problem(i), samples=tuple(sample(problem(i), skill, rng) for _ in range(samples)))
            for i in range(problems)
        ]
        provenance = PROVENANCE | {"model": model, "benchmark": {"name": "micro"}}
        scores = score(results, TEMPLATES["r1-zero"], provenance, seed=0)
        write_scores(folder / "stages" / "scores" / "evaluation" / f"{model}--micro.json", scores)
    return folder
