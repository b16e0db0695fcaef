"""Commands about a model that is there: measuring it, asking it, serving it, giving it away."""

import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ponder.cli.app import app, model_of, needs_serve, stopping
from ponder.cli.options import (
    AbstainBelow,
    Audit,
    BestOf,
    Json,
    Model,
    Retries,
    ScorerFolder,
    Seed,
    TemplateName,
    ThinkingTokens,
    Vote,
    finite,
    share,
)
from ponder.errors import PonderError

__all__ = ["chat", "evaluate", "export", "sample", "serve"]


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
    temperature: Annotated[float, typer.Option(min=0.0, callback=finite, help="Sampling temperature.")] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, callback=share, help="Nucleus mass.")] = 0.95,
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

    with stopping("finished calls of the engine are kept; with --out the same command goes on from them"):
        evaluate_command(
            model if model is None or endpoint is not None else model_of(model),
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
        float, typer.Option(min=0.0, callback=finite, help="Sampling temperature; 0 is greedy.")
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

    with stopping("samples are printed only, nothing is kept"):
        sample_command(
            model_of(model),
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

    with stopping("what /save wrote is kept"):
        if url is not None:
            chat_command(url, model, key_env)
        elif model is None or key_env is not None:
            raise typer.BadParameter("name a model, such as micro or runs/r1-micro/r1; --key-env goes with --url")
        else:
            needs_serve("ponder chat MODEL")
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
    needs_serve("ponder serve")
    if new_key is not None:
        from ponder.serve.command import print_new_key

        print_new_key(new_key)
        return
    if model is None:
        raise typer.BadParameter("name a model, such as micro or runs/r1-micro/r1")
    from ponder.serve.settings import read_config
    from ponder.serve.spawn import ahead

    with stopping("no reply was under way"):
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
    with stopping("what was not finished is gone"):
        export_command(model, to, licence, file, template)
