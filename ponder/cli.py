"""The command line: reads arguments, calls the layer that does the work, prints errors as one paragraph."""

import errno
import importlib.util
import io
import math
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, NoReturn, TextIO

import typer

from ponder.allocator import keep_freed_memory
from ponder.errors import PonderError, RecipeError

__all__ = ["app", "main"]

_INTERRUPTED = 130
_TRACEBACK = "PONDER_TRACEBACK"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

app = typer.Typer(
    name="ponder",
    help="Train reasoning models the way DeepSeek-R1 was trained, from one recipe file.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _finite(number: float | None) -> float | None:
    """A number that is neither infinite nor `nan`, which no bounds keep out, or none."""
    if number is None or math.isfinite(number):
        return number
    raise typer.BadParameter(f"{number} is no finite number")


def _share(number: float) -> float | None:
    if number > 0:
        return _finite(number)
    raise typer.BadParameter("must be above 0")


RecipeFile = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Recipe file, or the name of a shipped recipe (ponder recipes).")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides such as stages.zero.steps=5.")
]
Out = Annotated[Path | None, typer.Option(help="Run folder; runs/<name of the recipe> unless given.")]
Redo = Annotated[list[str] | None, typer.Option(metavar="STAGE", help="Run this stage and what builds on it anew.")]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="Two steps of every stage with a tiny random model, in a folder of its own.")
]
Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="Model folder, RUN/STAGE, hub id, or micro for the embedded base.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TemplateName = Annotated[str | None, typer.Option(help="Prompt form: r1-zero, r1 or plain; else the model's own.")]

Seed = Annotated[int, typer.Option(help="Sampling seed.")]
Vote = Annotated[int | None, typer.Option(metavar="K", help="Let K samples vote on the answer.")]
AbstainBelow = Annotated[
    float | None, typer.Option(metavar="SHARE", help="Give no answer that fewer than this share of the votes agree on.")
]
BestOf = Annotated[int | None, typer.Option(metavar="K", help="Take the best of K samples by a reward model.")]
ScorerFolder = Annotated[str | None, typer.Option("--scorer", metavar="FOLDER", help="The reward model of --best-of.")]
Retries = Annotated[
    int | None, typer.Option(metavar="R", help="Sample again, up to R times, until an answer is checked right.")
]
Audit = Annotated[bool, typer.Option("--audit", help="Look at every a = b between numbers in the thinking.")]
ThinkingTokens = Annotated[int | None, typer.Option(metavar="N", help="Force the end of a thought after N tokens.")]


@app.callback()
def options(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in the code an error came up.")] = False,
) -> None:
    """Train reasoning models the way DeepSeek-R1 was trained, from one recipe file."""
    if traceback:
        os.environ[_TRACEBACK] = "1"


@app.command(short_help="The recipes that ship with ponder, or the text of one.")
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this recipe instead of the list.")] = None,
) -> None:
    """List the recipes that ship with ponder, or print one: `ponder recipes zero-micro > mine.yaml` begins your own."""
    from ponder.recipe.shipped import one_line, shipped_recipe, shipped_recipes

    if name is not None:
        print(shipped_recipe(name).read_text(encoding="utf-8"), end="")
        return
    known = shipped_recipes()
    width = max(map(len, known))
    for one, file in known.items():
        print(f"{one:{width}}  {one_line(file)}")


@app.command(short_help="What would run, with memory and time; starts nothing.")
def plan(
    recipe: RecipeFile,
    overrides: Overrides = None,
    out: Out = None,
    machine: Annotated[
        str | None, typer.Option(metavar="NODESxCARDSxNAME", help="Plan for this machine, such as 8xH100 or 64x8xH800.")
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="With --machine: N ranks share a pass, whatever batch.context says."),
    ] = None,
) -> None:
    """Show what would run, in which order, what is done already, and the estimated memory and time."""
    from ponder.pipeline.cluster import parse_cluster
    from ponder.pipeline.plan import describe_plan, why_not
    from ponder.pipeline.run import default_out
    from ponder.recipe.load import load_recipe
    from ponder.recipe.shipped import find_recipe

    loaded = load_recipe(find_recipe(recipe), overrides or ())
    folder = out or default_out(loaded, smoke=False)
    if context is not None and machine is None:
        raise RecipeError(
            f"--context {context} says how many ranks on cards share a sequence, and no cards are named: give "
            "--machine, such as --machine 8xH100"
        )
    cluster = None if machine is None else parse_cluster(machine)
    print(describe_plan(loaded, folder, cluster=cluster, context=context))
    if why_not(loaded, folder, cluster):
        raise typer.Exit(1)


