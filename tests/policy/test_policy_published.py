"""Published weights are, by name and value, those of the folder that transformers writes."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import ARCHITECTURES, sliding_policy, tiny_policy
from transformers import PreTrainedTokenizerFast

from ponder.policy import save_policy
from ponder.policy.published import published


@pytest.mark.parametrize("name", [*ARCHITECTURES, "qwen2_moe", "gemma3_text", "gpt_oss"])
def test_names_and_values_are_those_of_a_folder(name: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    policy = tiny_policy(name, tokenizer) if name in ARCHITECTURES else sliding_policy(name, tokenizer, 8)
    save_policy(policy, tmp_path)
    files = [load_file(path) for path in tmp_path.glob("*.safetensors")]
    expected = {key: tensor for file in files for key, tensor in file.items()}
    got = dict(published(policy))
    tied = {"lm_head.weight"} if policy.model.config.tie_word_embeddings else set()
    assert got.keys() == expected.keys() | tied
    assert all(torch.equal(got[key], tensor) for key, tensor in expected.items())
    for key in tied:
        assert torch.equal(got[key], got["model.embed_tokens.weight"])


def test_a_layer_follows_the_other(tokenizer: PreTrainedTokenizerFast) -> None:
    """So whoever loads them holds no more than one layer twice."""
    names = [name for name, _ in published(tiny_policy("deepseek_v3", tokenizer))]
    layers = [name.split(".")[2] for name in names if name.startswith("model.layers.")]
    assert layers == sorted(layers) and len(set(layers)) == 2
