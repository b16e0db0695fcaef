"""The model being trained: loading and saving, packed forward passes, log-probs without full logits."""

from ponder.policy.forward import LogprobModel
from ponder.policy.load import load_policy, load_weights, random_policy, save_policy
from ponder.policy.logprobs import Head, token_logprobs
from ponder.policy.lora import add_lora
from ponder.policy.packed import PackedLayout
from ponder.policy.policy import Policy
from ponder.policy.resolve import resolve_model
from ponder.policy.shrink import build_config, check_fields, shrink

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
    "shrink",
    "token_logprobs",
]