@app.command(short_help="Run a recipe, or go on with it.")
def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    out: Out = None,
    redo: Redo = None,
    smoke: Smoke = False,
    on: Annotated[
        str | None,
        typer.Option(metavar="WHERE", help="Place engines and ranks on: local, ray or ray://host:port."),
    ] = None,
) -> None:
    """Run a recipe. The same command continues a run that was stopped; finished stages are not run again."""
    keep_freed_memory()
    from ponder.pipeline.run import default_out
    from ponder.pipeline.run import run as run_recipe
    from ponder.recipe.load import load_recipe
    from ponder.recipe.shipped import find_recipe

    file = find_recipe(recipe)
    loaded = load_recipe(file, overrides or ())
    folder = out or default_out(loaded, smoke=smoke)
    with _stopping(f"{folder} keeps all finished stages and the last checkpoint; the same command goes on from it"):
        run_recipe(
            loaded,
            folder,
            text=file.read_text(encoding="utf-8"),
            overrides=overrides or (),
            redo_stages=redo or (),
            smoke=smoke,
            on=on,
        )


@app.command(short_help="A recipe with every combination of some values, and what came out over seeds.")
def sweep(
    recipe: RecipeFile,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE,...", help="Overrides; commas between values that are swept."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=2, help="So many seeds from 0 on: --seeds 3 is seed=0,1,2.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the runs; runs/<name of the recipe>-sweep.")] = None,
    smoke: Smoke = False,
) -> None:
    """Run a recipe for every combination of values, one after the other, and print one table with intervals over the
    runs that differ by their seed alone. The same command goes on with what was stopped or failed."""
    from ponder.files import write_json
    from ponder.pipeline.sweep import cells, run_cells, sweep_folder
    from ponder.recipe.shipped import find_recipe
    from ponder.report.seeds import tables
    from ponder.terminal import print_table, terminal

    file = find_recipe(recipe)
    wanted = [*(overrides or ()), *([] if seeds is None else ["seed=" + ",".join(map(str, range(seeds)))])]
    folder = out or sweep_folder(file, wanted, smoke=smoke)
    found = cells(file, wanted, folder)
    with _stopping(f"{folder} keeps all that is done; the same command goes on from it"):
        failed = run_cells(recipe, found, smoke=smoke)
    groups: dict[str, list[Path]] = {}
    for cell in found:
        groups.setdefault(", ".join(f"{key}={value}" for key, value in cell.setting), []).append(cell.folder)
    shown, value = tables(groups, [cell.folder for cell in failed])
    write_json(folder / "sweep.json", value)
    for table in shown:
        print_table(table, terminal())
    if failed:
        raise PonderError(
            f"{len(failed)} of {len(found)} runs failed, such as {failed[0].folder}: what is printed above says why. "
            "The same command runs those again, and only those."
        )


@app.command(short_help="Status and measurements of each stage of a run.")
def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    as_json: Json = False,
) -> None:
    """Show each stage of a run: status, seconds, and its metrics at start and end on the same held-out problems."""
    from ponder.report.show import show_run

    show_run(run, as_json)


