"""Commands about runs: what would run, running it, and what came of it."""

from pathlib import Path
from typing import Annotated

import typer

from ponder.allocator import keep_freed_memory
from ponder.cli.app import app, stopping
from ponder.cli.options import Json, Out, Overrides, RecipeFile, Redo, Smoke
from ponder.errors import PonderError, RecipeError

__all__ = ["plan", "recipes", "run", "show", "sweep"]


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
    with stopping(f"{folder} keeps all finished stages and the last checkpoint; the same command goes on from it"):
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
    with stopping(f"{folder} keeps all that is done; the same command goes on from it"):
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
