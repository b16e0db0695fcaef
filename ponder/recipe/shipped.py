"""The recipes that ship with ponder, found by name. The first line of each says what it is."""

from pathlib import Path

from ponder.errors import RecipeError
from ponder.nearest import did_you_mean

__all__ = ["find_recipe", "one_line", "shipped_recipe", "shipped_recipes"]

_FOLDER = Path(__file__).parents[1] / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """Every shipped recipe by its name."""
    return {path.name.removesuffix(".yaml"): path for path in sorted(_FOLDER.glob("*.yaml"))}


def shipped_recipe(name: str) -> Path:
    """The file of a shipped recipe; RecipeError, with the nearest name, where there is none."""
    known = shipped_recipes()
    if name not in known:
        raise RecipeError(f"ponder ships no recipe {name!r}{did_you_mean(name, known)}")
    return known[name]


def find_recipe(path_or_name: str) -> Path:
    """The recipe file that was named: one of the user's own, or a shipped one by its bare name. A file wins.

    Raises RecipeError for a name that is neither. A path that leads nowhere is given back for the reader of recipes to
    complain of, which knows what lies beside it.
    """
    path, known = Path(path_or_name), shipped_recipes()
    if path.exists() and not path.is_dir():
        return path
    if path_or_name in known:
        return known[path_or_name]
    if (name := path.name.removesuffix(".yaml")) in known:
        raise RecipeError(
            f"there is no recipe at {path_or_name!r}; ponder ships one of this name: give {name!r} alone, or make the "
            f"file with `ponder recipes {name} > {name}.yaml`"
        )
    if path.name == path_or_name and not path.suffix and not path.exists():
        raise RecipeError(
            f"{path_or_name!r} is neither a file in {str(Path.cwd())!r} nor a recipe that ponder ships"
            f"{did_you_mean(path_or_name, known)}"
        )
    return path


def is_shipped(file: Path) -> bool:
    """Whether a file is one of the shipped recipes."""
    return file.absolute().parent == _FOLDER.absolute()


def one_line(recipe: Path) -> str:
    """What a shipped recipe is: its first line, without the comment's mark."""
    with recipe.open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()