@app.command("eval", short_help="Measure a model on a benchmark; every completion stored.")
def evaluate(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Model folder, RUN/STAGE, hub id, or micro.")
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option("--benchmark", "-b", help="Name of a shipped benchmark, or a benchmark file.")
    ] = None,
    problems: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Problems of your own in place of a benchmark: JSONL, JSON, CSV or Parquet."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="What the answers of --problems are, such as math, choice or code; math if not.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Field of --problems with the question; prompt if not given.")
    ] = None,
    gold: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Field of --problems with the answer; answer if not given.")
    ] = None,
    answer_after: Annotated[
        str | None,
        typer.Option(metavar="MARK", help="Mark in that field that the answer follows, such as '####' in GSM8K."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take this many problems, spread evenly over the benchmark.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest completion; the benchmark's own if not given.")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", "-k", min=1, help="Completions per problem; the benchmark's own if not given."),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, callback=_finite, help="Sampling temperature.")] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, callback=_share, help="Nucleus mass.")] = 0.95,
    template: TemplateName = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for scores and completions.")] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Judge these stored completions again instead of sampling.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL|FILE", help="Server that has MODEL, or a YAML file of its settings.")
    ] = None,
    key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the server's API key.")
    ] = None,
    vote: Vote = None,
    abstain_below: AbstainBelow = None,
    best_of: BestOf = None,
    scorer: ScorerFolder = None,
    retries: Retries = None,
    audit: Audit = False,
    thinking_tokens: ThinkingTokens = None,
    as_json: Json = False,
) -> None:
    """Measure a model on a benchmark with several samples per problem; every completion is stored."""
    from ponder.evaluation.benchmark import ProblemFields
    from ponder.evaluation.command import evaluate_command
    from ponder.recipe.compute import plan_of

    with _stopping("finished calls of the engine are kept; with --out the same command goes on from them"):
        evaluate_command(
            model if model is None or endpoint is not None else _model_of(model),
            benchmark,
            problems=problems,
            fields=ProblemFields(kind=kind, prompt=prompt, gold=gold, answer_after=answer_after),
            limit=limit,
            max_tokens=max_tokens,
            samples=samples,
            out=out,
            replay_file=replay,
            as_json=as_json,
            temperature=temperature,
            top_p=top_p,
            template=template,
            seed=seed,
            endpoint=endpoint,
            key_env=key_env,
            plan=plan_of(
                vote=vote,
                abstain_below=abstain_below,
                best_of=best_of,
                retries=retries,
                audit=audit,
                thinking_tokens=thinking_tokens,
            ),
            scorer=scorer,
        )


@app.command(short_help="Ask a model questions.")
def sample(
    model: Model,
    prompts: Annotated[list[str], typer.Argument(metavar="PROMPT", help="Questions.")],
    samples: Annotated[int, typer.Option("--samples", "-k", min=1, help="Completions per question.")] = 1,
    temperature: Annotated[
        float, typer.Option(min=0.0, callback=_finite, help="Sampling temperature; 0 is greedy.")
    ] = 0.6,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest completion.")] = 512,
    template: TemplateName = None,
    seed: Seed = 0,
    vote: Vote = None,
    abstain_below: AbstainBelow = None,
    best_of: BestOf = None,
    scorer: ScorerFolder = None,
    check: Annotated[
        str | None,
        typer.Option(metavar="CHECK", help="Check the answer: 'math 42', 'choice B', 'expression 3 7 = 10', or JSON."),
    ] = None,
    retries: Retries = None,
    audit: Audit = False,
    thinking_tokens: ThinkingTokens = None,
) -> None:
    """Ask a model questions and print what it thinks and answers."""
    from ponder.recipe.compute import plan_of
    from ponder.rollout.command import sample_command

    with _stopping("samples are printed only, nothing is kept"):
        sample_command(
            _model_of(model),
            prompts,
            samples=samples,
            temperature=temperature,
            max_tokens=max_tokens,
            template=template,
            seed=seed,
            plan=plan_of(
                vote=vote,
                abstain_below=abstain_below,
                best_of=best_of,
                retries=retries,
                audit=audit,
                thinking_tokens=thinking_tokens,
            ),
            check=check,
            scorer=scorer,
        )


@app.command(short_help="Talk with a model in the terminal.")
def chat(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Model as for ponder serve; with --url its name there, the first if not."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="A server that is there, such as http://127.0.0.1:8000/v1.")
    ] = None,
    key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the server's API key.")
    ] = None,
) -> None:
    """Talk with a model: its thinking dim and folded, votes, checks, branches, files that the chat page reads, too."""
    from ponder.serve.terminal import chat_command

    with _stopping("what /save wrote is kept"):
        if url is not None:
            chat_command(url, model, key_env)
        elif model is None or key_env is not None:
            raise typer.BadParameter("name a model, such as micro or runs/r1-micro/r1; --key-env goes with --url")
        else:
            _needs_serve("ponder chat MODEL")
            from ponder.serve.started import started

            with started(model) as address:
                chat_command(address, None, None)


