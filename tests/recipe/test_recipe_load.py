"""Recipe files: what is read, and what each mistake says."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import RecipeError
from ponder.recipe import PRESETS, Recipe, RlStage, load_recipe
from ponder.recipe.source import parse_value

PLAIN = """\
name: small
stages:
  zero:
    kind: rl
    model: micro
    steps: 5
    optimizer: {lr: 1e-6}
    problems:
      - {source: micro, count: 8}
      - source: file
        path: data.jsonl
    objective: dapo
  scores:
    kind: evaluate
    models: [zero, micro]
    benchmarks: [gsm8k]
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(PLAIN)
    return path


def zero(recipe: Recipe) -> RlStage:
    stage = recipe.stages["zero"]
    assert isinstance(stage, RlStage)
    return stage


def test_values_and_defaults(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file)
    assert (recipe.name, recipe.seed, list(recipe.stages)) == ("small", 0, ["zero", "scores"])
    assert zero(recipe).optimizer.lr == 1e-6  # a float although YAML 1.1 takes it for text
    assert zero(recipe).group_size == 16
    assert zero(recipe).objective.clip_high == PRESETS["dapo"]["clip_high"]


@pytest.mark.parametrize(
    ("override", "place", "expected"),
    [
        ("stages.zero.steps=7", "steps", 7),
        ("stages.zero.problems.0.count=10", "problems.0.count", 10),
        ("stages.zero.sampling.temperature=0.7", "sampling.temperature", 0.7),
        ("stages.zero.optimizer.lr=2e-5", "optimizer.lr", 2e-5),
        ("stages.zero.rewards={accuracy: 1}", "rewards", {"accuracy": 1.0}),
        ("stages.zero.objective=rloo", "objective.preset", "rloo"),
        ("stages.zero.objective.kl_coefficient=0.01", "objective.preset", "dapo"),
        ("stages.zero.objective.kl_coefficient=0.01", "objective.kl_coefficient", 0.01),
        ("stages.zero.held_out={problems: [{source: micro, split: test}]}", "held_out.problems.0.split", "test"),
        ("stages.zero.objective.reference_every=null", "objective.reference_every", None),
    ],
)
def test_overrides(recipe_file: Path, override: str, place: str, expected: object) -> None:
    value: object = zero(load_recipe(recipe_file, [override])).model_dump()
    for part in place.split("."):
        value = value[int(part)] if isinstance(value, tuple) else value[part]  # type: ignore[index]
    assert value == expected


def test_later_overrides_win_and_build_on_earlier_ones(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file, ["stages.zero.objective=grpo", "stages.zero.objective.kl_coefficient=0.5"])
    assert (zero(recipe).objective.preset, zero(recipe).objective.kl_coefficient) == ("grpo", 0.5)


