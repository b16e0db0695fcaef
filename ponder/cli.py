"""The command line: reads arguments, calls the layer that does the work, prints errors as one paragraph."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ponder.errors import PonderError
from ponder.pipeline.run import default_out
from ponder.pipeline.run import run as run_recipe
from ponder.recipe.load import load_recipe

__all__ = ["app", "main"]

_INTERRUPTED = 130

app = typer.Typer(
    name="ponder",
    help="Train reasoning models the way DeepSeek-R1 was trained, from one recipe file.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Overrides such as stages.zero.steps=5.")
]
Out = Annotated[Path | None, typer.Option(help="Run folder; runs/<name of the recipe> unless given.")]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="Two steps of every stage with a tiny random model, in a folder of its own.")
]


@app.command()
def plan(recipe: RecipeFile, overrides: Overrides = None, out: Out = None) -> None:
    """Show what would run, in which order, what is done already, and the estimated memory and time."""
    from ponder.pipeline.plan import describe_plan

    loaded = load_recipe(recipe, overrides or ())
    print(describe_plan(loaded, out or default_out(loaded, smoke=False)))


@app.command()
def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    out: Out = None,
    redo: Annotated[
        list[str] | None, typer.Option(metavar="STAGE", help="Run this stage and what builds on it anew.")
    ] = None,
    smoke: Smoke = False,
) -> None:
    """Run a recipe. The same command continues a run that was stopped; finished stages are not run again."""
    loaded = load_recipe(recipe, overrides or ())
    folder = out or default_out(loaded, smoke=smoke)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        run_recipe(
            loaded,
            folder,
            text=recipe.read_text(encoding="utf-8"),
            overrides=overrides or (),
            redo_stages=redo or (),
            smoke=smoke,
        )
    except KeyboardInterrupt:
        print(
            f"stopped: {folder} keeps all finished stages and the last checkpoint; the same command goes on from it",
            file=sys.stderr,
        )
        raise typer.Exit(_INTERRUPTED) from None


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point of the `ponder` command."""
    try:
        app(standalone_mode=True)
    except PonderError as error:
        if os.environ.get("PONDER_TRACEBACK"):
            raise
        print(f"ponder: {error}", file=sys.stderr)
        sys.exit(1)
