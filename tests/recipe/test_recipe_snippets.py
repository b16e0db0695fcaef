"""The stages that the pages of docs/ show are stages: they load beside others of the names they refer to."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ponder.recipe import load_recipe

ROOT = Path(__file__).parents[2]
RL = {"kind": "rl", "model": "micro", "problems": [{"source": "micro"}], "steps": 9}
AROUND: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("zero", "reason", "r1"), RL),
    "sft": {"kind": "sft", "model": "micro", "examples": [{"source": "micro"}]},
    **{
        name: {"kind": "sample", "model": "micro", "problems": [{"source": "micro"}], "output": output}
        for name, output in (("cold_data", "examples"), ("pairs", "pairs"), ("labels", "labels"))
    },
    "helpful": {"kind": "reward_model", "model": "micro", "loss": "pairwise", "data": [{"source": "micro"}]},
    "safe": {"kind": "reward_model", "model": "micro", "loss": "pointwise", "data": [{"source": "micro"}]},
    "scores": {"kind": "evaluate", "models": ["micro"], "benchmarks": ["micro"]},
}
"""Stages that snippets refer to and do not show."""


def stages_in(page: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The snippets of a page that show stages: fenced as YAML, or paragraphs indented by four blanks."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    paragraphs = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S).split("\n\n")
    indented = [one for one in paragraphs if all(line.startswith("    ") for line in one.strip("\n").splitlines())]
    for block in (one for one in (*fenced, *indented) if "kind: " in one):
        shown = yaml.safe_load(textwrap.dedent(block))
        yield page.name, shown.get("stages", shown)


PAGES = ("evaluation.md", "report.md", "reward.md", "sample.md", "sft.md")
SNIPPETS = [one for page in PAGES for one in stages_in(ROOT / "docs" / page)]


def test_every_page_shows_some() -> None:
    assert {name for name, _ in SNIPPETS} == set(PAGES)


@pytest.mark.parametrize("snippet", [stages for _, stages in SNIPPETS], ids=[name for name, _ in SNIPPETS])
def test_it_loads(snippet: dict[str, Any], tmp_path: Path) -> None:
    around = {name: stage for name, stage in AROUND.items() if name not in snippet}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"name": "r", "stages": {**around, **snippet}}, sort_keys=False))
    recipe = load_recipe(tmp_path / "r.yaml")
    assert set(snippet) <= set(recipe.stages)
