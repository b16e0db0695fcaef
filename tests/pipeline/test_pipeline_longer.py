"""A stage whose length alone was raised goes on; what builds on it must be redone; less is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pair_run import TEXT, Stages, folder

from ponder.errors import RunFolderError
from ponder.files import read_json
from ponder.manifest import DONE, is_done, read_manifest, updates_made
from ponder.pipeline.fingerprint import grew
from ponder.pipeline.plan import describe_plan
from ponder.recipe import load_recipe

Start = Callable[..., list[str]]
ALONE = TEXT[: TEXT.index("  scores:")]


def checkpoint(tmp_path: Path, step: int) -> None:
    (folder(tmp_path, "zero") / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)


def test_a_finished_stage_goes_on(start: Start, stages: Stages, tmp_path: Path) -> None:
    start(text=ALONE)
    checkpoint(tmp_path, 5)
    stages.trouble["zero"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        start("stages.zero.steps=8", text=ALONE)
    stopped = read_manifest(folder(tmp_path, "zero"))
    assert stopped is not None and stopped.continued == (5,) and not is_done(folder(tmp_path, "zero"))
    assert stages.contexts["zero"].continued == (5,) and not stages.contexts["base"].continued
    assert "zero: going on (steps: 5 -> 8) in" in "\n".join(stages.said)
    assert start("stages.zero.steps=8", text=ALONE) == ["zero"] and start("stages.zero.steps=8", text=ALONE) == []
    checkpoint(tmp_path, 8)
    assert start("stages.zero.steps=20", text=ALONE) == ["zero"]
    done = read_manifest(folder(tmp_path, "zero"))
    assert done is not None and done.continued == (5, 8) and done.config["steps"] == 20
    assert (folder(tmp_path, "zero") / "steps").read_text() == "xxxx"  # never begun anew


def test_killed_before_its_manifest_said_so_it_goes_on_with_either_length(start: Start, tmp_path: Path) -> None:
    start(text=ALONE)
    checkpoint(tmp_path, 5)
    (folder(tmp_path, "zero") / DONE).unlink()
    assert start("stages.zero.steps=8", text=ALONE) == ["zero"]


def test_what_is_read_and_waited_for_is_read(start: Start, tmp_path: Path) -> None:
    """A stage that is named under `after`, too, still makes what builds on it another."""
    both = TEXT + "    after: [zero]\n"
    start(text=both)
    checkpoint(tmp_path, 5)
    with pytest.raises(RunFolderError, match=r"scores \(inputs.zero"):
        start("stages.zero.steps=8", text=both)


def test_the_plan_says_it(start: Start, tmp_path: Path) -> None:
    start(text=ALONE)
    plan = describe_plan(load_recipe(tmp_path / "pair.yaml", ("stages.zero.steps=8",)), tmp_path / "out")
    assert "to be trained longer" in plan and "differs: steps: 5 -> 8" in plan


def test_what_builds_on_it_is_named_and_redone(start: Start, tmp_path: Path) -> None:
    start()
    checkpoint(tmp_path, 5)
    before = read_json(folder(tmp_path, "zero") / "manifest.json")
    with pytest.raises(RunFolderError) as caught:
        start("stages.zero.steps=8")
    for part in ("scores (inputs.zero", "zero is to be trained longer (steps: 5 -> 8)", "--redo scores"):
        assert part in str(caught.value)
    assert "--redo zero" not in str(caught.value) and "\n" not in str(caught.value)
    assert read_json(folder(tmp_path, "zero") / "manifest.json") == before and is_done(folder(tmp_path, "zero"))
    assert start("stages.zero.steps=8", redo=["scores"]) == ["zero", "scores"]
    assert (folder(tmp_path, "zero") / "steps").read_text() == "xx"
    assert (folder(tmp_path, "scores") / "steps").read_text() == "x"


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        (
            "stages.zero.steps=3",
            ("zero (steps: 5 -> 3)", "made 5 updates on its way to more `steps`", "cannot be taken back"),
        ),
        ("stages.zero.group_size=8", ("group_size: 16 -> 8",)),
        ("stages.base.tokens=90", ("base (tokens: 100 -> 90)", "more `tokens`")),
    ],
)
def test_less_and_others_are_refused(start: Start, tmp_path: Path, override: str, parts: tuple[str, ...]) -> None:
    start(text=ALONE)
    checkpoint(tmp_path, 5)
    with pytest.raises(RunFolderError) as caught:
        start(override, text=ALONE)
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    with pytest.raises(RunFolderError, match="group_size"):
        start("stages.zero.steps=8", "stages.zero.group_size=8", text=ALONE)


@pytest.mark.parametrize(
    ("old", "new", "made", "longer"),
    [
        ({"steps": None, "epochs": 2.0}, {"steps": None, "epochs": 3.0}, 40, True),
        ({"steps": None, "epochs": 2.0}, {"steps": 100, "epochs": 2.0}, 40, True),
        ({"steps": None, "epochs": 2.0}, {"steps": 30, "epochs": 2.0}, 40, False),
        ({"steps": None, "epochs": 2.0}, {"steps": 100, "epochs": 2.0}, None, False),  # how many it would be: unknown
        ({"steps": 40, "epochs": 2.0}, {"steps": None, "epochs": 9.0}, 40, False),
        ({"steps": 40, "epochs": 2.0}, {"steps": 41, "epochs": 1.0}, 40, False),
        ({"steps": 40, "epochs": 2.0}, {"steps": 41, "epochs": 2.0}, None, True),
    ],
)
def test_lengths_of_two_kinds(
    old: dict[str, float | None], new: dict[str, float | None], made: int | None, longer: bool
) -> None:
    rest = {"lr": 0.1}
    identities = ({"code": 5, "config": old | rest}, {"code": 5, "config": new | rest})
    assert grew(("epochs", "steps"), *identities, made) is longer
    assert not grew(("epochs", "steps"), identities[0], identities[1] | {"code": 6}, made)


def test_updates_made_are_those_of_the_latest_checkpoint(tmp_path: Path) -> None:
    assert updates_made(tmp_path) == 0
    for name in ("step-00000090", "step-00000100", ".tmp-step-00000300"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert updates_made(tmp_path) == 100
