"""Every metric that is written is explained, and every one that is explained is written, by real runs of all stages."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from chat_server import ChatServer, said

from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.watch import KEYS, read_metrics
from ponder.watch.keys import find_key

UNSEEN = {
    "memory/device_bytes",  # needs an accelerator
    "environment/failed_calls",  # needs a model that calls its tools
    "memory/rank_bytes",  # needs several processes: tests/stages/test_stages_ranks.py
    *(key for key in KEYS if key.startswith("critic/")),  # tests/stages/test_stages_rl_critic.py
    "loss/value",
}
_OPTIMIZER = {"lr": 1e-4}
_HELD_OUT = {
    "problems": [{"source": "micro", "split": "test", "count": 2, "seed": 2, "tasks": ["science"]}],
    "samples": 1,
    "samples_during": 1,
    "every": 1,
    "max_tokens": 24,
}
_SHY = """\
def shy(judged):
    if judged.completion_tokens % 4 == 3:
        raise ValueError("too odd")
    return 1.0
"""


def recipe(judge: str) -> dict[str, Any]:
    """Two updates of every kind of stage that trains, from the embedded models."""
    return {
        "name": "all",
        "stages": {
            "base": {
                "kind": "pretrain",
                "corpus": {"seed": 1},
                "vocabulary": 1400,
                "architecture": {
                    "model_type": "qwen3", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
                    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 512,
                },
                "tokens": 400,
                "tokens_per_step": 200,
                "optimizer": _OPTIMIZER,
            },
            "tuned": {
                "kind": "sft",
                "model": "micro-student",
                "template": "r1-zero",
                "examples": [{"source": "micro", "count": 12, "tasks": ["science"]}],
                "validation_share": 0.2,
                "steps": 2,
                "batch_size": 4,
                "held_out": _HELD_OUT,
                "optimizer": _OPTIMIZER,
            },
            "helpful": {
                "kind": "reward_model", "model": "micro-student", "loss": "pairwise",
                "data": [{"source": "micro", "count": 48}], "held_out_share": 0.4, "batch_size": 16,
                "optimizer": _OPTIMIZER,
            },
            "safe": {
                "kind": "reward_model", "model": "micro-student", "loss": "pointwise",
                "data": [{"source": "micro", "count": 48}], "held_out_share": 0.4, "batch_size": 16,
                "optimizer": _OPTIMIZER,
            },
            "reason": {
                "kind": "rl",
                "model": "micro",
                "problems": [
                    {"source": "micro", "count": 16, "tasks": ["science"]},
                    {"source": "micro", "count": 4, "tasks": ["greeting", "fact"], "seed": 1},
                    {"source": "micro", "count": 4, "tasks": ["unsafe", "near_miss"], "seed": 2},
                ],
                "held_out": _HELD_OUT,
                "rewards": {"accuracy": 1, "format": 1, "preference": 1, "odd.py:shy": 0.1},
                "reward_models": {"helpful": "helpful", "safety": "safe"},
                "objective": {"preset": "grpo", "kl_coefficient": 0.001, "mismatch_cap": 2},
                "engine": {"lag": 1},
                "steps": 2,
                "problems_per_step": 12,
                "group_size": 8,
                "sampling": {"max_tokens": 96},
                "checkpoint_every": 1,
                "optimizer": _OPTIMIZER,
            },
            "turns": {
                "kind": "rl",
                "model": "micro",
                "template": "r1-zero",
                "problems": [{"source": "micro", "count": 4, "tasks": ["calculator"]}],
                "environment": {"tools": ["calculator"], "turns": 2},
                "rewards": {"format": 1, "judged": 1},
                "judged": {
                    "by": {
                        "kind": "endpoint",
                        "endpoint": {
                            "base_url": judge, "model": "judge", "price_per_million_input": 1.0,
                            "price_per_million_output": 2.0,
                        },
                    },
                },
                "steps": 2,
                "problems_per_step": 2,
                "group_size": 8,
                "sampling": {"max_tokens": 96},
                "optimizer": _OPTIMIZER,
            },
        },
    }  # fmt: skip


@pytest.mark.slow
def test_what_is_written_is_what_is_explained(tmp_path: Path) -> None:
    judge = ChatServer()
    judge.play = lambda body, tries: said('{"analysis": "so", "correctness": "incorrect"}')
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump(recipe(judge.url)))
    (tmp_path / "odd.py").write_text(_SHY)
    run(load_recipe(path, ()), tmp_path / "out", text=path.read_text(), say=lambda line: None)
    judge.close()
    written: set[str] = set()
    for stage in (tmp_path / "out" / "stages").iterdir():
        for row in read_metrics(stage):
            written |= {key for key, value in row.items() if key != "step" and value is not None}
    found = {key: find_key(key) for key in written}
    assert [key for key, known in found.items() if known is None] == []
    assert {key.name for key in found.values() if key is not None} ^ KEYS.keys() == UNSEEN
