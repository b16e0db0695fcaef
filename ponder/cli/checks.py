"""Commands before and beside training: judging answers, trying models and own code, cleaning data, the machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from ponder.cli.app import app, model_of, stopping
from ponder.cli.options import Json, TemplateName, finite
from ponder.errors import RecipeError

__all__ = ["decontaminate", "doctor", "try_", "verify"]


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
        float, typer.Option(min=0.1, callback=finite, metavar="SECONDS", help="Longest judgement of one answer.")
    ] = 5.0,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; one per core unless given.")] = None,
    isolation: Annotated[
        Literal["auto", "full", "limits"],
        typer.Option(help="Least isolation of programs: full wants namespaces, auto them or Landlock, limits neither."),
    ] = "auto",
) -> None:
    """Judge answers against gold: each row again with verdict and reason; or a run's stored rollouts anew."""
    from ponder.evaluation.verify_command import verify_command

    with stopping("the rows written so far stand"):
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
            min=1, callback=finite, help="About how long a model is looked at, loading left out; 120 if not given."
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
    with stopping("nothing was trained"):
        if not is_own(what):
            _for_the_other(f"{what} is a model", "functions", {"--rollouts": rollouts, "--deadline": deadline})
            _try_model(
                model_of(what),
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

    with stopping("nothing was written"):
        decontaminate_command(file, benchmark or (), text=text, out=out, as_json=as_json)


@app.command(short_help="What works on this machine, and what mends the rest.")
def doctor() -> None:
    """Show what works on this machine and the command that mends what does not."""
    from ponder.doctor import run_doctor

    if not run_doctor():
        raise typer.Exit(1)
