"""Shipped recipes are found by name, a file of the user's goes first, and a wrong name is told with the nearest one."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ponder.cli import app
from ponder.errors import RecipeError
from ponder.recipe import find_recipe, load_recipe, shipped_recipes

SHIPPED = sorted(Path(__file__).parents[2].glob("ponder/recipes/*.yaml"))
LONGEST_LINE = 120


def test_every_recipe_of_the_package_is_shipped_and_named_as_its_file() -> None:
    known = shipped_recipes()
    assert list(known.values()) == SHIPPED
    assert {load_recipe(path).name for path in SHIPPED} == known.keys() >= {"zero-micro", "r1-micro"}


def test_the_front_page_names_every_recipe() -> None:
    page = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [name for name in shipped_recipes() if f"`{name}`" not in page] == []
    pages = sorted(path.name for path in (Path(__file__).parents[2] / "docs").glob("*.md"))
    assert [name for name in pages if f"docs/{name}" not in page] == []


def test_the_list_has_one_line_for_each_that_says_what_it_is() -> None:
    result = CliRunner().invoke(app, ["recipes"])
    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert [line.split()[0] for line in lines] == [path.name.removesuffix(".yaml") for path in SHIPPED]
    for line, path in zip(lines, SHIPPED, strict=True):
        said = line.split(maxsplit=1)[1]
        assert said.endswith(".") and path.read_text().startswith(
            f"# {said}\n"
        )  # a whole sentence, none cut by the line
        assert len(said) < LONGEST_LINE


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_printed_recipe_is_the_file_and_runs_from_there(path: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(CliRunner().invoke(app, ["recipes", path.name.removesuffix(".yaml")]).output)
    assert mine.read_bytes() == path.read_bytes()
    assert load_recipe(find_recipe(str(mine))) == load_recipe(path).at(tmp_path)


def test_a_file_goes_before_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = shipped_recipes()["zero-micro"]
    assert find_recipe("zero-micro") == shipped
    (tmp_path / "zero-micro").mkdir()  # such as an earlier run's folder: no recipe
    assert find_recipe("zero-micro") == shipped
    (tmp_path / "zero-micro").rmdir()
    own = tmp_path / "zero-micro"
    own.write_text("name: own\n")
    assert find_recipe("zero-micro").resolve() == own


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("zero-mirco", "did you mean 'zero-micro'?"),
        ("nothing-like-it", "known here: base-micro, bugfix-micro, distill"),
        ("zero-micro.yaml", "give 'zero-micro' alone"),
        ("recipes/zero-gsm8k-qwen2.5-1.5b.yaml", "give 'zero-gsm8k-qwen2.5-1.5b' alone"),
    ],
)
def test_a_wrong_name_is_told(given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as error:
        find_recipe(given)
    assert said in str(error.value) and repr(given) in str(error.value)


def test_a_path_that_leads_nowhere_is_the_readers_to_tell(tmp_path: Path) -> None:
    (tmp_path / "near.yaml").write_text("name: near\n")
    with pytest.raises(
        RecipeError, match=r"holds near\.yaml; name one that is there, or one that `ponder recipes` lists"
    ):
        load_recipe(find_recipe(str(tmp_path / "nera.yaml")))


def test_no_such_recipe_to_print() -> None:
    result = CliRunner().invoke(app, ["recipes", "r1"])
    assert isinstance(result.exception, RecipeError)
    assert "ponder ships no recipe 'r1'" in str(result.exception)