@app.command(short_help="Serve a model behind OpenAI's interface.")
def serve(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Model folder, hub id, micro, or a stage of a run, as RUN/STAGE."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings such as port=8001; docs/recipe.md has all."),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="YAML file of settings.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Load the stage's newest checkpoint whenever there is one.")
    ] = False,
    new_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Make an API key, print its line for the file of keys, and end.")
    ] = None,
) -> None:
    """Serve a model behind OpenAI's interface, with the template it was trained with and its thinking apart."""
    _needs_serve("ponder serve")
    if new_key is not None:
        from ponder.serve.command import print_new_key

        print_new_key(new_key)
        return
    if model is None:
        raise typer.BadParameter("name a model, such as micro or runs/r1-micro/r1")
    from ponder.serve.settings import read_config
    from ponder.serve.spawn import ahead

    with _stopping("no reply was under way"):
        given = read_config(config, settings or ())
        with ahead(given) as lanes:
            from ponder.serve.command import serve_command  # takes as long to load as a lane does, hence beside it

            serve_command(model, given, lanes, follow=follow)


@app.command(short_help="A model, or data that a run made, as a folder for others, with a card.")
def export(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Model folder, hub id, micro, or a stage of a run, as RUN/STAGE."),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Hugging Face folder to make; of a sample stage it holds the records. NAME.gguf is as --gguf.",
        ),
    ] = None,
    gguf: Annotated[Path | None, typer.Option(metavar="FILE", help="File to make for llama.cpp.")] = None,
    kind: Annotated[
        Literal["f32", "f16", "q8_0", "q4_0"] | None,
        typer.Option("--type", help="How the weights of --gguf are stored; q8_0 if not given."),
    ] = None,
    ids_only: Annotated[
        bool, typer.Option("--ids-only", help="Write --gguf although llama.cpp would split text otherwise.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="ID", help="Licence for the card; else that of the base.")
    ] = None,
    template: TemplateName = None,
) -> None:
    """Write a model, or the data that a sample stage made, for others: weights, tokenizer, chat template, card."""
    from ponder.export.command import Gguf, export_command

    if to == Path("gguf"):
        raise typer.BadParameter("--to names what is made: --to NAME.gguf for a file, another name for a folder")
    if to is not None and to.suffix == ".gguf" and gguf is None:
        to, gguf = None, to
    if to is None and gguf is None:
        raise typer.BadParameter("say where to: --to FOLDER, --gguf FILE, or both")
    if gguf is None and (kind is not None or ids_only):
        raise typer.BadParameter("--type and --ids-only say what a --gguf FILE holds")
    if to is None and licence is not None:
        raise typer.BadParameter("--license stands in the card of a folder: it goes with --to")
    if gguf is not None and importlib.util.find_spec("gguf") is None:
        raise PonderError(f"--gguf needs the package gguf: {sys.executable} -m pip install 'ponder[export]'")
    file = None if gguf is None else Gguf(path=gguf, type=kind or "q8_0", ids_only=ids_only)
    with _stopping("what was not finished is gone"):
        export_command(model, to, licence, file, template)


