"""Tiny random models of the architectures of docs/models.md, by transformers' word for them."""

from typing import Any

__all__ = ["ARCHITECTURES"]

_BASE: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.2, "attention_dropout": 0.0,
    "pad_token_id": 0,
}  # fmt: skip
_MOE = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_SHARED = {**_MOE, "shared_expert_intermediate_size": 16}
_SLIDING = {"sliding_window": 16}
_HALF = {"layer_types": ["sliding_attention", "full_attention"], **_SLIDING}
_LATENT = {
    "num_key_value_heads": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1,
    "n_shared_experts": 1, "moe_intermediate_size": 16, "first_k_dense_replace": 1, "q_lora_rank": 16,
    "kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12,
}  # fmt: skip
_LINEAR = {
    "layer_types": ["linear_attention", "full_attention"], "linear_conv_kernel_dim": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
}  # fmt: skip
_CONV = {"layer_types": ["conv", "full_attention"], "block_multiple_of": 8, "num_dense_layers": 1}
_MAMBA2 = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    name: {key: value for key, value in {**_BASE, "model_type": name, **fields}.items() if value is not None}
    for name, fields in {
        "bamba": {**_MAMBA2, "attn_layer_indices": [1]},
        "bloom": {"n_layer": 2, "n_head": 4},
        "cohere": {},
        "cohere2": _HALF,
        "deepseek_v2": _LATENT,
        "deepseek_v3": _LATENT,
        "deepseek_v32": {**_LATENT, "index_topk": 8, "index_n_heads": 2, "index_head_dim": 16},
        "diffllama": {},
        "ernie4_5": {},
        "exaone4": _HALF,
        "falcon": {"head_dim": None, "num_kv_heads": 2, "new_decoder_architecture": True, "alibi": False},
        "falcon_h1": {**_MAMBA2, "mamba_d_ssm": 64},
        "gemma": {},
        "gemma2": {**_HALF, "query_pre_attn_scalar": 8},
        "gemma3_text": {**_HALF, "query_pre_attn_scalar": 8},
        "glm4": {},
        "glm4_moe": {**_MOE, "n_routed_experts": 4, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
        "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 48, "n_positions": 256},
        "gpt_neox": {"rotary_pct": 0.5},
        "gpt_oss": {**_HALF, **_MOE},
        "granite": {},
        "granitemoehybrid": {**_MOE, **_MAMBA2, "layer_types": ["mamba", "attention"], "shared_intermediate_size": 16},
        "jamba": {
            **_MOE, "attn_layer_offset": 1, "attn_layer_period": 2, "expert_layer_offset": 1, "expert_layer_period": 2,
            "mamba_d_state": 8, "mamba_dt_rank": 4,
        },
        "kimi_linear": {
            **_LATENT, **_MOE, "linear_attn_config": {
                "head_dim": 8, "num_heads": 4, "short_conv_kernel_size": 4, "kda_layers": [1], "full_attn_layers": [2],
            },
        },
        "lfm2": _CONV,
        "llama": {},
        "llama4_text": {
            **_MOE, "intermediate_size_mlp": 48, "attention_chunk_size": 16, "no_rope_layers": [1, 0],
            "interleave_moe_layer_step": 2,
        },
        "mamba": {"state_size": 8},
        "mamba2": {"state_size": 8, "num_heads": 8, "n_groups": 1, "chunk_size": 8},
        "minicpm3": {**_LATENT, "dim_model_base": 16},
        "minimax": {**_MOE, "layer_types": ["linear_attention", "full_attention"], "block_size": 8},
        "ministral": _HALF,
        "mistral": _SLIDING,
        "mixtral": _MOE,
        "nemotron": {},
        "nemotron_h": {
            "layers_block_type": ["mamba", "attention"], "mamba_num_heads": 4, "mamba_head_dim": 16,
            "ssm_state_size": 8, "n_groups": 1, "chunk_size": 8,
        },
        "olmo2": {},
        "olmo3": _HALF,
        "olmo_hybrid": _LINEAR,
        "olmoe": _MOE,
        "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
        "phi": {},
        "phi3": _SLIDING,
        "qwen2": {**_SLIDING, "use_sliding_window": True, "max_window_layers": 1},
        "qwen2_moe": _SHARED,
        "qwen3": {},
        "qwen3_5_text": _LINEAR,
        "qwen3_moe": _MOE,
        "qwen3_next": {**_SHARED, **_LINEAR},
        "recurrent_gemma": {"lru_width": 32, "attention_window_size": 16, "block_types": ["recurrent", "attention"]},
        "rwkv": {"attention_hidden_size": 32, "context_length": 256},
        "seed_oss": {},
        "smollm3": {},
        "stablelm": {},
        "starcoder2": _SLIDING,
    }.items()
}  # fmt: skip
"""Each with a layer of every kind that it has."""
