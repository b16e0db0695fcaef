"""A policy's weights as others load them: by the names they have in a Hugging Face folder, and in its form.

Inside transformers some models hold their weights otherwise than files do: all experts of a layer in one tensor, parts
under other names. Layers are converted one at a time, so that what is converted never needs more memory than one.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import torch
from transformers.core_model_loading import revert_weight_conversion

from ponder.policy.policy import Policy

__all__ = ["published"]

_LAYER = re.compile(r".*?\.\d+\.")


def published(policy: Policy) -> Iterator[tuple[str, torch.Tensor]]:
    """Each tensor of the policy with its name in a folder. A head that is tied to the embedding comes under both names:
    who loads weights into a running model may keep two copies. The tensors may be the policy's own: copy what must
    outlast the next update."""
    model: Any = policy.model
    state: dict[str, torch.Tensor] = model.state_dict()
    for _, names in groupby(state, key=_layer):
        part = {name: state[name].detach() for name in names}
        yield from revert_weight_conversion(model, part).items()


def _layer(name: str) -> str:
    """`model.layers.3.` for everything in that layer; the empty text outside of layers."""
    found = _LAYER.match(name)
    return found[0] if found else ""
