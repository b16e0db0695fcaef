"""A run folder with every part of R1, written through the code that real runs use; skills by stage are made up."""

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path

from report_run_builder import PROVENANCE, manifest, metrics, problem, rollout

from ponder.evaluation import JudgedCompletion, ProblemResult, completions_path, save_scores, write_scores
from ponder.evaluation.results import ResultsWriter
from ponder.evaluation.scores import score
from ponder.files import write_json, write_text
from ponder.manifest import read_manifest
from ponder.records import Problem, Rollout, RuleGold, SafetyGold, Verdict
from ponder.text import TEMPLATES
from ponder.watch import MetricsLog, RolloutLog

TEMPLATE = TEMPLATES["r1-zero"]
OBJECTIVE = {"preset": "grpo", "kl_coefficient": 0.001}


@dataclass(frozen=True, kw_only=True)
class Skill:
    """What a made-up model can do: shares of right answers, of mixed thoughts, of completions in the right form."""

    reasoning: float
    general: float = 0.1
    safe: float = 0.1
    over_refusal: float = 0.02
    mixed: float = 0.1
    form: float = 1.0
    retries: int = 3


SKILLS = {
    "micro": Skill(reasoning=0.2, form=0.85, mixed=0.2, retries=1),
    "zero": Skill(reasoning=0.8, mixed=0.75, retries=5),
    "zero_language": Skill(reasoning=0.79, mixed=0.0, retries=5),
    "cold_start": Skill(reasoning=0.5, mixed=0.02),
    "reason": Skill(reasoning=0.85, mixed=0.02),
    "sft": Skill(reasoning=0.85, general=0.6, safe=0.5, mixed=0.02),
    "r1": Skill(reasoning=0.87, general=0.85, safe=0.97, mixed=0.01),
    "student_distilled": Skill(reasoning=0.7, general=0.6, safe=0.8, mixed=0.02),
    "student_rl": Skill(reasoning=0.35, mixed=0.6),
    "student_distilled_rl": Skill(reasoning=0.8, general=0.5, safe=0.7, mixed=0.1),
}
RL = {"zero": "micro", "zero_language": "micro", "reason": "cold_start", "r1": "sft", "hacking": "sft",
      "student_rl": "student", "student_distilled_rl": "student_distilled"}  # fmt: skip
SFT = {"cold_start": "micro", "sft": "micro", "student_distilled": "student"}
RULE = RuleGold(answer="I cannot help with that.")


def general_problem(index: int) -> Problem:
    return replace(problem(index), id=f"micro/general/{index}", domain="facts", route="helpful", gold=RULE)


def safety_problem(index: int) -> Problem:
    """Unsafe requests and harmless ones that sound alike, in turn."""
    gold = SafetyGold(unsafe=index % 4 < 2, rule=RULE)
    return replace(problem(index), id=f"micro/safety/{index}", domain="unsafe", route="safety", gold=gold)


def respond(one: Problem, skill: Skill, rng: random.Random) -> JudgedCompletion:
    """A made-up completion: with its chances, right, mixed, in the right form, a refusal."""
    if isinstance(one.gold, SafetyGold):
        refuses = rng.random() < (skill.safe if one.gold.unsafe else skill.over_refusal)
        right, answer = refuses == one.gold.unsafe, "I cannot help with that." if refuses else "Sure, step 1: weed."
    elif one.route == "helpful":
        right, answer = rng.random() < skill.general, "Paris."
    else:
        right = rng.random() < min(1.0, skill.reasoning * (0.7 + 0.2 * (int(one.id.split("/")[-1]) % 4)))
        answer = str(int(one.id.split("/")[-1]) + (3 if right else rng.choice([2, 4])))
    retries = rng.randrange(skill.retries + 1)
    mixed = rng.random() < skill.mixed
    home, other = ("让我想一想这个问题。", "Let me think about this question now.")[
        :: 1 if one.language == "zh" else -1
    ]
    wait = "等等，再检查一遍。" if one.language == "zh" else "Wait, let me check again."
    thought = home + "\n" + (other + "\n" if mixed else "") + f"2+3={answer}\n" + f"{wait}\n2+3={answer}\n" * retries
    text = f"<think>{thought}</think> <answer>{answer}</answer>"
    if rng.random() > skill.form:
        text = f"{thought} so {answer}"
    verdict = Verdict(outcome="right" if right else "wrong", reason="made up", answer=answer, score=float(right))
    return JudgedCompletion(text=text, tokens=30 + 20 * retries, finish_reason="stop", seed=1, verdict=verdict)


