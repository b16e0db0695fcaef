"""The page of all recipe keys is complete and current."""

from pathlib import Path

import pytest

from ponder.recipe.base import Component
from ponder.recipe.docs import components, markdown

PAGE = Path(__file__).parents[2] / "docs" / "recipe.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "recipe fields changed: run `make docs`"


@pytest.mark.parametrize("component", components(), ids=lambda c: c.__name__)
def test_every_field_is_documented(component: type[Component]) -> None:
    undocumented = [name for name, field in component.model_fields.items() if not field.description]
    assert not undocumented
    assert component.__doc__


def test_every_link_leads_somewhere() -> None:
    page = markdown()
    titles = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    anchors = {"".join(c for c in t.lower() if c.isalnum() or c in " _-").replace(" ", "-") for t in titles}
    linked = {piece.split(")")[0] for piece in page.split("](#")[1:]}
    assert linked and linked <= anchors
