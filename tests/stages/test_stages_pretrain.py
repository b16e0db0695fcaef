"""Pretraining for real on the embedded corpus: any architecture learns, and a killed run ends with the same weights."""

import json
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests import command
from tests.command import Command

REPOSITORY = Path(__file__).parents[2]
QWEN3 = (
    "{model_type: qwen3, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, "
    "head_dim: 16, intermediate_size: 128, max_position_embeddings: 1024, tie_word_embeddings: true}"
)
DEEPSEEK_V3 = (
    "{model_type: deepseek_v3, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 4, "
    "intermediate_size: 128, moe_intermediate_size: 32, n_routed_experts: 8, num_experts_per_tok: 2, n_group: 2, "
    "topk_group: 1, n_shared_experts: 1, first_k_dense_replace: 1, q_lora_rank: 32, kv_lora_rank: 32, "
    "qk_nope_head_dim: 16, qk_rope_head_dim: 8, v_head_dim: 16, max_position_embeddings: 1024}"
)


def _started(out: Path, architecture: str, tokens: int) -> Command:
    overrides = (
        f"stages.base.architecture={architecture}",
        f"stages.base.tokens={tokens}",
        "stages.base.tokens_per_step=2048",
        "stages.base.checkpoint_every=5",
        "stages.base.optimizer.warmup_steps=5",
        "stages.base.held_out=null",
    )
    recipe = yaml.safe_load((REPOSITORY / "ponder" / "recipes" / "base-micro.yaml").read_text())
    recipe["stages"] = {"base": recipe["stages"]["base"]}  # the student is made likewise
    file = out.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(recipe))
    return command.start("run", file, "--out", out, *overrides, session=True)


def _made(out: Path, architecture: str, tokens: int) -> None:
    process = _started(out, architecture, tokens)
    said = process.communicate()
    assert process.returncode == 0, said


def _losses(out: Path) -> list[float]:
    lines = (out / "stages" / "base" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss/next_token"] for line in lines]


@pytest.mark.parametrize("architecture", [QWEN3, DEEPSEEK_V3], ids=["qwen3", "deepseek_v3"])
def test_an_architecture_learns_and_is_a_plain_hugging_face_folder(tmp_path: Path, architecture: str) -> None:
    _made(tmp_path / "run", architecture, 50_000)
    losses = _losses(tmp_path / "run")
    assert len(losses) == 25 and losses[0] > 7 and sum(losses[-3:]) / 3 < losses[0] - 1.5
    folder = tmp_path / "run" / "stages" / "base" / "model"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("12+7=19", return_tensors="pt").input_ids
    assert ids.shape[1] == 5 and torch.isfinite(model(ids).logits).all()


def test_killed_and_continued_equals_uninterrupted(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    _made(whole, QWEN3, 40_000)
    process = _started(broken, QWEN3, 40_000)
    deadline = time.monotonic() + 120
    while not list((broken / "stages" / "base" / "checkpoints").glob("step-*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.kill_all()
    _made(broken, QWEN3, 40_000)
    first, second = (load_file(out / "stages" / "base" / "model" / "model.safetensors") for out in (whole, broken))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert _losses(whole) == _losses(broken)
