"""docs/r1.md says what the recipes say: its tables of settings are compared with them, key by key."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ponder.recipe import load_recipe
from ponder.recipe.source import parse_value

ROOT = Path(__file__).parents[2]
ABSENT = "-"


def rows() -> list[tuple[str, str, str, str]]:
    """(stage, key, recipe, cell) of every setting."""
    page = (ROOT / "docs" / "r1.md").read_text(encoding="utf-8")
    settings = page.partition("## Settings")[2].partition("\n## ")[0]
    found = []
    for section in settings.split("\n### ")[1:]:
        for line in section.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) == 5 and (key := re.fullmatch(r"`([\w.]+)`", cells[0])):
                stage = section.split("\n")[0]
                found += [(stage, key[1], "r1-671b", cells[3]), (stage, key[1], "r1-micro", cells[4])]
    return found


@cache
def stages(recipe: str) -> dict[str, Any]:
    loaded = load_recipe(ROOT / "ponder" / "recipes" / f"{recipe}.yaml")
    return {name: stage.model_dump(mode="json") for name, stage in loaded.stages.items()}


def value(data: Any, key: str) -> Any:
    """What stands under a dotted key; the mark of absence where nothing does."""
    for part in key.split("."):
        if isinstance(data, list):
            data = data[int(part)] if int(part) < len(data) else ABSENT
        else:
            data = data.get(part, ABSENT) if isinstance(data, dict) else ABSENT
    return ABSENT if data is None and key.endswith(".limit") else data


@pytest.mark.parametrize(("stage", "key", "recipe", "cell"), rows())
def test_a_setting_is_what_the_recipe_says(stage: str, key: str, recipe: str, cell: str) -> None:
    said = ABSENT if cell == ABSENT else parse_value(re.sub(r"(?<=\d),(?=\d{3})", "", cell), "docs/r1.md")
    assert value(stages(recipe)[stage], key) == said


def test_there_are_settings_of_every_stage_that_both_recipes_have() -> None:
    named = {stage for stage, _, _, _ in rows()}
    shared = stages("r1-671b").keys() & stages("r1-micro").keys()
    assert shared - named <= {"safe_data", "report"} and len(rows()) > 100


def test_the_cost_is_the_published_one() -> None:
    from ponder.report.published import published_costs

    cost = published_costs()
    page = (ROOT / "docs" / "r1.md").read_text(encoding="utf-8").partition("## Cost")[2]
    for part, hours in cost.hours.items():
        name = "sum (v2, table 7)" if part == "Total" else part
        assert f"| {name} | {hours:,.0f} | {cost.dollars[part]:,.0f} |" in page
