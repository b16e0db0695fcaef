"""A word tokenizer and tiny random models of every architecture ponder promises."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ponder.policy import Policy, random_policy

_COMMON = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}
ARCHITECTURES = {
    "qwen2": {**_COMMON, "model_type": "qwen2", "tie_word_embeddings": True},
    "qwen3": {**_COMMON, "model_type": "qwen3", "head_dim": 16},
    "llama": {**_COMMON, "model_type": "llama", "num_key_value_heads": 1, "attention_bias": True},
    "deepseek_v3": {
        **_COMMON,
        "model_type": "deepseek_v3",
        "num_key_value_heads": 4,
        "moe_intermediate_size": 24,
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "n_group": 2,
        "topk_group": 1,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "v_head_dim": 12,
    },
}


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Words w0 to w55, and <think>, which is a special token as in some real tokenizers."""
    words = ["<pad>", "<eos>", "<bos>", "<think>", *(f"w{i}" for i in range(56))]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        eos_token="<eos>",
        pad_token="<pad>",
        bos_token="<bos>",
        additional_special_tokens=["<think>"],
    )


@pytest.fixture(params=sorted(ARCHITECTURES))
def policy(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> Policy:
    return random_policy(ARCHITECTURES[request.param], tokenizer, "r1-zero", seed=3, precision="fp32", device="cpu")


@pytest.fixture
def qwen2(tokenizer: PreTrainedTokenizerFast) -> Policy:
    return random_policy(ARCHITECTURES["qwen2"], tokenizer, "r1-zero", seed=3, precision="fp32", device="cpu")


@pytest.fixture
def bf16(tokenizer: PreTrainedTokenizerFast) -> Policy:
    return random_policy(ARCHITECTURES["qwen3"], tokenizer, "r1-zero", seed=3, precision="bf16", device="cpu")
