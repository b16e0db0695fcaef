"""The file that docs/following.md shows is in order."""

import re
from pathlib import Path

from ponder.pipeline.plan import describe_plan
from ponder.recipe import load_recipe
from ponder.recipe.stages import RlStage

PAGE = (Path(__file__).parents[2] / "docs" / "following.md").read_text(encoding="utf-8")


def test_the_recipe_of_the_page_can_be_planned(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    recipe = load_recipe(tmp_path / "mine.yaml")
    stage = recipe.stages["zero"]
    assert isinstance(stage, RlStage) and stage.sampler is not None and stage.stop is not None
    assert stage.takes() == {"measured": "problems"}
    assert "would not start" not in describe_plan(recipe, tmp_path / "run")
