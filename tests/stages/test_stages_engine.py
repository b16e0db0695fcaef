"""Which engine an `rl` stage samples with, where the recipe leaves it to the machine."""

import json
from pathlib import Path

import pytest

from ponder.recipe.stages import RlStage
from ponder.stages import rl
from ponder.stages.context import Context


def test_a_stage_goes_on_with_the_engine_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even on a machine where `auto` would be another one; without a checkpoint it is what it is there."""
    config = RlStage.model_validate(
        {
            "model": "micro",
            "problems": [{"source": "micro", "tasks": ["equation"], "count": 20}],
            "problems_per_step": 2,
            "group_size": 4,
            "steps": 2,
            "checkpoint_every": 1,
            "sampling": {"max_tokens": 12},
            "engine": {"kind": "auto"},
        }
    )
    said: list[str] = []
    context = Context(config=config, name="zero", folder=tmp_path, seed=1, inputs={}, say=said.append)

    def killed(*args: object) -> float:
        if args[1] == 1:
            raise KeyboardInterrupt
        return 1e-4

    with monkeypatch.context() as patch:
        patch.setattr(rl, "learning_rate", killed)
        with pytest.raises(KeyboardInterrupt):
            rl.run_rl(context)
    state = json.loads((tmp_path / "checkpoints" / "step-00000001" / "state.json").read_text())["state"]
    assert state["engine"] == "local"
    monkeypatch.setattr(rl, "engine_kind", lambda *args: "vllm")  # which is not installed here
    rl.run_rl(context)
    assert said.count("zero: engine: local") == 2