MISTAKES = [
    # what to replace, by what, and what the error must say
    ("    steps: 5", "    stpes: 5", ["small.yaml:6: unknown key 'stpes' in stages.zero (rl); did you mean 'steps'?"]),
    ("    steps: 5", "    steps: five", [":6: stages.zero.steps: got the text 'five', expected a whole number"]),
    ("    steps: 5", '    steps: "5"', [":6: stages.zero.steps: got the text '5', expected a whole number"]),
    ("    steps: 5", "    steps: 5.5", [":6: stages.zero.steps: got 5.5, expected a whole number"]),
    ("    steps: 5", "    steps: true", [":6: stages.zero.steps: got true, expected a whole number"]),
    ("    steps: 5", "    steps:", [":6: stages.zero.steps: got nothing (null), expected a whole number"]),
    ("    steps: 5", "    steps: 0", [":6: stages.zero.steps: got 0, expected greater than or equal to 1"]),
    (
        "    steps: 5",
        "    steps: 5\n    engine: {workers: 0}",
        [":7: stages.zero.engine.workers: got 0, expected ", "'auto'", ", or ", "greater than or equal to 1"],
    ),
    (
        "    steps: 5",
        "    steps: 5\n    batch: {recompute: maybe}",
        [":7: stages.zero.batch.recompute: got the text 'maybe', expected ", "true or false", ", or ", "'auto'"],
    ),
    ("    steps: 5\n", "", [":3: stages.zero (rl) needs 'steps', which has no default (Policy updates)"]),
    ("    steps: 5", "    steps: 5\n    steps: 6", [":7: key 'steps' stands twice in stages.zero, first at", ":6"]),
    (
        "kind: rl",
        "kind: reinforce",
        ["small.yaml:4: stages.zero: unknown 'kind' 'reinforce'", "pretrain, report, reward_model, rl"],
    ),
    ("    kind: rl\n", "", [":3: stages.zero needs 'kind', which says what it is"]),
    ("objective: dapo", "objective: dappo", ["got the text 'dappo'", "did you mean 'dapo'?"]),
    ("count: 8", "cuont: 8", [":9: unknown key 'cuont' in stages.zero.problems.0 (micro); did you mean 'count'?"]),
    ("path: data.jsonl", "path: 5", [":11: stages.zero.problems.1.path: got 5, expected text"]),
    ("source: file", "source: flie", ["stages.zero.problems.1: unknown 'source' 'flie'; did you mean 'file'?"]),
    ("{lr: 1e-6}", "{lr: 1e999}", ["stages.zero.optimizer.lr: got inf, expected a finite number"]),
    ("{lr: 1e-6}", "{betas: [0.9, 1]}", ["stages.zero.optimizer.betas.1: got 1, expected less than 1"]),
    ("{lr: 1e-6}", "{betas: [0.9]}", ["stages.zero.optimizer.betas: got 1 value, expected more"]),
    ("{lr: 1e-6}", "{betas: [0.9, 0.9, 0.9]}", ["stages.zero.optimizer.betas: got 3 values, expected 2"]),
    ("objective: dapo", "group_size: 1", [":12: stages.zero.group_size: got 1, expected greater than or equal to 2"]),
    ("models: [zero, micro]", "models: []", ["stages.scores", "no model to measure: name one in models"]),
    ("{source: micro, count: 8}", "{source: micro, tasks: []}", ["problems.0.tasks: got the list []", "at least one"]),
    ("{lr: 1e-6}", "{lr: yes}", ["stages.zero.optimizer.lr: got the text 'yes', expected a number"]),
    ("objective: dapo", "sampling: {top_p: 0.9}", ["stages.zero (rl): sampling.top_p below 1", "held_out"]),
    (
        "models: [zero, micro]",
        "models: [zeor, micro]",
        [":15: stage 'scores' refers to 'zeor'", "mean 'zero'?"],
    ),
    ("model: micro", "model: zero", ["in a circle: zero -> zero"]),
    ("name: small", "name: small\nversion: 2", [":2: the recipe is written for schema version 2", "upgrade ponder"]),
    ("name: small", "name: a/b", [":1: name: got the text 'a/b', expected letters, digits"]),
    ("name: small", "name: ..", [":1: name: got the text '..', expected letters, digits"]),
    ("  zero:", "  a.b:", ["'a.b' cannot name a stage"]),
    ("  zero:", "  micro:", ["'micro' names an embedded model"]),
    ("name: small", "name: [small", ["small.yaml:", "not valid YAML"]),
    ("name: small", "\tname: small", ["not valid YAML", "no tabs"]),
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES, ids=[m[1].strip() or m[0].strip() for m in MISTAKES])
def test_mistakes_name_place_and_remedy(recipe_file: Path, old: str, new: str, expected: list[str]) -> None:
    assert old in PLAIN
    recipe_file.write_text(PLAIN.replace(old, new, 1))
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file)
    for part in expected:
        assert part in str(caught.value)
    for tag in ("function-", "stages.zero.rl", "problems.0.micro", "pydantic", "Input should"):
        assert tag not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("stages.zero.steps", "is not of the form dotted.key=value"),
        ("stages.zreo.steps=5", "has no stage 'zreo', only zero, scores; did you mean 'zero'?"),
        ("stages.zero.steps=five", "override 'stages.zero.steps=five': stages.zero.steps: got the text 'five'"),
        ("stages.zero.stpes=5", "override 'stages.zero.stpes=5': unknown key 'stpes' in stages.zero (rl)"),
        ("stages.zero.problems.7.count=1", "stages.zero.problems is a list of 2 (first index 0), and '7' is no index"),
        ("stages.zero.problems.first=1", "'first' is no index"),
        ("stages.zero.steps.more=1", "stages.zero.steps is the single value 5, which has nothing named 'more'"),
        ("stages.zero.rewards={a: [}", "override 'stages.zero.rewards={a: [}'"),
        ("stages.zero.model=zer", "override 'stages.zero.model=zer': stage 'zero' refers to 'zer'"),
        ("stages.zero.problems=[]", ", with override 'stages.zero.problems=[]': stages.zero (rl): problems is empty"),
        (
            "stages.zero.objective.advantage=gae",
            ", with override 'stages.zero.objective.advantage=gae': stages.zero.obj",
        ),
        ("stages.zero.kind=sft", ", with override 'stages.zero.kind=sft': unknown key 'problems' in stages.zero (sft)"),
        ("stages.zero.kind=sft", ", with override 'stages.zero.kind=sft': stages.zero (sft) needs 'examples'"),
        (
            "stages.zero.sampler={keep: [-0.5, .nan]}",
            "stages.zero.sampler.keep.0: got -0.5, expected greater than or equal to 0\n"
            "override 'stages.zero.sampler={keep: [-0.5, .nan]}': stages.zero.sampler.keep.1: got .nan, expected a",
        ),
    ],
)
def test_wrong_overrides_name_themselves(recipe_file: Path, override: str, expected: str) -> None:
    with pytest.raises(RecipeError, match="override '") as caught:
        load_recipe(recipe_file, [override])
    assert expected in str(caught.value)


