"""Parameters, cache and activations of a model counted from its configuration alone, without torch or weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ponder.errors import ModelError

__all__ = ["Shape", "check_context", "shape_of"]

_GATED = {
    "deepseek_v3", "gemma", "gemma3_text", "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe",
}  # fmt: skip
"""Model types whose layers are attention and a gated (three-matrix) MLP, which is what is counted here."""
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a causal language model, and `origin`, the place of the configuration.

    `active` parameters take part in the pass of one token: all but the embedding table and the experts not chosen.
    `linear` ones are weights of linear modules in the layers, `largest_layer` those of one layer, `head` those of an
    output projection of its own. `cached` numbers per token are keys and values over all layers as ponder keeps them,
    `latent` as engines do that keep what keys and values are made of. `kept` ones are what the backward pass needs:
    those beside `kept_fp32`, which are float32 in every precision, are of the matrix products' precision. `pair` are
    the operations of a forward pass, over all layers, for each pair of a token and one that it attends to.
    `window` is the longest sequence, None where the configuration does not say.
    """

    model_type: str
    parameters: int
    active: int
    linear: int
    largest_layer: int
    head: int
    cached: int
    latent: int
    kept: int
    kept_fp32: int
    pair: int
    layers: int
    heads: int
    hidden: int
    vocabulary: int
    window: int | None
    origin: str


def check_context(heads: int, model: str, context: int, said: str = "`batch.context`") -> None:
    """ModelError where a sequence cannot be shared by so many ranks, each of which attends with its part of the heads.
    `said` is who asks for it."""
    if heads % context:
        fitting = ", ".join(str(one) for one in (1, 2, 4, 8, 16, 32, 64) if heads % one == 0)
        raise ModelError(
            f"{said} is {context}, which does not divide the {heads} attention heads of {model}: ranks that share a "
            f"sequence each attend with a part of the heads. What fits: {fitting}"
        )


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
    attention = _attention(config)
    dense, sparse, chosen, shared, sparse_layers = _feed_forward(config)
    norms = (4 if model_type == "gemma3_text" else 2) * hidden
    table = vocabulary * hidden
    body = layers * (attention.parameters + norms) + (layers - sparse_layers) * dense + hidden
    head = 0 if config.get("tie_word_embeddings", model_type.startswith("gemma")) else table
    return Shape(
        model_type=model_type,
        parameters=body + sparse_layers * sparse + table + head,
        active=body + sparse_layers * chosen + table,
        linear=layers * (attention.parameters - attention.vectors)
        + (layers - sparse_layers) * dense
        + sparse_layers * shared,
        largest_layer=attention.parameters + norms + max(sparse, dense if sparse_layers < layers else 0),
        head=head,
        cached=layers * attention.cached,
        latent=layers * attention.latent,
        # The inputs of the products with q, k, v, o, gate and up, and four rows of each gated MLP.
        kept=layers * 6 * hidden
        + (layers - sparse_layers) * 4 * config.get("intermediate_size", 0)
        + sparse_layers * 4 * chosen // (3 * hidden),
        # Two norms, each with the residual stream before it; turned queries and keys, values, and what comes of them.
        kept_fp32=layers * (4 * hidden + attention.attended),
        pair=layers * attention.pair,
        layers=layers,
        heads=config["num_attention_heads"],
        hidden=hidden,
        vocabulary=vocabulary,
        window=config.get("max_position_embeddings"),
        origin=origin,
    )


class _Attention(NamedTuple):
    """Per layer: parameters, those of them that are vectors (norms, biases), numbers per token: cached, cached as
    latents, kept for the backward pass; and operations per pair of tokens: a query's product with a key, and a weight's
    with a value."""

    parameters: int
    vectors: int
    cached: int
    latent: int
    attended: int
    pair: int


def _attention(config: Mapping[str, Any]) -> _Attention:
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    if "kv_lora_rank" in config:  # multi-head latent attention
        turned = config["qk_rope_head_dim"]
        key, value = config["qk_nope_head_dim"] + turned, config["v_head_dim"]
        rank, query_rank = config["kv_lora_rank"], config.get("q_lora_rank")
        query = heads * key * hidden if query_rank is None else query_rank * (hidden + 1 + heads * key)
        down = hidden * (rank + turned) + rank
        up = rank * heads * (config["qk_nope_head_dim"] + value)
        return _Attention(
            parameters=query + down + up + heads * value * hidden,
            vectors=rank + (query_rank or 0),
            cached=heads * (key + value),
            latent=rank + turned,
            attended=heads * 2 * (key + value),
            pair=heads * 2 * (key + value),
        )
    size = config.get("head_dim") or hidden // heads
    keys = config.get("num_key_value_heads") or heads
    weights = hidden * size * (2 * heads + 2 * keys)
    qwen2_bias = size * (heads + 2 * keys) if config["model_type"] in ("qwen2", "qwen2_moe") else 0
    norms = 2 * size if config["model_type"] in ("qwen3", "qwen3_moe", "gemma3_text") else 0
    return _Attention(
        parameters=weights + qwen2_bias + norms,
        vectors=norms + qwen2_bias,
        cached=2 * keys * size,
        latent=2 * keys * size,
        attended=2 * size * (heads + keys) * (2 if norms else 1),
        pair=heads * 4 * size,
    )


def _feed_forward(config: Mapping[str, Any]) -> tuple[int, int, int, int, int]:
    """Parameters of a dense layer's MLP, of a sparse layer's, of the latter the active ones and those of shared
    experts, and how many sparse layers there are."""
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    dense = 3 * hidden * config.get("intermediate_size", 0)
    experts = config.get("n_routed_experts") or config.get("num_local_experts") or config.get("num_experts")
    if not experts:
        return dense, 0, 0, 0, 0
    inner = config.get("moe_intermediate_size") or config["intermediate_size"]
    expert = 3 * hidden * inner
    shared = 3 * hidden * config.get("shared_expert_intermediate_size", 0)
    shared += hidden if shared else 0  # qwen2_moe gates its shared expert
    shared += config.get("n_shared_experts", 0) * expert
    always = hidden * experts + shared
    sparse_layers = layers - config.get("first_k_dense_replace", 0)
    return dense, always + experts * expert, always + config["num_experts_per_tok"] * expert, shared, sparse_layers
