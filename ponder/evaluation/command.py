"""`ponder eval`: one model on one benchmark, every completion stored, numbers as a table or as JSON."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ponder.environment import World
from ponder.errors import RecipeError
from ponder.evaluation.benchmark import AS_USUAL, Benchmark, ProblemFields, file_benchmark, find_benchmark, own_code
from ponder.evaluation.computed import Computed, computed
from ponder.evaluation.evaluate import OnTick, evaluate, replay
from ponder.evaluation.material import read_material
from ponder.evaluation.results import read_results
from ponder.evaluation.scores import Score, Scores, write_scores
from ponder.evaluation.served_command import bill, measure_served, read_endpoint
from ponder.files import new_folder, write_json
from ponder.judge import Judge
from ponder.policy.load import load_policy
from ponder.policy.policy import Policy
from ponder.policy.scorer import Scorer
from ponder.policy.scorer_load import load_scorer
from ponder.recipe.compute import ComputePlan
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.records import Problem
from ponder.rollout.engine import Engine
from ponder.rollout.open import engine_kind, open_engine
from ponder.seeds import derive_seed
from ponder.terminal import print_table, shown, terminal
from ponder.text.template import Template
from ponder.text.think import Response
from ponder.verify.pool import VerifierPool
from ponder.watch.ticker import Ticker

__all__ = ["PER_CALL", "evaluate_command", "file_name", "measure"]

_TEMPERATURE = 0.6  # R1 v2, D.1
_TOP_P = 0.95
PER_CALL = 1024
"""Completions of one call of the engine: what a kill can cost."""
_SCORES, _COMPLETIONS, _REQUESTS = "scores.json", "completions.jsonl", "requests.jsonl"
_COMPUTED = "computed.json"


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def evaluate_command(
    model: str | None,
    benchmark: str | None,
    *,
    problems: Path | None = None,
    fields: ProblemFields = AS_USUAL,
    limit: int | None = None,
    max_tokens: int | None = None,
    samples: int | None = None,
    out: Path | None = None,
    replay_file: Path | None = None,
    as_json: bool = False,
    temperature: float = _TEMPERATURE,
    top_p: float = _TOP_P,
    template: str | None = None,
    seed: int = 0,
    endpoint: str | None = None,
    key_env: str | None = None,
    plan: ComputePlan | None = None,
    scorer: str | None = None,
) -> None:
    """Evaluate and print. Writes `scores.json` and `completions.jsonl` into `out`, by default a new folder under
    `evaluations/`.

    `problems`, a file whose `fields` are named, stands in place of a benchmark. `limit` takes so many problems, and
    `max_tokens` is the longest completion in place of the benchmark's own.
    A `plan` says what is made of the samples of each problem, with the reward model `scorer` where it takes the best.
    With an `endpoint`, an address or a YAML file, `model` is what the server there calls it.
    With `replay_file` the stored completions are judged again instead, and model and benchmark are not needed.
    Everything but the result goes to stderr, so that `as_json` leaves one JSON object on stdout.
    """
    if problems is None and fields != AS_USUAL:
        raise RecipeError(
            "--kind, --prompt, --gold and --answer-after say how the rows of --problems FILE are read; a benchmark "
            "says so itself."
        )
    plan = plan or ComputePlan()
    _check_plan(plan, scorer, replay_file, endpoint)
    if replay_file is not None:
        sampled = (model, benchmark, problems, limit, max_tokens, samples, template, endpoint, key_env)
        if any(one is not None for one in sampled):
            raise RecipeError(
                "--replay judges the stored completions again, all of them and as they are: leave out the model, "
                "--benchmark, --problems, --limit, --max-tokens, --samples, --template, --endpoint and --key-env."
            )
        reward = _reward(scorer)
        name, folder = f"replay of {replay_file}", out or replay_file.parent / f"{replay_file.stem}-replayed"
        if not ((folder / _COMPLETIONS).exists() and (folder / _COMPLETIONS).samefile(replay_file)):
            _keep_earlier(folder)
        with VerifierPool() as pool:
            scores = replay(replay_file, pool, folder / _COMPLETIONS)
        if scores.overall.problems < (asked := int(scores.provenance.get("problems", 0))):
            print(
                f"{str(replay_file)!r} holds {scores.overall.problems} of {asked} problems: the evaluation was "
                f"interrupted, and only these are scored",
                file=sys.stderr,
            )
    else:
        if (model is None and endpoint is None) or (benchmark is None) == (problems is None):
            raise RecipeError(
                "ponder eval needs a model and one of --benchmark NAME or FILE and --problems FILE, or --replay FILE "
                "alone."
            )
        if not (temperature >= 0 and 0 < top_p <= 1):
            raise RecipeError(
                f"Sampling needs a temperature of at least 0 and a top-p above 0 and up to 1, got {temperature} and "
                f"{top_p}. R1 was evaluated with {_TEMPERATURE} and {_TOP_P}."
            )
        found = find_benchmark(benchmark) if benchmark is not None else file_benchmark(str(problems), fields)
        if max_tokens is not None:
            found = found.model_copy(update={"max_tokens": max_tokens})
        if found.judge == "correctness" or (found.without_gold and found.judge != "safety"):
            raise RecipeError(
                f"The benchmark {found.name!r} needs a judge that reads answers, which `ponder eval` has not: write a "
                "recipe with a stage of kind `evaluate` and its `judge`."
            )
        server = _server(endpoint, model, key_env, template)
        reward = _reward(scorer)  # before anything is sampled: it may be none
        policy = load_policy(str(model), template, trained=False) if server is None else None
        called = str(model) if server is None else server.model
        name = f"{called} on {found.name}"
        folder = out or new_folder(Path("evaluations") / f"{file_name(called)}--{found.name}")
        _keep_earlier(folder)
        settings: dict[str, Any] = {
            "model": called,
            "limit": limit,
            "samples": max(samples or found.samples, plan.samples),
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
            "log": folder / _COMPLETIONS,
        }
        with VerifierPool(own=own_code(found)) as pool:
            if server is not None:
                requests = folder / _REQUESTS
                scores = measure_served(server, found, pool=pool, requests=requests, say=_to_stderr, **settings)
            else:
                assert policy is not None
                scores = measure(
                    policy,
                    found,
                    pool=pool,
                    engine=EngineConfig(),
                    progress=_show_progress if sys.stderr.isatty() else Ticker(name, _to_stderr),
                    per_call=PER_CALL,
                    go_on=True,
                    thinking_tokens=plan.thinking_tokens,
                    **settings,
                )
    made = None if plan.samples == 1 and not plan.audit else _computed(folder / _COMPLETIONS, plan, reward, seed)
    if made is None:
        (folder / _COMPUTED).unlink(missing_ok=True)  # of the verdicts before these
    else:
        settings = plan.model_dump(mode="json", exclude_defaults=True)
        write_json(folder / _COMPUTED, {"plan": settings, "scorer": scorer, **made.to_json()})
    write_scores(folder / _SCORES, scores)  # last: they mark the evaluation as finished
    if as_json:
        added = {} if made is None else {"computed": made.to_json()}
        print(json.dumps(_flat(scores, folder) | added, ensure_ascii=False, indent=2))
    else:
        _print_table(name, scores, folder)
        if made is not None:
            terminal().print(_told(plan, made), soft_wrap=True)


def _check_plan(plan: ComputePlan, scorer: str | None, replay_file: Path | None, endpoint: str | None) -> None:
    """RecipeError for options that do not go together."""
    if (plan.best_of is None) != (scorer is None):
        raise RecipeError("--best-of takes the sample that a reward model likes most: give --scorer FOLDER with it.")
    if plan.thinking_tokens is not None and (replay_file is not None or endpoint is not None):
        raise RecipeError(
            "--thinking-tokens ends thoughts while they are sampled here: leave --replay and --endpoint out, or set "
            "the budget where the samples are made."
        )


def _reward(scorer: str | None) -> Scorer | None:
    return None if scorer is None else load_scorer(scorer)


def _computed(completions: Path, plan: ComputePlan, reward: Scorer | None, seed: int) -> Computed:
    """What the plan makes of the completions of a file."""
    provenance, results = read_results(completions)
    template = Template.from_json(provenance.get("template"), where=f"the template in {completions}")

    def score(problem: Problem, response: Response) -> float | None:
        assert reward is not None
        return reward.score_reply(problem.messages, response.thinking, response.answer)

    return computed(results, plan, template, None if reward is None else score, derive_seed(seed, "computed"))


def _told(plan: ComputePlan, made: Computed) -> str:
    """A plan's result in one line."""
    ways = {"vote": plan.vote, "best_of": plan.best_of, "retries": plan.retries}
    way = next((f"{name}: {value}" for name, value in ways.items() if value), "one sample")
    told = [f"{way}: right {made.right:.3f} ({made.interval[0]:.3f}-{made.interval[1]:.3f})"]
    if plan.abstain_below is not None:
        of_answered = "-" if made.of_answered is None else f"{made.of_answered:.3f}"
        told.append(f"answered {made.answered:.3f}, right of these {of_answered}")
    told.append(f"{made.samples:.1f} samples and {made.tokens:,.0f} tokens a problem")
    if made.claims is not None:
        told.append(f"equations in the thinking: {', '.join(f'{n} {w}' for w, n in made.claims.items())}")
    return "; ".join(told).replace("cannot_tell", "cannot tell")


