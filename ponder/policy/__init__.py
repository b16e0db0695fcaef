"""The model being trained: loading and saving, packed forward passes, log-probs without full logits.

A name is loaded when it is asked for first, so that a server's process can know a model's voice without torch.
"""

from typing import TYPE_CHECKING

from ponder.lazy import lazy

if TYPE_CHECKING:
    from ponder.policy.forward import LogprobModel
    from ponder.policy.load import load_policy, load_weights, random_policy, save_policy
    from ponder.policy.logprobs import Head, token_logprobs
    from ponder.policy.lora import add_lora
    from ponder.policy.packed import PackedLayout
    from ponder.policy.policy import Policy
    from ponder.policy.resolve import resolve_model
    from ponder.policy.shrink import build_config, check_fields

__all__ = [
    "Head",
    "LogprobModel",
    "PackedLayout",
    "Policy",
    "add_lora",
    "build_config",
    "check_fields",
    "load_policy",
    "load_weights",
    "random_policy",
    "resolve_model",
    "save_policy",
    "token_logprobs",
]

_HOMES = {
    "forward": ("LogprobModel",),
    "load": (
        "load_policy",
        "load_weights",
        "random_policy",
        "save_policy",
    ),
    "logprobs": (
        "Head",
        "token_logprobs",
    ),
    "lora": ("add_lora",),
    "packed": ("PackedLayout",),
    "policy": ("Policy",),
    "resolve": ("resolve_model",),
    "shrink": (
        "build_config",
        "check_fields",
    ),
}
"""File -> the names of it that are asked for here."""

if not TYPE_CHECKING:
    __getattr__ = lazy(__name__, _HOMES)
