"""What docs/judges.md shows works as it stands."""

import re
from pathlib import Path

from ponder.judge.attacks import attacks
from ponder.judge.graded import AgainstGold, ByCriteria
from ponder.recipe import load_recipe
from ponder.recipe.judges import Criterion
from ponder.recipe.stages import RlStage

PAGE = (Path(__file__).parents[2] / "docs" / "judges.md").read_text(encoding="utf-8")


def test_the_recipe_of_the_page_loads_and_says_who_judges(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    stage = load_recipe(tmp_path / "mine.yaml").stages["zero"]
    assert isinstance(stage, RlStage)
    assert stage.judges().keys() == {"judged", "rubric"}
    assert stage.rubric is not None and [one.weight for one in stage.rubric.criteria] == [1.0, 2.0]
    assert stage.judged is not None and stage.judged.by == stage.rubric.by


def test_the_forms_of_the_page_are_read() -> None:
    told = re.findall(r"^ {4}(\{.*?\})", PAGE, re.MULTILINE)
    right = AgainstGold().read(told[0].replace('"correct" or "incorrect"', '"correct"'))
    scores = ByCriteria((Criterion(text="a"), Criterion(text="b"))).read(told[1])
    assert right is not None and right.value == 1
    assert scores is not None and scores.value == 0.75


def test_the_page_counts_the_attacks() -> None:
    assert f"{len(list(attacks()))} answers that want its favour" in PAGE