def _server(endpoint: str | None, model: str | None, key_env: str | None, template: str | None) -> Endpoint | None:
    """The server to ask; None for a model here. RecipeError for what does not go together."""
    if endpoint is None:
        if key_env is not None:
            raise RecipeError("--key-env names the key of a server: it goes with --endpoint URL or FILE.")
        return None
    if template is not None:
        raise RecipeError("A server puts questions into its own template: leave --template out, or --endpoint.")
    return read_endpoint(endpoint, model, key_env)


def measure(
    policy: Policy,
    benchmark: Benchmark,
    *,
    model: str,
    pool: VerifierPool,
    engine: EngineConfig,
    limit: int | None = None,
    samples: int | None = None,
    temperature: float = _TEMPERATURE,
    top_p: float = _TOP_P,
    seed: int = 0,
    log: Path | None = None,
    progress: OnTick | None = None,
    judge: Judge | None = None,
    judge_name: str | None = None,
    per_call: int | None = None,
    go_on: bool = False,
    measures: Sequence[str] = (),
    world: World | None = None,
    say: Callable[[str], None] = _to_stderr,
    thinking_tokens: int | None = None,
    opened: Engine | None = None,
) -> Scores:
    """The scores of a policy on a benchmark; rows that cannot be used are left out, counted in the provenance and
    said. `engine` says what samples, which may be `opened` already; `world` says who answers its turns; `limit` takes
    so many problems, spread evenly over all; `judge`, named `judge_name`, `per_call` and `go_on` are as in `evaluate`;
    a thought is ended after `thinking_tokens`, where nobody answers."""
    problems, notes = read_material(benchmark, limit, judge_name, say)
    if thinking_tokens is not None:
        notes = notes | {"thinking_tokens": thinking_tokens}
    if world is not None:
        problems, notes = world.begin(problems), notes | {"environment": world.config.model_dump(mode="json")}
    if thinking_tokens is None and (kind := engine_kind(engine, policy, world)) != "local":
        notes = notes | {"engine": kind}
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=benchmark.max_tokens)
    return evaluate(
        policy.voice() if world is None else world.voiced(policy.voice()),
        opened or open_engine(engine, policy, world, thinking_tokens=thinking_tokens),
        problems,
        samples=samples or benchmark.samples,
        sampling=sampling,
        pool=pool,
        seed=seed,
        model=model,
        notes=notes,
        log=log,
        progress=progress,
        judge=judge,
        judges="safety" if benchmark.judge == "safety" else "correctness",
        per_call=per_call,
        go_on=go_on,
        measures=measures,
    )