@app.command(short_help="Judge answers against gold, or a run's rollouts anew.")
def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSONL, JSON, CSV or Parquet; or a run or stage folder.")
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            help="math, choice, expression, assignment, code, instructions, json, repository, rule, safety or format; "
            "rollouts need none."
        ),
    ] = None,
    gold: Annotated[str | None, typer.Option(metavar="FIELD", help="Field with the gold answer.")] = None,
    answer: Annotated[str | None, typer.Option(metavar="FIELD", help="Field with the text to judge.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="JSONL file; standard output unless given.")] = None,
    template: TemplateName = None,
    deadline: Annotated[
        float, typer.Option(min=0.1, callback=_finite, metavar="SECONDS", help="Longest judgement of one answer.")
    ] = 5.0,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; one per core unless given.")] = None,
    isolation: Annotated[
        Literal["auto", "full", "limits"],
        typer.Option(help="Least isolation of programs: full wants namespaces, auto them or Landlock, limits neither."),
    ] = "auto",
) -> None:
    """Judge answers against gold: each row again with verdict and reason; or a run's stored rollouts anew."""
    from ponder.evaluation.verify_command import verify_command

    with _stopping("the rows written so far stand"):
        totals = verify_command(
            file,
            kind=kind,
            gold=gold,
            answer=answer,
            out=out,
            workers=workers,
            deadline_seconds=deadline,
            template=template,
            isolation=isolation,
        )
    if totals.faults and len(totals.faults) == totals.outcomes.total():
        raise typer.Exit(1)  # the totals have said why not one row could be judged


@app.command("try", short_help="What a model, or a function of your own, does before anything is trained.")
def try_(
    what: Annotated[
        str,
        typer.Argument(metavar="MODEL|FILE.py:FUNCTION", help="A model, or a function of a Python file of your own."),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE", help="Arguments of a function that makes problems, or settings of gym:TASK."
        ),
    ] = None,
    problems: Annotated[
        str | None,
        typer.Option(metavar="FILE|NAME", help="What a model is tried on: a file, a benchmark's name, or gym:TASK."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="As in ponder eval.")] = None,
    prompt: Annotated[str | None, typer.Option(metavar="FIELD", help="As in ponder eval.")] = None,
    gold: Annotated[str | None, typer.Option(metavar="FIELD", help="As in ponder eval.")] = None,
    answer_after: Annotated[str | None, typer.Option(metavar="MARK", help="As in ponder eval.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest completion that a model is tried with; 2048 if not given.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=1, callback=_finite, help="About how long a model is looked at, loading left out; 120 if not given."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Sampling seed of a model's completions; 0 if not given.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for what is seen of a model; tries/MODEL--PROBLEMS.")] = None,
    rollouts: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run or stage folder that a reward or verifier is tried on.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Take so many problems, or try a function on so many rollouts or problems; 1000 if not given."
        ),
    ] = None,
    template: TemplateName = None,
    deadline: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="Longest call of a function; 5 if not given.")
    ] = None,
) -> None:
    """Try a model on problems: which template suits, what is right, how long, how fast, and a recipe. Or a reward, keep
    rule, verifier or source of problems of your own, before anything is trained with it."""
    from ponder.recipe.own import is_own

    of_model: dict[str, object] = {
        "--problems": problems, "--max-tokens": max_tokens, "--seconds": seconds, "--seed": seed, "--out": out,
        "--kind": kind, "--prompt": prompt, "--gold": gold, "--answer-after": answer_after,
    }  # fmt: skip
    with _stopping("nothing was trained"):
        if not is_own(what):
            _for_the_other(f"{what} is a model", "functions", {"--rollouts": rollouts, "--deadline": deadline})
            _try_model(
                _model_of(what),
                arguments or (),
                problems,
                (kind, prompt, gold, answer_after),
                template=template,
                max_tokens=max_tokens or 2048,
                seconds=120.0 if seconds is None else seconds,
                seed=seed or 0,
                limit=limit,
                out=out,
            )
            return
        from ponder.evaluation.try_command import try_command

        _for_the_other(f"{what} is a function of your own", "models", of_model)
        try_command(
            what,
            rollouts,
            arguments=arguments or (),
            limit=limit or 1000,
            deadline_seconds=5.0 if deadline is None else deadline,
            template=template,
        )


def _for_the_other(what: str, others: str, options: Mapping[str, object]) -> None:
    """RecipeError for options that say nothing about what is tried."""
    if given := [name for name, value in options.items() if value is not None]:
        raise RecipeError(f"{what}: {', '.join(given)} {'is' if len(given) == 1 else 'are'} for {others}, leave out.")


def _try_model(
    model: str,
    arguments: Sequence[str],
    problems: str | None,
    fields: tuple[str | None, str | None, str | None, str | None],
    *,
    template: str | None,
    max_tokens: int,
    seconds: float,
    seed: int,
    limit: int | None,
    out: Path | None,
) -> None:
    """What `ponder try MODEL` prints, and the plan of the recipe that it leaves."""
    if problems is None:
        raise RecipeError(
            f"{model} is tried on problems: name a file, a benchmark or a task of reasoning-gym, such as "
            "`--problems questions.jsonl`, `--problems gsm8k` or `--problems gym:countdown`"
        )
    from ponder.evaluation.benchmark import ProblemFields
    from ponder.evaluation.command import file_name
    from ponder.evaluation.try_command import given
    from ponder.evaluation.try_model import problems_named, try_model
    from ponder.files import new_folder
    from ponder.pipeline.plan import describe_plan
    from ponder.pipeline.room import room_to_update
    from ponder.pipeline.run import default_out
    from ponder.recipe.load import load_recipe

    kind, prompt, gold, after = fields
    named = ProblemFields(kind=kind, prompt=prompt, gold=gold, answer_after=after)
    found = problems_named(problems, named, given(arguments))
    usual = Path("tries") / f"{file_name(model)}--{found.name}"
    folder = out or new_folder(usual)
    recipe = try_model(
        model,
        found,
        template=template,
        max_tokens=max_tokens,
        seconds=seconds,
        seed=seed,
        folder=folder,
        recipe_name=f"tried-{found.name}" + ("" if out else folder.name.removeprefix(usual.name)),
        limit=limit,
        time_update=room_to_update(model),
    )
    loaded = load_recipe(recipe, ())
    print(f"\n{describe_plan(loaded, default_out(loaded, smoke=False))}")


