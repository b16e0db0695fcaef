"""How a GGUF file turns positions into angles, said as config.json says it. No torch.

Transformers takes over the base of the frequencies, and of some architectures not even that: what else a file says it
leaves out without a word, and the model would compute something else. What cannot be said exactly is refused.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ponder.errors import ModelError

__all__ = ["rope_changes"]

_FREQUENCIES = "rope_freqs.weight"
_BETAS = {"scaling.yarn_beta_fast": "beta_fast", "scaling.yarn_beta_slow": "beta_slow"}
_ORIGINAL = "scaling.original_context_length"
_READ = ("scaling.type", "scaling.factor", "scaling.finetuned", _ORIGINAL, *_BETAS)
_LOW, _HIGH = 1.0, 4.0
_CONTEXTS = (8192, *(2**power for power in range(4, 21)))
"""Llama 3 has those two factors and the first of these; smaller models in its form have another."""
_SAME = 1e-5
"""Two divisors that differ by less, as a part of themselves, differ by rounding alone."""


def rope_changes(
    config: Mapping[str, Any], said: Mapping[str, Any], divisors: Mapping[str, Sequence[float]], file: str
) -> dict[str, Any]:
    """What of a configuration is to be otherwise than transformers read it from `file`.

    `said` are the keys of the file, without architecture and `rope.` before them, `divisors` its tensors of that kind,
    by which the frequencies are divided. ModelError, naming key or tensor, for what a configuration cannot say.
    """
    own = config.get("rope_parameters")
    if not own:
        if divisors:
            raise _refused(file, f"by its tensor {next(iter(divisors))!r}")
        return {}
    layered = "full_attention" in own
    rope = dict(own["full_attention"] if layered else own)
    base = float(said.get("freq_base", rope["rope_theta"]))
    if base != rope["rope_theta"]:
        rope["rope_theta"] = base
    _turn(rope, config, said, file)
    rope |= _scaled(rope, said, divisors, file)
    if not layered:
        if said.get("freq_base_swa", base) != base:
            raise _refused(file, "by its key 'rope.freq_base_swa'")
        return {"rope_parameters": rope}
    made = {**own, "full_attention": rope}
    if "freq_base_swa" in said and "sliding_attention" in own:
        made["sliding_attention"] = {**own["sliding_attention"], "rope_theta": float(said["freq_base_swa"])}
    return {"rope_parameters": made}


def _turn(rope: dict[str, Any], config: Mapping[str, Any], said: Mapping[str, Any], file: str) -> None:
    """How many numbers of a head are turned, which only some architectures let a configuration say."""
    turned = said.get("dimension_count")
    if turned is None or rope["rope_type"] != "default":
        return
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    if int(size * rope.get("partial_rotary_factor", 1.0)) == turned:
        return
    if "partial_rotary_factor" not in rope:
        raise _refused(file, f"in {turned} of the {size} numbers of a head, by its key 'rope.dimension_count'")
    rope["partial_rotary_factor"] = turned / size


def _scaled(
    rope: Mapping[str, Any], said: Mapping[str, Any], divisors: Mapping[str, Sequence[float]], file: str
) -> dict[str, Any]:
    """How the frequencies are changed for more tokens than the model once had, as llama.cpp does it."""
    kind = said.get("scaling.type", "linear")
    factor = float(said.get("scaling.factor") or said.get("scale_linear") or 1.0)
    scales = kind != "none" and not (kind == "linear" and factor == 1.0)
    for key in said:
        if key.startswith("scaling.") and key not in _READ:
            raise _refused(file, f"by its key 'rope.{key}'")
    if scales and (rope["rope_type"] != "default" or divisors):
        raise _refused(file, "by its key 'rope.scaling.type' and in another way, too")
    if divisors:
        found = _llama3(divisors[_FREQUENCIES], rope["rope_theta"]) if set(divisors) == {_FREQUENCIES} else None
        if found is None or rope["rope_type"] != "default":
            raise _refused(file, f"by its tensor {next(iter(divisors))!r}")
        return found
    if not scales:
        return {}
    if kind == "linear":
        return {"rope_type": kind, "factor": factor}
    if kind == "yarn" and _ORIGINAL in said:
        betas = {name: float(said[key]) for key, name in _BETAS.items() if key in said}
        return {"rope_type": kind, "factor": factor, "original_max_position_embeddings": int(said[_ORIGINAL]), **betas}
    raise _refused(file, f"as its key 'rope.scaling.type' says, {kind!r}")


def _llama3(divisors: Sequence[float], base: float) -> dict[str, Any] | None:
    """The settings of Llama 3.1 that make these divisors; None where none do."""
    factor = round(max(divisors), 3)
    if factor == 1.0:
        return {} if min(divisors) == 1.0 else None
    waves = [2 * math.pi * base ** (place / len(divisors)) for place in range(len(divisors))]
    for context in _CONTEXTS:
        smooth = [min(max((context / wave - _LOW) / (_HIGH - _LOW), 0.0), 1.0) for wave in waves]
        made = [1 / ((1 - share) / factor + share) for share in smooth]
        if all(abs(one / other - 1) < _SAME for one, other in zip(divisors, made, strict=True)):
            return {
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": _LOW,
                "high_freq_factor": _HIGH,
                "original_max_position_embeddings": context,
            }
    return None


def _refused(file: str, how: str) -> ModelError:
    return ModelError(
        f"{file!r} turns positions into angles {how}, which a configuration of transformers cannot say exactly. Name "
        f"the folder that it was made from, in the Hugging Face format."
    )
