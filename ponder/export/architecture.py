"""Models as llama.cpp computes them: which architectures, under which keys and names, with which changes of weights.

An architecture is known with the settings that its code in llama.cpp computes; with others it is refused, for the file
would load and be wrong.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ponder.errors import ModelError

__all__ = ["Architecture", "architecture_of", "rope_factors", "settings", "weights"]

Change = Callable[[str, torch.Tensor, Any], torch.Tensor]
_LOCAL_THETA, _LOCAL_PATTERN = 10000.0, 6
"""What llama.cpp has for Gemma 3 where a file does not say: the base of the local layers' positions, and that one layer
of six sees everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """`name` is llama.cpp's. `change` makes its weights of ours; `activations` are what it computes; `local` says
    whether layers may see a window only; `scaled` whether positions may be scaled as Llama 3.1 does."""

    name: str
    change: Change
    activations: tuple[str, ...] = ("silu",)
    local: bool = False
    scaled: bool = False


def _same(name: str, weight: torch.Tensor, config: Any) -> torch.Tensor:
    return weight


def _interleaved(name: str, weight: torch.Tensor, config: Any) -> torch.Tensor:
    """Queries and keys of llama: the halves of a head, which transformers rotates together, become pairs."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
    if heads is None:
        return weight
    halves = weight.reshape(heads, 2, -1, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)


def _one_added(name: str, weight: torch.Tensor, config: Any) -> torch.Tensor:
    """Norms of gemma, which multiply by one more than their weight."""
    return weight + 1 if name.endswith("norm.weight") else weight


_KNOWN: Mapping[str, Architecture] = {
    "llama": Architecture(name="llama", change=_interleaved, scaled=True),
    "mistral": Architecture(name="llama", change=_interleaved),
    "qwen2": Architecture(name="qwen2", change=_same),
    "qwen3": Architecture(name="qwen3", change=_same),
    "gemma3_text": Architecture(name="gemma3", change=_one_added, activations=("gelu_pytorch_tanh",), local=True),
}
"""By the `model_type` of transformers."""


def architecture_of(model: Any) -> Architecture:
    """ModelError for one that is not known here, or has settings that llama.cpp does not compute."""
    config = model.config
    known = _KNOWN.get(config.model_type)
    if known is None:
        raise ModelError(
            f"GGUF files are written here for {', '.join(_KNOWN)}, and this model is a {config.model_type}: export its "
            f"folder with --to, from which llama.cpp's own converter may know the way."
        )
    if (found := _beyond(known, config)) is not None:
        raise ModelError(
            f"llama.cpp computes no {config.model_type} with {found}, and a GGUF file of it would be wrong without a "
            f"word. Export its folder with --to."
        )
    return known


def settings(architecture: Architecture, model: Any) -> Iterator[tuple[str, int | float]]:
    """The keys of the architecture, without its name before them."""
    config = model.config
    head = model.get_submodule("model.layers.0.self_attn").head_dim
    yield "context_length", config.max_position_embeddings
    yield "embedding_length", config.hidden_size
    yield "block_count", config.num_hidden_layers
    yield "feed_forward_length", config.intermediate_size
    yield "attention.head_count", config.num_attention_heads
    yield "attention.head_count_kv", config.num_key_value_heads
    yield "attention.key_length", head
    yield "attention.value_length", head
    yield "attention.layer_norm_rms_epsilon", float(config.rms_norm_eps)
    yield "rope.dimension_count", head
    yield "rope.freq_base", float(_rope(config)["rope_theta"])
    yield "vocab_size", config.vocab_size
    if architecture.local and config.sliding_window is not None:
        yield "attention.sliding_window", config.sliding_window


def weights(architecture: Architecture, model: Any) -> Iterator[tuple[str, np.ndarray[Any, np.dtype[np.float32]]]]:
    """Every weight under its name in llama.cpp, in float32; the head is left out where it is the embeddings."""
    import gguf

    arch = next(one for one, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture.name)
    names = gguf.get_tensor_name_map(arch, model.config.num_hidden_layers)
    for name, weight in model.named_parameters():  # each once, however often it is used
        found = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise ModelError(
                f"llama.cpp's {architecture.name} has no place for the weight {name!r} of this model, so it computes "
                f"something else. Export its folder with --to."
            )
        yield found, architecture.change(name, weight.detach().float(), model.config).contiguous().cpu().numpy()
    factors = rope_factors(architecture, model)
    if factors is not None:
        yield "rope_freqs.weight", factors


def rope_factors(architecture: Architecture, model: Any) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    """By how much each frequency of the positions is divided; None where by nothing."""
    rope = _rope(model.config)
    if not architecture.scaled or rope["rope_type"] != "llama3":
        return None
    own = model.get_submodule("model.rotary_emb").inv_freq.double().cpu().numpy()
    plain = rope["rope_theta"] ** -(np.arange(len(own)) / len(own))
    return np.asarray(plain / own, dtype=np.float32)


def _rope(config: Any) -> Mapping[str, Any]:
    """Of the layers that see everything."""
    rope: Mapping[str, Any] = config.rope_parameters
    full: Mapping[str, Any] = rope.get("full_attention", rope)
    return full


def _beyond(known: Architecture, config: Any) -> str | None:
    """A setting that llama.cpp's code of this architecture does not have."""
    rope, fields = _rope(config), config.to_dict()
    kinds = fields.get("layer_types") or []
    activation = config.hidden_activation if known.name == "gemma3" else config.hidden_act
    if rope["rope_type"] not in (("default", "llama3") if known.scaled else ("default",)):
        return f"positions of type {rope['rope_type']!r}"
    if activation not in known.activations:
        return f"the activation {activation!r}"
    if not known.local and (fields.get("sliding_window") is not None or "sliding_attention" in kinds):
        return f"a sliding window of {fields['sliding_window']} tokens"
    if known.name == "gemma3":
        return _beyond_gemma(config, kinds)
    return None


def _beyond_gemma(config: Any, kinds: list[str]) -> str | None:
    wanted = [
        "full_attention" if number % _LOCAL_PATTERN == 0 else "sliding_attention" for number in range(1, len(kinds) + 1)
    ]
    if kinds != wanted:
        return "other layers that see everything than each sixth"
    if config.rope_parameters["sliding_attention"] != {"rope_theta": _LOCAL_THETA, "rope_type": "default"}:
        return "positions of its own in the layers that see a window"
    if config.query_pre_attn_scalar != config.head_dim:
        return f"attention scaled by {config.query_pre_attn_scalar} where a head has {config.head_dim}"
    if config.attn_logit_softcapping is not None or config.final_logit_softcapping is not None:
        return "capped logits"
    return None
