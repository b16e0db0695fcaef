"""Whether a model can be sampled from: what it gives token by token, from a cache, must be what it gives at once.

Packing is probed where a model is loaded. Sampling asks more of it: that keys and values are all it keeps of the past,
where some keep states or the last inputs of a convolution, and that it attends once in a layer.
"""

from dataclasses import replace
from typing import Any
from weakref import WeakSet

import torch
from torch.nn import functional

from ponder.errors import ModelError, PonderError
from ponder.policy.memory import is_out_of_memory
from ponder.policy.packed import PackedLayout
from ponder.policy.policy import Policy
from ponder.policy.pretrained import UNLOADABLE, first_line
from ponder.recipe.rollout import Sampling
from ponder.rollout.engine import Request
from ponder.rollout.lane import NOT_FINITE, closed_lane

__all__ = ["check_sampling"]

_PROMPTS = (3, 5)
_TOKENS = 6
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05}
"""Largest mean difference of log-probs; typical are 1e-6 and 5e-3, and of a model that is computed wrongly one."""

_probed: WeakSet[torch.nn.Module] = WeakSet()


def check_sampling(policy: Policy) -> None:
    """ModelError unless a few sampled tokens have the log-probs that the whole sequences give them. Asked once of each
    model; to be called within `no_grad` and the policy's autocast."""
    if policy.model in _probed:
        return
    try:
        difference = _difference(policy)
    except PonderError:
        raise
    except UNLOADABLE as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"{_name(policy)} cannot be sampled from: {first_line(error)}. It keeps more of the past than keys and "
            f"values, or keeps them otherwise than ponder does; use Qwen2, Qwen3, Llama, DeepSeek-V3 or a relative of "
            f"them."
        ) from error
    tolerance = _TOLERANCE[policy.autocast_dtype or torch.float32]
    if not difference <= tolerance:
        raise ModelError(
            f"{_name(policy)} gives other log-probs when it is sampled from than for whole sequences: they differ by "
            f"{difference:.3g} on average (expected at most {tolerance}). Its attention does something ponder does "
            f"not; use Qwen2, Qwen3, Llama, DeepSeek-V3 or a relative of them."
        )
    _probed.add(policy.model)


def _difference(policy: Policy) -> float:
    """Mean difference between the log-probs of sampled tokens and those that their whole sequences give."""
    rows = policy.head().weight_VD.shape[0]
    requests = [
        Request(prompt_ids=tuple(token % rows for token in range(length)), seeds=(1, 2), key=str(length))
        for length in _PROMPTS
    ]
    endless = replace(policy, stop_ids=frozenset())
    steps = list(closed_lane(endless, requests, Sampling(), _TOKENS, max_rows=len(_PROMPTS) * 2).steps())
    if any(step.failed for step in steps):
        raise ModelError(NOT_FINITE)
    finished = {one.sample: one for step in steps for one in step.finished}
    prompts = [request.prompt_ids for request in requests for _ in request.seeds]
    sequences = [[*prompt, *finished[place].token_ids.tolist()] for place, prompt in enumerate(prompts)]
    layout = PackedLayout([len(one) for one in sequences], [], [], policy.device)
    ids_1T = torch.tensor([[token for one in sequences for token in one]], device=policy.device)
    hidden_TD = policy.hidden(ids_1T, layout.position_ids_T[None], layout)
    weight_VD, bias_V, scale = policy.head()
    dtype = policy.autocast_dtype or torch.float32
    logits_TV = functional.linear(hidden_TD.to(dtype), weight_VD.to(dtype)).float()
    logits_TV = (logits_TV if bias_V is None else logits_TV + bias_V) * scale
    logprobs_T = logits_TV.log_softmax(-1)[:-1].gather(1, ids_1T[0, 1:, None])[:, 0].cpu()
    whole, start = [], 0
    for place, prompt in enumerate(prompts):
        first = start + len(prompt) - 1
        whole.append(logprobs_T[first : first + _TOKENS])
        start += len(sequences[place])
    sampled = torch.cat([torch.from_numpy(finished[place].logprobs) for place in range(len(prompts))])
    return float((torch.cat(whole) - sampled).abs().mean())


def _name(policy: Policy) -> str:
    model: Any = policy.model
    return f"The model, a {type(model).__name__},"
