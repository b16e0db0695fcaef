"""Tiny random models of every architecture ponder promises. Each folder of tests has the tokenizer it needs."""

from typing import Any

from transformers import PreTrainedTokenizerFast

from ponder.policy import Policy, random_policy

__all__ = ["ARCHITECTURES", "tiny_policy"]

_COMMON = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
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


def tiny_policy(name: str, tokenizer: PreTrainedTokenizerFast, template: str = "r1-zero", **changes: Any) -> Policy:
    """A model of the architecture `name`, in float32 on the CPU with seed 3 unless `changes` say otherwise."""
    settings = {"seed": 3, "precision": "fp32", "device": "cpu"} | changes
    return random_policy(ARCHITECTURES[name], tokenizer, template, **settings)
