"""`ponder eval`: one model on one benchmark, every completion stored, numbers as a table or as JSON."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ponder.errors import RecipeError
from ponder.evaluation.benchmark import AS_USUAL, Benchmark, ProblemFields, file_benchmark, find_benchmark, own_code
from ponder.evaluation.evaluate import OnTick, evaluate, replay
from ponder.evaluation.scores import Score, Scores, write_scores
from ponder.judge import Judge
from ponder.policy.load import load_policy
from ponder.policy.policy import Policy
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.rollout.open import open_engine
from ponder.task import load_problems
from ponder.terminal import print_table, shown, terminal
from ponder.verify.pool import VerifierPool
from ponder.watch.ticker import Ticker

__all__ = ["PER_CALL", "evaluate_command", "file_name", "measure"]

_TEMPERATURE = 0.6  # R1 v2, D.1
_TOP_P = 0.95
PER_CALL = 1024
"""Completions of one call of the engine: what a kill can cost."""
_SCORES, _COMPLETIONS = "scores.json", "completions.jsonl"


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
) -> None:
    """Evaluate and print. Writes `scores.json` and `completions.jsonl` into `out`, by default a new folder under
    `evaluations/`.

    `problems`, a file whose `fields` are named, stands in place of a benchmark. `limit` takes so many problems, and
    `max_tokens` is the longest completion in place of the benchmark's own.
    With `replay_file` the stored completions are judged again instead, and model and benchmark are not needed.
    Everything but the result goes to stderr, so that `as_json` leaves one JSON object on stdout.
    """
    if problems is None and fields != AS_USUAL:
        raise RecipeError(
            "--kind, --prompt and --gold say how the rows of --problems FILE are read; a benchmark says so itself."
        )
    if replay_file is not None:
        if not (model is None and benchmark is None and problems is None and limit is None and max_tokens is None):
            raise RecipeError(
                "--replay judges the stored completions again, all of them and as they are: leave out the model, "
                "--benchmark, --problems, --limit and --max-tokens."
            )
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
        if model is None or (benchmark is None) == (problems is None):
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
        if found.judge == "correctness" or found.without_gold:
            raise RecipeError(
                f"The benchmark {found.name!r} needs a judge that reads answers, which `ponder eval` has not: write a "
                "recipe with a stage of kind `evaluate` and its `judge`."
            )
        policy = load_policy(model, template, trained=False)
        name = f"{model} on {found.name}"
        folder = out or _new_folder(Path("evaluations") / f"{file_name(model)}--{found.name}")
        _keep_earlier(folder)
        with VerifierPool(own=own_code(found)) as pool:
            scores = measure(
                policy,
                found,
                model=model,
                pool=pool,
                engine=EngineConfig(),
                limit=limit,
                samples=samples,
                temperature=temperature,
                top_p=top_p,
                seed=seed,
                log=folder / _COMPLETIONS,
                progress=_show_progress if sys.stderr.isatty() else Ticker(name, _to_stderr),
                per_call=PER_CALL,
                go_on=True,
            )
    write_scores(folder / _SCORES, scores)
    if as_json:
        print(json.dumps(_flat(scores, folder), ensure_ascii=False, indent=2))
    else:
        _print_table(name, scores, folder)


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
    say: Callable[[str], None] = _to_stderr,
) -> Scores:
    """The scores of a policy on a benchmark; rows that cannot be used are left out, counted in the provenance and
    said. `engine` says what samples; `limit` takes so many problems, spread evenly over all; `judge`, named
    `judge_name`, `per_call` and `go_on` are as in `evaluate`."""
    loaded = load_problems(benchmark.problems, own_code(benchmark))
    if loaded.left_out:
        say(loaded.summary())
    problems = loaded.problems
    if limit is not None and limit < len(problems):
        say(f"{limit:,} of the {len(problems):,} problems of {benchmark.name}, spread evenly")
        problems = tuple(problems[i * len(problems) // limit] for i in range(limit))
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=benchmark.max_tokens)
    notes = {"benchmark": benchmark.model_dump(mode="json"), "rows_left_out": len(loaded.left_out), "judge": judge_name}
    return evaluate(
        policy.voice(),
        open_engine(engine, policy),
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
        per_call=per_call,
        go_on=go_on,
        measures=measures,
    )


def file_name(model: str) -> str:
    """A model's name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "model"


def _new_folder(folder: Path) -> Path:
    """The folder, numbered where earlier results stand there: they are not overwritten."""
    names = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(name for name in chain([folder], names) if not name.exists())


def _keep_earlier(folder: Path) -> None:
    """Move a finished evaluation that stands in the folder aside: a new one never overwrites it."""
    if not (folder / _SCORES).exists():
        return
    aside = _new_folder(folder / "earlier")
    aside.mkdir()
    for name in (_COMPLETIONS, _SCORES):  # the scores last: they mark it as finished
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
        "folder": str(folder),
    }


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done:,} of {total:,} completions", end="\n" if done == total else "", file=sys.stderr, flush=True)


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
            f"{one.pass_at_1:.3f}",
            f"{one.interval[0]:.3f}-{one.interval[1]:.3f}",
            "-" if cons is None else f"{cons:.3f}",
            f"{one.mean_tokens:,.0f}",
            f"{one.format_ok:.3f}",
            f"{one.truncated:.3f}",
            f"{one.empty_answer:.3f}",
        )
    console = terminal()
    print_table(table, console)
    best = max(scores.overall.pass_at)
    console.print(f"{scores.overall.samples} samples per problem, pass@{best} {scores.overall.pass_at[best]:.3f}")
    if scores.invalid is not None:
        console.print(scores.invalid, style="bold red", soft_wrap=True)
    console.print(f"completions and scores in {folder}", soft_wrap=True)