def file_name(model: str) -> str:
    """A model's name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "model"


def _keep_earlier(folder: Path) -> None:
    """Move a finished evaluation that stands in the folder aside: a new one never overwrites it."""
    if not (folder / _SCORES).exists():
        return
    aside = new_folder(folder / "earlier")
    aside.mkdir()
    for name in (_COMPLETIONS, _COMPUTED, _SCORES):  # the scores last: they mark it as finished
        if (folder / name).exists():
            (folder / name).rename(aside / name)
    print(f"the earlier evaluation in {str(folder)!r} is kept as {str(aside)!r}", file=sys.stderr)


def _flat(scores: Scores, folder: Path) -> dict[str, Any]:
    value = scores.to_json()
    return {
        "model": scores.provenance["model"],
        "benchmark": scores.provenance.get("benchmark", {}).get("name"),
        **value["scores"],
        "invalid": value["invalid"],
        "by": value["by"],
        **({"requests": scores.provenance["requests"]} if "requests" in scores.provenance else {}),
        "folder": str(folder),
    }


def _show_progress(done: int, total: int, pace: str) -> None:
    line = f"\r{done:,} of {total:,} completions{'' if done == total else pace}"
    print(f"{line}\x1b[K", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _print_table(name: str, scores: Scores, folder: Path) -> None:
    table = Table(title=shown(name), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("", "problems", "pass@1", "95 %", "cons@16", "tokens", "format", "truncated", "empty"):
        table.add_column(column, justify="left" if column == "" else "right")
    rows: list[tuple[str, Score]] = [("all", scores.overall)]
    for what, parts in scores.by.items():
        if len(parts) > 1:
            rows += [(f"  {what} {one}" if one.isdigit() else f"  {one}", score) for one, score in parts.items()]
    for label, one in rows:
        cons = one.cons_at.get(16)
        table.add_row(
            shown(label),
            f"{one.problems:,}",
            f"{one.pass_at_1:.3f}" if one.pass_at else "-",
            f"{one.interval[0]:.3f}-{one.interval[1]:.3f}" if one.pass_at else "-",
            "-" if cons is None else f"{cons:.3f}",
            f"{one.mean_tokens:,.0f}",
            f"{one.format_ok:.3f}",
            f"{one.truncated:.3f}",
            f"{one.empty_answer:.3f}",
        )
    console = terminal()
    print_table(table, console)
    best = max(scores.overall.pass_at.items(), default=None)
    accuracy = "no problem has a gold" if best is None else f"pass@{best[0]} {best[1]:.3f}"
    console.print(f"{scores.overall.samples} samples per problem, {accuracy}")
    if (line := bill(scores)) is not None:
        console.print(line, soft_wrap=True)
    if scores.invalid is not None:
        console.print(scores.invalid, style="bold red", soft_wrap=True)
    console.print(f"completions and scores in {folder}", soft_wrap=True)