@app.command(short_help="Which rows of a file share words with a benchmark; the file without them.")
def decontaminate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSONL, JSON, CSV or Parquet.")],
    benchmark: Annotated[
        list[str] | None, typer.Option("--benchmark", "-b", help="Name of a shipped benchmark, or a file; repeatable.")
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="FIELD", help="Field to look at; all texts unless given.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="JSONL file for the rows without overlap.")] = None,
    as_json: Json = False,
) -> None:
    """Find the rows of a file that share ten words in a row with a question of a benchmark, and leave them out."""
    from ponder.evaluation.decontaminate_command import decontaminate_command

    with _stopping("nothing was written"):
        decontaminate_command(file, benchmark or (), text=text, out=out, as_json=as_json)


@app.command(short_help="What works on this machine, and what mends the rest.")
def doctor() -> None:
    """Show what works on this machine and the command that mends what does not."""
    from ponder.doctor import run_doctor

    if not run_doctor():
        raise typer.Exit(1)


def _model_of(reference: str) -> str:
    """The folder of the model of a stage, where `reference` names one; anything else as it is."""
    from ponder.files import model_path
    from ponder.serve.served import find_served, stage_folder

    if stage_folder(model_path(reference)) is None:
        return reference
    return str(find_served(reference, follow=False).folder)


def _needs_serve(command: str) -> None:
    if importlib.util.find_spec("uvicorn") is None or importlib.util.find_spec("starlette") is None:
        raise PonderError(f"{command} needs Starlette and uvicorn: {sys.executable} -m pip install 'ponder[serve]'")


@contextmanager
def _stopping(what_is_kept: str) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the command with one line and status 130."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        print(f"stopped: {what_is_kept}", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point of the `ponder` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode shows escapes
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            try:
                app()
            finally:
                sys.stdout.flush()  # here, where it is known what to do when that fails
        except BrokenPipeError:  # the reader of our output, such as `head`, has gone
            _write_nowhere()
            sys.exit(1)
        except (PonderError, OSError) as error:
            if os.environ.get(_TRACEBACK) or not _is_users(error):
                raise
            print(f"ponder: {_told(error)}", file=sys.stderr)
            if _is_full(error):
                _write_nowhere()
            sys.exit(1)


def _write_nowhere() -> None:
    """What is left to print is dropped, or Python would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_full(error: PonderError | OSError) -> bool:
    """Whether a file that was open cannot be written on, such as the output."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _FULL


def _is_users(error: PonderError | OSError) -> bool:
    """Whether the error is about something the user named, or the machine, and no bug."""
    return isinstance(error, PonderError) or error.filename is not None or _is_full(error)


def _told(error: PonderError | OSError) -> str:
    if isinstance(error, PonderError):
        return str(error)
    if _is_full(error):
        return (
            f"the output, or a file of the run, cannot be written: {error.strerror}. Make room, and give the same "
            f"command again; what was written before is kept"
        )
    return (
        f"{str(error.filename)!r} cannot be used: {error.strerror}. Check that the path is right, that its folder can "
        f"be written to and that the disk is in order; `ponder --traceback ...` shows where it came up"
    )


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Our own warnings as one line; those of libraries with their place."""
    ours = category is UserWarning and Path(filename).is_relative_to(Path(__file__).parent)
    place = "ponder: warning" if ours else f"{filename}:{lineno}: {category.__name__}"
    print(f"{place}: {message}", file=file or sys.stderr)


if __name__ == "__main__":
    main()
