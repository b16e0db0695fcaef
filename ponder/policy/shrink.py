"""Architectures as configurations, and tiny ones of the same kind for trying a recipe out on any machine."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedConfig

from ponder.errors import ModelError, RecipeError
from ponder.nearest import did_you_mean

__all__ = ["build_config", "check_fields", "shrink"]

_MOST = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "num_hidden_layers": 2,
    "max_window_layers": 2,
    "num_attention_heads": 2,
    "head_dim": 32,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 32,
    "v_head_dim": 8,
    "n_routed_experts": 8,
    "num_local_experts": 8,
    "num_experts": 8,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
"""Upper bounds of the fields that make a model big; a smaller value is kept. No attention head is smaller than those
that vLLM computes on a CPU."""
_DERIVED = {"quantization_config", "layer_types", "mlp_layer_types", "qk_head_dim", "num_nextn_predict_layers"}
"""Fields that follow from others or mean nothing at this size; the architecture fills them in again."""

_OLD_NAMES = {"rope_theta", "rope_scaling", "torch_dtype"}
"""Fields that transformers still takes and keeps under another name."""


def build_config(architecture: Mapping[str, Any]) -> PreTrainedConfig:
    """The transformers configuration of `model_type` and its fields, defaults filled in; ModelError if it has none."""
    fields = dict(architecture)
    model_type = fields.pop("model_type", None)
    try:
        config: PreTrainedConfig = AutoConfig.for_model(model_type, **fields)
    except (ValueError, KeyError, TypeError, ArithmeticError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"Transformers knows no architecture of `model_type` {model_type!r} with the fields {sorted(fields)}: "
            f"{reason}. Expected a model_type such as 'qwen3', 'llama' or 'deepseek_v3' and the fields of its "
            f"configuration."
        ) from error
    return config


def check_fields(architecture: Mapping[str, Any]) -> None:
    """RecipeError for a field that the architecture does not have, which transformers would take without a word."""
    plain = build_config({"model_type": architecture.get("model_type")})
    known = {*plain.to_dict(), *plain.attribute_map, *_OLD_NAMES}
    for name in architecture:
        if name not in known:
            raise RecipeError(
                f"The architecture {plain.model_type!r} has no field {name!r}{did_you_mean(name, known)}; correct or "
                f"remove it in the recipe's `architecture`"
            )


def shrink(config: Mapping[str, Any] | PreTrainedConfig) -> dict[str, Any]:
    """The configuration with every size cut down and everything else kept."""
    # A mapping is built first, since the architecture's defaults are big, too.
    fields = (config if isinstance(config, PreTrainedConfig) else build_config(config)).to_dict()
    fields = {name: value for name, value in fields.items() if name not in _DERIVED}
    tiny = {name: min(fields[name], most) for name, most in _MOST.items() if isinstance(fields.get(name), int)}
    heads, keys = fields.get("num_attention_heads"), fields.get("num_key_value_heads")
    if isinstance(heads, int) and isinstance(keys, int):
        tiny["num_key_value_heads"] = max(1, tiny["num_attention_heads"] * keys // heads)
    return fields | tiny
