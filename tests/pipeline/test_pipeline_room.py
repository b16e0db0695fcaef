"""Models too large for the memory are refused before they are loaded; whatever could run is not."""

import json
from pathlib import Path

import pytest

from ponder.errors import ModelError
from ponder.pipeline.machine import Device
from ponder.pipeline.plan import why_not
from ponder.pipeline.room import check_room, room_to_update
from ponder.pipeline.run import run
from ponder.recipe import load_recipe

LARGE = {
    "model_type": "qwen2", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 151936, "max_position_embeddings": 4096,
}  # fmt: skip
SECONDS = 1e12


def device(gibibytes: float, name: str = "CPU, 2 cores") -> Device:
    return Device(name=name, memory_bytes=int(gibibytes * 2**30), train_flops=SECONDS, generate_flops=SECONDS)


def recipe(folder: Path, stage: str) -> Path:
    (folder / "large").mkdir(exist_ok=True)
    (folder / "large" / "config.json").write_text(json.dumps(LARGE))
    file = folder / "large.yaml"
    file.write_text(f"name: large\nstages:\n  one:\n    model: {folder / 'large'}\n{stage}")
    return file


RL = "    kind: rl\n    template: r1\n    problems: [{source: micro}]\n    steps: 1\n"
SAMPLE = "    kind: sample\n    template: r1\n    problems: [{source: micro, count: 2}]\n    samples: 1\n"
SFT = "    kind: sft\n    template: r1\n    examples: [{source: micro, count: 4}]\n"


@pytest.mark.parametrize(
    ("stage", "least"),
    [  # the model has 7.72 billion parameters
        (RL, 115.0),
        (SFT, 115.0),
        (SFT + "    lora: {rank: 4}\n", 28.8),
        (SFT + "    lora: {rank: 4}\n    precision: bf16\n", 14.4),
        (SAMPLE, 28.8),
        (SAMPLE + "    precision: bf16\n", 14.4),
    ],
)
def test_least_memory(tmp_path: Path, stage: str, least: float) -> None:
    loaded = load_recipe(recipe(tmp_path, stage), ())
    check_room(loaded, device(1.01 * least))
    with pytest.raises(ModelError, match=r"stage 'one': .*/large has 7\.7\d? billion parameters"):
        check_room(loaded, device(0.99 * least))


def test_ranks_share_cards_but_not_a_cpu(tmp_path: Path) -> None:
    loaded = load_recipe(recipe(tmp_path, RL + "    batch: {ranks: 2}\n"), ())
    check_room(loaded, device(80, "H100 80GB"))
    with pytest.raises(ModelError, match="on each of 2"):
        check_room(loaded, device(50, "H100 80GB"))
    with pytest.raises(ModelError):
        check_room(loaded, device(80))


def test_more_ranks_than_a_memory_holds(tmp_path: Path) -> None:
    """115 GiB of states, 28.8 of the first process's weights, and 300 MiB for each: 154 GiB hold 34 of them."""
    for ranks, held in ((32, True), (40, False)):
        loaded = load_recipe(recipe(tmp_path, RL + f"    batch: {{ranks: {ranks}}}\n"), ())
        if held:
            check_room(loaded, device(154))
        else:
            with pytest.raises(ModelError, match=r"`batch.ranks` is 40, and the parts of .* Set it to 3\d or less"):
                check_room(loaded, device(154))


def test_it_is_said_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponder.pipeline.room.this_device", lambda: device(16))
    file = recipe(tmp_path, RL)
    loaded = load_recipe(file, ())
    assert "training it (weights, gradients, two moments) alone takes 115 GiB" in why_not(loaded, tmp_path / "out")
    with pytest.raises(ModelError, match="has 16 GiB"):
        run(loaded, tmp_path / "out", text=file.read_text(), say=print)
    assert not (tmp_path / "out").exists()


def test_what_is_done_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(
        "name: small\nstages:\n  one:\n    model: micro\n    sampling: {max_tokens: 4}\n    keep: {unfinished: true}\n"
        + SAMPLE
    )
    loaded, out, said = load_recipe(file, ()), tmp_path / "out", list[str]()
    run(loaded, out, text=file.read_text(), say=said.append)
    monkeypatch.setattr("ponder.pipeline.room.this_device", lambda: device(1e-4))
    run(loaded, out, text=file.read_text(), say=said.append)
    assert said[-1] == "one: done before, skipped" and why_not(loaded, out) == ""
    assert "stage 'one': micro has" in why_not(loaded, tmp_path / "new")
    with pytest.raises(ModelError, match="stage 'one': micro has"):
        run(loaded, out, text=file.read_text(), redo_stages=["one"], say=said.append)


def test_room_to_look_at_a_model_and_to_update_it(tmp_path: Path) -> None:
    """7.2 billion parameters: 26.8 GiB of weights in float32, and as much of gradients."""
    recipe(tmp_path, RL)
    model = str(tmp_path / "large")
    assert room_to_update(model, device(64)) and not room_to_update(model, device(40))
    with pytest.raises(ModelError, match=r"reading it takes .* has 20 GiB"):
        room_to_update(model, device(20))
    assert room_to_update("somebody/of-no-known-shape", device(0.001))


def test_a_shape_that_is_not_known_is_no_reason(tmp_path: Path) -> None:
    file = recipe(tmp_path, RL)
    (tmp_path / "large" / "config.json").write_text(json.dumps(LARGE | {"model_type": "unheard_of"}))
    check_room(load_recipe(file, ()), device(0.001))
