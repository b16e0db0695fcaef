"""A finished stage that is trained longer ends as one that was asked for as many steps from the start."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ponder.manifest import is_done, read_manifest
from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.recipe.training import Optimizer
from ponder.stages.context import Context
from ponder.stages.longer import say_longer
from ponder.train import CheckpointStore, learning_rate
from ponder.watch import read_metrics

TINY = (
    "{model_type: qwen3, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, "
    "head_dim: 16, intermediate_size: 48, max_position_embeddings: 1024, tie_word_embeddings: true}"
)
PROBLEMS = "{source: micro, tasks: [equation], count: 20}"
HELD_OUT = "{problems: [{source: micro, split: test, tasks: [equation], count: 3}], samples: 3, samples_during: 2"
BASE = f"""
  base:
    kind: pretrain
    architecture: {TINY}
    tokens: 4096
    tokens_per_step: 1024
    template: r1
    optimizer: {{lr: 1.0e-3, schedule: constant}}
    checkpoint_every: 3
    held_out: {HELD_OUT}, max_tokens: 4}}
"""
RECIPES = {
    "zero": f"""
name: longer
stages:
  zero:
    kind: rl
    model: micro
    problems: [{PROBLEMS}]
    problems_per_step: 2
    group_size: 4
    steps: 4
    updates_per_rollout: 2
    checkpoint_every: 2
    sampling: {{max_tokens: 24}}
    held_out: {HELD_OUT}, every: 4, max_tokens: 12}}
""",
    "cold": f"""
name: longer
stages:
  cold:
    kind: sft
    model: micro-student
    template: r1
    examples: [{{source: micro, tasks: [equation, science], count: 24}}]
    batch_size: 4
    steps: 3
    checkpoint_every: 2
    validation_every: 2
    validation_share: 0.1
    optimizer: {{lr: 1.0e-3, schedule: constant}}
    held_out: {HELD_OUT}, max_tokens: 12}}
""",
    "base": f"name: longer\nstages:\n{BASE}",
    "helpful": """
name: longer
stages:
  helpful:
    kind: reward_model
    model: micro-student
    loss: pairwise
    data: [{source: file, path: pairs.jsonl}]
    held_out_share: 0.2
    batch_size: 4
    max_tokens: 128
    checkpoint_every: 3
    evaluate_every: 3
""",
}
LONGER = {  # kind, what the short run is given besides, what the long one is
    "zero": ("zero", (), ("stages.zero.steps=6",)),
    "zero, not measured there": (
        "zero",
        ("stages.zero.updates_per_rollout=1", "stages.zero.steps=3", "stages.zero.held_out.every=2"),
        ("stages.zero.updates_per_rollout=1", "stages.zero.steps=4", "stages.zero.held_out.every=2"),
    ),
    "cold": ("cold", (), ("stages.cold.steps=5",)),
    "base": ("base", (), ("stages.base.tokens=6144",)),
    "helpful": ("helpful", (), ("stages.helpful.epochs=2",)),
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def train(folder: Path, kind: str, out: str, *overrides: str, stop: str = "\n") -> list[str]:
    """What is said; interrupted at the line that holds `stop`."""
    (folder / "longer.yaml").write_text(RECIPES[kind])
    pairs = [
        {"prompt": f"What is {i} + {i + 1}?", "chosen": f"It is {2 * i + 1}.", "rejected": f"Perhaps {i}."}
        for i in range(20)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if stop in line:
            raise KeyboardInterrupt

    recipe = load_recipe(folder / "longer.yaml", overrides)
    run(recipe, folder / out, text=RECIPES[kind], overrides=overrides, say=say)
    return said


def contents(stage: Path) -> dict[str, Any]:
    """All that a stage leaves but what tells of its sessions and of time, and checkpoints before the last."""
    left = {path.relative_to(stage).as_posix(): path for path in sorted(stage.rglob("*")) if path.is_file()}
    newest = (stage / "checkpoints" / "latest").read_text().strip()
    kept: dict[str, Any] = {
        name: path.read_bytes()
        for name, path in left.items()
        if name not in ("manifest.json", "metrics.jsonl")
        and not name.startswith("tensorboard/")
        and (newest in name or not name.startswith("checkpoints/step-"))
    }
    timed = ("seconds/", "speed/", "memory/")
    kept["rows"] = [{k: v for k, v in row.items() if not k.startswith(timed)} for row in read_metrics(stage)]
    kept["measured at"] = [row["step"] for row in read_metrics(stage) if "seconds/evaluate" in row]
    return kept


@pytest.mark.parametrize("name", LONGER)
def test_a_stage_trained_longer_is_one_of_that_length(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted as soon as it goes on, too."""
    monkeypatch.chdir(tmp_path)
    kind, short, long = LONGER[name]
    train(tmp_path, kind, "straight", *long)
    train(tmp_path, kind, "run", *short)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, kind, "run", *long, stop="trained longer")
    stage, straight = (tmp_path / out / "stages" / kind for out in ("run", "straight"))
    assert (stage / "model" / "config.json").is_file() and not is_done(stage)
    said = train(tmp_path, kind, "run", *long)
    assert [line for line in said if "trained longer" in line and "but for" not in line], said
    expected, found = contents(straight), contents(stage)
    assert found.keys() == expected.keys()
    assert [one for one in expected if expected[one] != found[one]] == []
    grown, whole = read_manifest(stage), read_manifest(straight)
    assert grown is not None and whole is not None
    assert (grown.fingerprint, grown.results) == (whole.fingerprint, whole.results)
    assert len(grown.continued) == 1 and whole.continued == ()
    assert f"{kind}: done before, skipped" in train(tmp_path, kind, "run", *long)


@pytest.mark.parametrize(
    ("optimizer", "step", "said"),
    [
        ({"schedule": "constant", "warmup_steps": 3}, 10, None),
        ({"schedule": "cosine", "warmup_steps": 3}, 10, "the learning rates of steps 4 to 10 fell"),
        ({"schedule": "linear"}, 10, "the learning rates of steps 1 to 10 fell"),
        ({"schedule": "linear", "warmup_steps": 10}, 10, None),
        ({"schedule": "linear", "final_lr_ratio": 1.0}, 10, None),
    ],
)
def test_where_learning_rates_differ_is_said(
    tmp_path: Path, optimizer: dict[str, Any], step: int, said: str | None
) -> None:
    """And that is where they do."""
    config, lines = Optimizer.model_validate(optimizer), []
    context: Context[Any] = Context(config=None, name="zero", folder=tmp_path, seed=0, inputs={}, say=lines.append)
    say_longer(context, config, step, 20)
    differing = [i + 1 for i in range(step) if learning_rate(config, i, step) != learning_rate(config, i, 20)]
    assert (said is None) == (not differing) == ("but for this" not in lines[0])
    if said is not None:
        assert said in lines[0] and f"of steps {differing[0]} to {differing[-1]} fell" in lines[0]


def test_a_best_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    for step, best in ((1, True), (2, True), (3, True)):
        store.save(step, lambda folder: None, {}, best=best)
    assert store.take_back_best(2, 1) and store.best() == tmp_path / "step-00000003"  # it is not the best
    assert store.take_back_best(3, 2) and store.best() == tmp_path / "step-00000002"
    assert not store.take_back_best(2, 1) and store.best() is None  # pruned long ago
    assert store.take_back_best(2, 0)
