"""Shapes of well-known hub models, so that a recipe can be planned, or tried with --smoke, without downloading them.

Only what decides sizes stands here, in the words of a transformers configuration. A configuration on this machine
always goes first.
"""

from typing import Any

__all__ = ["known_architecture"]


def _qwen2(hidden: int, layers: int, heads: int, key_heads: int, inner: int, vocabulary: int) -> dict[str, Any]:
    return {
        "model_type": "qwen2",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "tie_word_embeddings": hidden <= 2048,
        "max_position_embeddings": 32768,
    }


def _qwen2_math(hidden: int, layers: int, heads: int, key_heads: int, inner: int, vocabulary: int) -> dict[str, Any]:
    return _qwen2(hidden, layers, heads, key_heads, inner, vocabulary) | {"max_position_embeddings": 4096}


def _qwen3(hidden: int, layers: int, heads: int, inner: int) -> dict[str, Any]:
    shape = _qwen2(hidden, layers, heads, 8, inner, 151936)
    return shape | {"model_type": "qwen3", "head_dim": 128, "tie_word_embeddings": hidden < 4096}


def _llama(hidden: int, layers: int, heads: int, inner: int) -> dict[str, Any]:
    shape = _qwen2(hidden, layers, heads, 8, inner, 128256)
    return shape | {"model_type": "llama", "tie_word_embeddings": False, "max_position_embeddings": 131072}


_DEEPSEEK_V3 = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "num_experts_per_tok": 8,
    "n_shared_experts": 1,
    "first_k_dense_replace": 3,
    "n_group": 8,
    "topk_group": 4,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 129280,
    "tie_word_embeddings": False,
    "max_position_embeddings": 163840,
}

_KNOWN: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-0.5B": _qwen2(896, 24, 14, 2, 4864, 151936),
    "Qwen/Qwen2.5-1.5B": _qwen2(1536, 28, 12, 2, 8960, 151936),
    "Qwen/Qwen2.5-3B": _qwen2(2048, 36, 16, 2, 11008, 151936),
    "Qwen/Qwen2.5-7B": _qwen2(3584, 28, 28, 4, 18944, 152064),
    "Qwen/Qwen2.5-14B": _qwen2(5120, 48, 40, 8, 13824, 152064),
    "Qwen/Qwen2.5-32B": _qwen2(5120, 64, 40, 8, 27648, 152064),
    "Qwen/Qwen2.5-Coder-0.5B-Instruct": _qwen2(896, 24, 14, 2, 4864, 151936),
    "Qwen/Qwen2.5-Math-1.5B": _qwen2_math(1536, 28, 12, 2, 8960, 151936),
    "Qwen/Qwen2.5-Math-7B": _qwen2_math(3584, 28, 28, 4, 18944, 152064),
    "Qwen/Qwen3-0.6B-Base": _qwen3(1024, 28, 16, 3072),
    "Qwen/Qwen3-1.7B-Base": _qwen3(2048, 28, 16, 6144),
    "Qwen/Qwen3-4B-Base": _qwen3(2560, 36, 32, 9728),
    "Qwen/Qwen3-8B-Base": _qwen3(4096, 36, 32, 12288),
    "meta-llama/Llama-3.1-8B": _llama(4096, 32, 32, 14336),
    "meta-llama/Llama-3.1-70B": _llama(8192, 80, 64, 28672),
    "deepseek-ai/DeepSeek-V3-Base": _DEEPSEEK_V3,
    "deepseek-ai/DeepSeek-R1": _DEEPSEEK_V3,
    "deepseek-ai/DeepSeek-R1-Zero": _DEEPSEEK_V3,
}


def known_architecture(hub_id: str) -> dict[str, Any] | None:
    """The sizes of a hub model in a transformers configuration's words, or None if it is not listed here. They are the
    same at every revision."""
    hub_id = hub_id.partition("@")[0]
    return _KNOWN.get(hub_id) or _KNOWN.get(hub_id.removesuffix("-Instruct"))