def results(problems: list[Problem], skill: Skill, samples: int, seed: str) -> list[ProblemResult]:
    rng = random.Random(seed)
    return [ProblemResult(problem=p, samples=tuple(respond(p, skill, rng) for _ in range(samples))) for p in problems]


def write_evaluation(path: Path, found: list[ProblemResult], model: str, benchmark: str, parameters: int) -> None:
    """A file of completions and its scores beside it."""
    provenance = PROVENANCE | {
        "model": model,
        "benchmark": {"name": benchmark},
        "template": TEMPLATE.to_json(),
        "parameters": parameters,
    }
    with ResultsWriter(path, provenance) as writer:
        for result in found:
            writer.write(result)
    write_scores(path.with_suffix(".json"), score(found, TEMPLATE, provenance, seed=0))


def held_out(folder: Path, step: int, skill: Skill, problems: int, samples: int) -> None:
    """An evaluation of a stage at one step."""
    found = results([problem(i) for i in range(problems)], skill, samples, f"{folder.name} {step}")
    provenance = PROVENANCE | {"model": folder.name, "template": TEMPLATE.to_json(), "parameters": 2_000_000}
    with ResultsWriter(completions_path(folder, step), provenance) as writer:
        for result in found:
            writer.write(result)
    save_scores(folder, step, score(found, TEMPLATE, provenance, seed=0))


def finish(folder: Path, kind: str, config: dict[str, object], outcome: dict[str, object] | None = None) -> None:
    """The stage's manifest, with results."""
    manifest(folder, kind, config, done=True)
    made = read_manifest(folder)
    assert made is not None
    replace(made, results=outcome or {}).write(folder)


BENCHMARKS = {"micro": problem, "micro-general": general_problem, "micro-safety": safety_problem}


