"""What a GGUF file says of positions, as config.json says it; files are read in test_policy_unpack.py."""

from typing import Any

import pytest

from ponder.errors import ModelError
from ponder.policy.rope import rope_changes

PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
FLAT: dict[str, Any] = {"hidden_size": 64, "num_attention_heads": 4, "rope_parameters": PLAIN}
PARTIAL: dict[str, Any] = {**FLAT, "rope_parameters": {**PLAIN, "partial_rotary_factor": 0.25}}
GEMMA: dict[str, Any] = {
    "head_dim": 16,
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    },
}


def rope_of(config: dict[str, Any], **said: Any) -> Any:
    keys = {name.replace("__", "."): value for name, value in said.items()}
    return rope_changes(config, keys, {}, "m.gguf")["rope_parameters"]


def test_what_nothing_is_said_of_stays() -> None:
    assert rope_of(FLAT) == PLAIN
    assert rope_of(GEMMA) == GEMMA["rope_parameters"]
    assert rope_changes({"n_embd": 8}, {}, {}, "m.gguf") == {}


def test_a_base_that_transformers_passes_over() -> None:
    """As of starcoder2."""
    assert rope_of(FLAT, freq_base=999999.5, dimension_count=16) == {"rope_type": "default", "rope_theta": 999999.5}


def test_a_part_of_each_head() -> None:
    assert rope_of(PARTIAL, dimension_count=4) == PARTIAL["rope_parameters"]
    assert rope_of(PARTIAL, dimension_count=8)["partial_rotary_factor"] == 0.5
    with pytest.raises(ModelError, match="in 8 of the 16 numbers of a head"):
        rope_of(FLAT, dimension_count=8)


def test_gemma_scales_the_layers_that_see_everything() -> None:
    found = rope_of(GEMMA, scaling__type="linear", scaling__factor=8.0, freq_base_swa=2e4, dimension_count=16)
    assert found == {
        "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 2e4},
    }


def test_divisors() -> None:
    ones = {"rope_freqs.weight": [1.0] * 8}
    assert rope_changes(FLAT, {}, ones, "m.gguf") == {"rope_parameters": PLAIN}
    for divisors in ([1.0] * 7 + [8.0], [0.5] + [1.0] * 7):
        with pytest.raises(
            ModelError, match=r"'m.gguf' turns .* by its tensor 'rope_freqs.weight', .* Name the folder"
        ):
            rope_changes(FLAT, {}, {"rope_freqs.weight": divisors}, "m.gguf")
    with pytest.raises(ModelError, match=r"by its tensor 'rope_freqs.weight'"):
        rope_changes({"n_embd": 8}, {}, ones, "m.gguf")
