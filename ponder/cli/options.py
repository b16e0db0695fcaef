"""Arguments and options that several commands have, and bounds that typer does not know."""

import math
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AbstainBelow",
    "Audit",
    "BestOf",
    "Json",
    "Model",
    "Out",
    "Overrides",
    "RecipeFile",
    "Redo",
    "Retries",
    "ScorerFolder",
    "Seed",
    "Smoke",
    "TemplateName",
    "ThinkingTokens",
    "Vote",
    "finite",
    "share",
]


def finite(number: float | None) -> float | None:
    """A number that is neither infinite nor `nan`, which no bounds keep out, or none."""
    if number is None or math.isfinite(number):
        return number
    raise typer.BadParameter(f"{number} is no finite number")


def share(number: float) -> float | None:
    if number > 0:
        return finite(number)
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