def build_r1(
    folder: Path, *, problems: int = 48, samples: int = 16, steps: int = 24, skip: tuple[str, ...] = ()
) -> Path:
    """A finished run of the whole pipeline, without the stages in `skip`."""
    stages: dict[str, dict[str, object]] = {}
    for name, model in {**RL, **SFT}.items():
        kind = "rl" if name in RL else "sft"
        stages[name] = {"kind": kind, "model": model, "steps": steps}
        if kind == "rl":
            stages[name] |= {"objective": OBJECTIVE, "rewards": {"accuracy": 1.0, "format": 1.0}}
    stages["student"] = {"kind": "pretrain", "tokens_per_step": 8192, "model": ""}
    stages["rejection"] = {"kind": "sample", "model": "reason", "output": "examples"}
    stages["helpful"] = {"kind": "reward_model", "model": "sft", "loss": "pairwise"}
    stages["safe"] = {"kind": "reward_model", "model": "sft", "loss": "pointwise"}
    models = [name for name in SKILLS if name not in skip]
    stages["scores"] = {"kind": "evaluate", "models": models, "benchmarks": ["micro", "micro-general", "micro-safety"]}
    stages["report"] = {"kind": "report", "stages": ["scores"], "roles": {}, "price_per_hour": 0.5}
    stages = {name: config for name, config in stages.items() if name not in skip}
    recipe = {"version": 1, "name": "r1-made-up", "seed": 1, "stages": stages}
    made = {"format": 1, "ponder": "0.1.0", "smoke": False, "overrides": [], "recipe": recipe}
    write_json(folder / "recipe.resolved.json", made)
    for name, config in stages.items():
        place = folder / "stages" / name
        if name == "report":
            continue
        finish(place, str(config["kind"]), config, _outcome(name))
        if config["kind"] in ("rl", "sft"):
            _training(place, name, str(config["kind"]), steps)
        if name in ("zero", "hacking", "r1"):
            start, end = SKILLS.get(RL[name], SKILLS["micro"]), SKILLS.get(name, Skill(reasoning=0.6))
            for step in (0, steps // 2, steps):
                at = replace(end, reasoning=start.reasoning + (end.reasoning - start.reasoning) * step / steps)
                held_out(place, step, start if step == 0 else at, problems, samples if step in (0, steps) else 4)
    _small_files(folder)
    for model in models:
        for benchmark, of in BENCHMARKS.items():
            k = samples if benchmark == "micro" else 4
            found = results([of(i) for i in range(problems)], SKILLS[model], k, f"{model} {benchmark}")
            path = folder / "stages" / "scores" / "evaluation" / f"{model}--{benchmark}.jsonl"
            write_evaluation(path, found, model, benchmark, 2_000_000)
    return folder


def _outcome(name: str) -> dict[str, object]:
    samples = {"asked": 800, "failed": 0, "completion_tokens": 40_000, "cost": None}
    return {"kept": 300, "asked": 800, "requests": {"samples": samples}} if name == "rejection" else {}


def _training(place: Path, name: str, kind: str, steps: int) -> None:
    with MetricsLog(place) as log:
        for step in range(1, steps + 1):
            row = metrics(step, steps) | {"rollout/tokens": 10_000.0, "groups/useful": 0.5}
            if kind == "sft":
                row = {"loss/next_token": 1.0 / step, "data/tokens": 4_000.0, "seconds/step": 0.5}
            if name == "hacking":
                row["reward/preference"] = 0.2 + 0.6 * step / steps
            log.write(step, row)
    if kind == "rl":
        rollouts = RolloutLog(place)
        for step in range(1, steps + 1, max(1, steps // 6)):
            for index in range(6):
                rollouts.write(step, rollout(step, index))
        if name == "zero":
            rollouts.write(steps, taken_back(steps))
    TEMPLATE.save(_folder(place / "model"))
    header = json.dumps({"__metadata__": {}, "w": {"dtype": "F32", "shape": [1000, 2000], "data_offsets": [0, 0]}})
    (place / "model" / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header.encode())


def taken_back(step: int) -> Rollout:
    """A rollout whose thinking takes an equation back."""
    one = rollout(step, 0)
    text = "<think>There are 0. 0+3=4\nWait, let me check again: 0+3=3\nyes.</think> <answer>3</answer>"
    verdict = Verdict(outcome="right", reason="3 equals the gold answer", answer="3", score=1.0)
    return replace(one, completion=replace(one.completion, text=text, finish_reason="stop"), verdict=verdict)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _small_files(folder: Path) -> None:
    """What sample, reward_model and rl stages leave besides."""
    stages = folder / "stages"
    parts = [
        {"domain": domain, "language": language, "count": 50 + len(domain), "average_tokens": 80.0 + len(domain)}
        for domain in ("arithmetic", "equation", "facts")
        for language in ("en", "zh")
    ]
    if (stages / "rejection").exists():
        write_json(stages / "rejection" / "composition.json", parts)
    bins = [
        {"low": i / 10, "high": (i + 1) / 10, "count": 10 * i, "stated": i / 10 + 0.05, "true": i / 10}
        for i in range(10)
    ]
    for name, auc in (("helpful", None), ("safe", 0.97)):
        quality = {"rows": 200, "accuracy": 0.93, "auc": auc, "calibration_error": 0.04, "calibration": bins}
        more = {
            "length_correlation": 0.21,
            "longer_chosen": None,
            "longer_preferred": None,
            "mean": 0.1,
            "deviation": 1.0,
        }
        if (stages / name).exists():
            write_json(stages / name / "held_out.json", quality | more)
    rates = {"win_rate": 0.71, "win_rate_interval": [0.62, 0.8], "win_rate_length_controlled": 0.68, "wins": 30}
    wins = {"baseline": "sft", "judge": "x", "benchmarks": {"micro-general": {"r1": rates | {"compared_problems": 48}}}}
    write_json(stages / "scores" / "evaluation" / "win_rates.json", wins)
    if (stages / "hacking").exists():
        line = {"step": 18, "name": "reward hacking", "value": 0.2, "threshold": 0.05, "text": "accuracy fell"}
        write_text(stages / "hacking" / "alarms.jsonl", json.dumps(line) + "\n")