@pytest.mark.parametrize("item", ["path.jsonl", "{}", "{source: fiel, path: x}", "{count: 4}"])
def test_a_list_with_a_wrong_item_is_not_too_short(recipe_file: Path, item: str) -> None:
    override = f"stages.zero={{kind: sft, model: micro, template: r1, max_tokens: 64, steps: 1, examples: [{item}]}}"
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file, [override])
    assert "examples.0" in str(caught.value) and "\n" not in str(caught.value)


def test_several_mistakes_are_told_at_once(recipe_file: Path) -> None:
    recipe_file.write_text(PLAIN.replace("steps: 5", "steps: -1").replace("count: 8", "count: no"))
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file)
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["9", "6"]


@pytest.mark.parametrize("content", ["", "# nothing\n", "- a\n- b\n", "just text", "5"])
def test_not_a_mapping(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match="a recipe is a YAML mapping"):
        load_recipe(path)


def test_missing_file_lists_what_is_there(recipe_file: Path) -> None:
    with pytest.raises(RecipeError, match=r"there is no recipe at .*smal\.yaml.*holds small\.yaml"):
        load_recipe(recipe_file.with_name("smal.yaml"))


def test_binary_file(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(tmp_path / "r.yaml")


def test_anchors_and_merges_are_independent_copies(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\nstages:\n  a: &a\n    kind: rl\n    model: micro\n    steps: 5\n    problems: [{source: micro}]\n"
        "  b:\n    <<: *a\n    model: a\n"
    )
    recipe = load_recipe(path, ["stages.a.problems.0.count=3"])
    first, second = recipe.stages["a"], recipe.stages["b"]
    assert isinstance(first, RlStage) and isinstance(second, RlStage)
    assert (first.problems[0].model_dump()["count"], second.problems[0].model_dump()["count"]) == (3, 4096)
    assert (second.model, second.steps) == ("a", 5)


@pytest.mark.parametrize("text", ["name: &n [*n]", "name: r\nstages: &s\n  a: *s", "a: &x\n  <<: *x"])
def test_an_alias_inside_itself_ends(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match="contains itself"):
        load_recipe(tmp_path / "r.yaml")


def test_cycle_over_several_stages_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    stage = "{{kind: rl, model: {}, steps: 1, problems: [{{source: micro}}]}}"
    body = "".join(f"  {name}: {stage.format(model)}\n" for name, model in [("a", "c"), ("b", "a"), ("c", "b")])
    path.write_text(f"name: r\nstages:\n{body}")
    with pytest.raises(RecipeError, match=r"circle: (a -> c -> b -> a|c -> b -> a -> c|b -> a -> c -> b)"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6), ("1E5", 1e5), (".5", 0.5), ("-3", -3), ("+4", 4), ("1_000", 1000), ("010", 10),
        ("yes", "yes"), ("off", "off"), ("true", True), ("False", False), ("~", None), ("null", None), ("", None),
        ('"5"', "5"), ("'null'", "null"), ("2024-01-01", "2024-01-01"), ("0x10", "0x10"), (".inf", ".inf"),
        ("[1, a]", [1, "a"]), ("{a: 1e3}", {"a": 1000.0}), ("1.", 1.0), ("1:30", "1:30"), ("1e", "1e"), ("e5", "e5"), 
    ],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    read = parse_value(text, "test")
    assert read == value and type(read) is type(value)


def test_a_comment_is_no_value() -> None:
    with pytest.raises(RecipeError, match="'####' begins a comment in YAML"):
        parse_value("####", "test")
    assert parse_value('"####"', "test") == "####"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_survives(number: float) -> None:
    assert parse_value(repr(number), "test") == number


@pytest.mark.parametrize("package", ["ponder.recipe", "ponder.rollout", "ponder.policy"])
def test_every_name_of_the_package_is_where_it_is_said_to_be(package: str) -> None:
    found = import_module(package)
    for name in found.__all__:
        assert not isinstance(getattr(found, name), ModuleType)
        assert find_spec(f"{package}.{name}") is None, "the file would take the name's place"
    assert sorted(found.__all__) == sorted(name for names in found._HOMES.values() for name in names)
    with pytest.raises(AttributeError, match="'Nothing'"):
        found.Nothing  # noqa: B018
