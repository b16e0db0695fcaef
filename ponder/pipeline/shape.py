"""Parameters and cache of a model counted from its configuration alone, without torch or weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.files import is_gguf, model_path, read_json
from ponder.hub import HubId, parse_hub_id
from ponder.recipe.architectures import known_architecture
from ponder.recipe.recipe import Recipe
from ponder.recipe.stages import PretrainStage, RewardModelStage, RlStage, SftStage

__all__ = ["Shape", "find_shape", "shape_of"]

_GATED = {
    "deepseek_v3", "gemma", "gemma3_text", "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe",
}  # fmt: skip
"""Model types whose layers are attention and a gated (three-matrix) MLP, which is what is counted here."""
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a causal language model, and `origin`, the place of the configuration.

    `active` parameters take part in the pass of one token: all but the embedding table and the experts not chosen.
    `cached` numbers per token are keys and values over all layers, `kept` ones are what the backward pass needs: those
    beside `kept_fp32`, which are float32 in every precision, are of the matrix products' precision.
    `window` is the longest sequence, None where the configuration does not say.
    """

    model_type: str
    parameters: int
    active: int
    cached: int
    kept: int
    kept_fp32: int
    hidden: int
    vocabulary: int
    window: int | None
    origin: str


def find_shape(recipe: Recipe, reference: str) -> Shape | str:
    """The shape behind a model reference of a recipe, or why it is not known."""
    if reference in recipe.stages:
        stage = recipe.stages[reference]
        if isinstance(stage, PretrainStage):
            return shape_of({"vocab_size": stage.vocabulary} | stage.architecture, f"stage {reference}")
        if isinstance(stage, RlStage | SftStage | RewardModelStage):
            return find_shape(recipe, stage.model)
        return f"{reference!r} makes no model"
    path = model_path(reference)
    hub_id = parse_hub_id(reference)
    if hub_id is None:
        if is_gguf(path):
            from ponder.policy.unpack import gguf_config

            return shape_of(gguf_config(path), str(path))
        file = path / "config.json"
        return shape_of(read_json(file), str(file)) if file.is_file() else f"there is no {str(file)!r}"
    cached = _hub_config(hub_id)
    if cached is not None:
        return shape_of(read_json(cached), "the hub's cache")
    known = known_architecture(reference)
    return shape_of(known, "ponder's table of known models") if known else "not downloaded yet, and not known by name"


def shape_of(config: Mapping[str, Any], origin: str) -> Shape | str:
    """Count what a transformers configuration describes; a text says why it cannot be counted."""
    if not isinstance(config, Mapping):
        return f"{origin} is no model's configuration: expected a JSON object"
    model_type = config.get("model_type", "?")
    if not isinstance(model_type, str) or model_type not in _GATED:
        return f"the size of {model_type!r} models cannot be told from their configuration here"
    missing = [key for key in _SIZES if not isinstance(config.get(key), int) or config[key] < 1]
    if missing:
        return f"{origin} does not say {', '.join(missing)}"
    hidden, layers, vocabulary = config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]
    attention, cached, attended = _attention(config)
    dense, sparse, chosen, sparse_layers = _feed_forward(config)
    norms = (4 if model_type == "gemma3_text" else 2) * hidden
    table = vocabulary * hidden
    body = layers * (attention + norms) + (layers - sparse_layers) * dense + hidden
    head = 0 if config.get("tie_word_embeddings", model_type.startswith("gemma")) else table
    return Shape(
        model_type=model_type,
        parameters=body + sparse_layers * sparse + table + head,
        active=body + sparse_layers * chosen + table,
        cached=layers * cached,
        # The inputs of the products with q, k, v, o, gate and up, and four rows of each gated MLP.
        kept=layers * 6 * hidden
        + (layers - sparse_layers) * 4 * config.get("intermediate_size", 0)
        + sparse_layers * 4 * chosen // (3 * hidden),
        # Two norms, each with the residual stream before it; turned queries and keys, values, and what comes of them.
        kept_fp32=layers * (4 * hidden + attended),
        hidden=hidden,
        vocabulary=vocabulary,
        window=config.get("max_position_embeddings"),
        origin=origin,
    )


def _hub_config(hub_id: HubId) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub_id.repository, "config.json", revision=hub_id.revision)
    return Path(found) if isinstance(found, str) else None


def _attention(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Per layer: parameters, cached numbers per token, numbers per token kept for the backward pass."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    if "kv_lora_rank" in config:  # multi-head latent attention
        key, value = config["qk_nope_head_dim"] + config["qk_rope_head_dim"], config["v_head_dim"]
        rank, query_rank = config["kv_lora_rank"], config.get("q_lora_rank")
        query = heads * key * hidden if query_rank is None else query_rank * (hidden + 1 + heads * key)
        down = hidden * (rank + config["qk_rope_head_dim"]) + rank
        up = rank * heads * (config["qk_nope_head_dim"] + value)
        return query + down + up + heads * value * hidden, heads * (key + value), heads * 2 * (key + value)
    size = config.get("head_dim") or hidden // heads
    keys = config.get("num_key_value_heads") or heads
    weights = hidden * size * (2 * heads + 2 * keys)
    qwen2_bias = size * (heads + 2 * keys) if config["model_type"] in ("qwen2", "qwen2_moe") else 0
    qwen3_norms = 2 * size if config["model_type"] in ("qwen3", "qwen3_moe", "gemma3_text") else 0
    attended = 2 * size * (heads + keys) * (2 if qwen3_norms else 1)
    return weights + qwen2_bias + qwen3_norms, 2 * keys * size, attended


def _feed_forward(config: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Parameters of a dense layer's MLP, of a sparse layer's, the active ones of the latter, and its layer count."""
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    dense = 3 * hidden * config.get("intermediate_size", 0)
    experts = config.get("n_routed_experts") or config.get("num_local_experts") or config.get("num_experts")
    if not experts:
        return dense, 0, 0, 0
    inner = config.get("moe_intermediate_size") or config["intermediate_size"]
    expert = 3 * hidden * inner
    shared = 3 * hidden * config.get("shared_expert_intermediate_size", 0)
    shared += hidden if shared else 0  # qwen2_moe gates its shared expert
    shared += config.get("n_shared_experts", 0) * expert
    always = hidden * experts + shared
    sparse_layers = layers - config.get("first_k_dense_replace", 0)
    return dense, always + experts * expert, always + config["num_experts_per_tok"] * expert, sparse_layers
