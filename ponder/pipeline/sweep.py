"""`ponder sweep RECIPE seed=0,1,2 ...`: the same recipe with every combination of values, one run folder each.

    seed=0,1,2 optimizer.lr=1e-4,3e-4 -> six runs one after the other -> one table over seeds

A run is `ponder run` in a process of its own. The same command goes on where it was stopped: runs that are done are
passed over by `ponder run` itself.
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from ponder.errors import RecipeError
from ponder.recipe.load import load_recipe
from ponder.recipe.recipe import Recipe
from ponder.sandbox.kernel import end_with_parent

__all__ = ["SEED", "Cell", "cells", "finish", "run_cells", "split_values", "sweep_folder"]

SEED = "seed"
_OPENING, _CLOSING = "[{(", "]})"
_MOST_RUNS = 1000
_LONGEST_NAME = 255  # bytes of a file's name
_SAY = partial(print, flush=True)  # the runs write to the same output


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run: its values of what is swept, by key in the order given, all overrides, and its folder."""

    values: tuple[tuple[str, str], ...]
    overrides: tuple[str, ...]
    folder: Path

    @property
    def setting(self) -> tuple[tuple[str, str], ...]:
        """What it shares with the runs that differ by the seed alone."""
        return tuple((key, value) for key, value in self.values if key != SEED)

    @property
    def seed(self) -> str:
        """Its seed as written; "" where seeds are not swept."""
        return dict(self.values).get(SEED, "")


def cells(recipe: Path, overrides: Sequence[str], out: Path) -> tuple[Cell, ...]:
    """Every combination of the values, the last key changing fastest; all are checked before any runs. RecipeError
    where nothing is swept, a key or value stands twice, the seed is swept and a stage has one of its own, and for
    whatever `load_recipe` refuses."""
    keys = [key.strip() for key, equals, _ in (one.partition("=") for one in overrides) if equals]
    if repeated := next((key for key in keys if keys.count(key) > 1), None):
        raise RecipeError(
            f"{repeated!r} is given {keys.count(repeated)} times (--seeds gives `seed`, too), and only the last would "
            f"count: give it once, with all its values, such as {repeated}=0,1,2"
        )
    options: list[list[str]] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        values = split_values(text)
        if equals and (not all(values) or len(set(values)) < len(values)):
            raise RecipeError(
                f"{override!r} sweeps over {values}: expected different values with commas between them, such as "
                f"{key}=0,1,2"
            )
        options.append([f"{key.strip()}={value}" for value in values] if equals else [override])
    swept = [place for place, values in enumerate(options) if len(values) > 1]
    if not swept:
        raise RecipeError(
            "nothing is swept: give a key several values with commas between them, such as `seed=0,1,2`, or --seeds 3"
        )
    chosen = list(product(*options))
    if len(chosen) > _MOST_RUNS:
        raise RecipeError(f"{len(chosen):,} runs would be swept; the most is {_MOST_RUNS:,}")
    found: list[Cell] = []
    runs: dict[str, tuple[str, ...]] = {}
    for one in chosen:
        loaded = load_recipe(recipe, one)
        parts = [one[place].partition("=") for place in swept]
        swept_values = tuple((key, value) for key, _, value in parts)
        if SEED in dict(swept_values):
            _check_seeds(loaded)
        if (other := runs.setdefault(loaded.model_dump_json(), one)) is not one:
            raise RecipeError(
                f"`{' '.join(other)}` and `{' '.join(one)}` are the same run, which would count twice: give values "
                "that differ once they are read"
            )
        name = ",".join(re.sub(r"[^A-Za-z0-9._=+-]+", "-", one[place]) for place in swept)
        found.append(Cell(values=swept_values, overrides=one, folder=out / _short(name)))
    if len({cell.folder for cell in found}) < len(found):
        raise RecipeError("two of the swept values would have the same folder: write them differently")
    return tuple(found)


def sweep_folder(recipe: Path, overrides: Sequence[str], *, smoke: bool) -> Path:
    """`runs/<name>-sweep`, by the first of the values; smoke runs have a folder of their own. RecipeError for what
    `load_recipe` refuses."""
    first = []
    for override in overrides:
        key, equals, text = override.partition("=")
        first.append(f"{key.strip()}{equals}{split_values(text)[0]}")
    return Path("runs") / f"{load_recipe(recipe, first).name}-sweep{'-smoke' if smoke else ''}"


def _check_seeds(recipe: Recipe) -> None:
    own = [name for name, stage in recipe.stages.items() if stage.seed is not None]
    if own:
        raise RecipeError(
            f"the seed is swept, but {', '.join(own)} {'has' if len(own) == 1 else 'have'} a `seed` in the "
            f"recipe, which every run would share, so that nothing could be said of other seeds: add "
            f"{' '.join(f'stages.{name}.seed=null' for name in own)}"
        )


def _short(name: str) -> str:
    """The name, cut where a file system would not take it; a digest then tells it from others."""
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - len(digest) - 1]}-{digest}"


def split_values(text: str) -> list[str]:
    """The text between commas that stand in no bracket and no quotes."""
    values, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth -= 1
        elif char == "," and not depth:
            values.append("")
            continue
        values[-1] += char
    return [value.strip() for value in values]


def run_cells(
    recipe: str, found: Sequence[Cell], *, smoke: bool = False, say: Callable[[str], None] = _SAY
) -> list[Cell]:
    """Run every cell to its end, one after the other; those that failed, which the others do not wait for."""
    failed = []
    for number, cell in enumerate(found, 1):
        say(f"\n[{number} of {len(found)}] {', '.join(f'{key}={value}' for key, value in cell.values)}: {cell.folder}")
        command = [sys.executable, "-m", "ponder.cli", "run", recipe, *cell.overrides, "--out", str(cell.folder)]
        status = finish([*command, "--smoke"] if smoke else command)
        if status != 0:
            failed.append(cell)
            say(f"[{number} of {len(found)}] failed with status {status}; the others go on")
    return failed


def finish(command: Sequence[str]) -> int:
    """Run a command to its end and return its status. A KeyboardInterrupt is passed on as SIGTERM and goes through once
    the command has put its things in order; a second one does not wait for that. Whatever ends this process, on Linux
    it is told by SIGTERM, too."""
    # In a process group of its own it does not get the terminal's Ctrl-C beside the signal from here, which would
    # disturb it while it tidies up.
    process = subprocess.Popen(command, process_group=0, preexec_fn=end_with_parent)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        try:
            process.wait()
        except KeyboardInterrupt:
            process.kill()
            process.wait()
        raise
