"""Tiny random models of every architecture ponder promises. Each folder of tests has the tokenizer it needs."""

from typing import Any

from devices import DEVICE
from transformers import PreTrainedTokenizerFast

from ponder.policy import Policy, random_policy

__all__ = ["ARCHITECTURES", "SLIDING", "sliding_policy", "tiny_policy"]

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
    settings = {"seed": 3, "precision": "fp32", "device": DEVICE} | changes
    return random_policy(ARCHITECTURES[name], tokenizer, template, **settings)


_HALF = {"layer_types": ["sliding_attention", "full_attention"]}
_MOE = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
SLIDING: dict[str, dict[str, Any]] = {
    "mistral": {"model_type": "mistral"},
    "qwen2": {"model_type": "qwen2", "use_sliding_window": True, "max_window_layers": 1},
    "qwen2_moe": {
        **_MOE, "model_type": "qwen2_moe", "use_sliding_window": True, "max_window_layers": 2,
        "shared_expert_intermediate_size": 16,
    },
    "gemma3_text": {
        **_HALF, "model_type": "gemma3_text", "query_pre_attn_scalar": 8, "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {"rope_type": "default", "rope_theta": 1e6},
        },
    },
    "olmo3": {**_HALF, "model_type": "olmo3"},
    "gpt_oss": {**_HALF, **_MOE, "model_type": "gpt_oss"},
}  # fmt: skip
"""Models of which at least one layer sees a few tokens only."""


def sliding_policy(name: str, tokenizer: PreTrainedTokenizerFast, window: int | None, **changes: Any) -> Policy:
    """As `tiny_policy`, of `SLIDING`, with so long a sliding window."""
    fields = {**_COMMON, "head_dim": 8, **SLIDING[name], "sliding_window": window}
    settings = {"seed": 3, "precision": "fp32", "device": DEVICE} | changes
    return random_policy(fields, tokenizer, "r1-zero", **settings)
