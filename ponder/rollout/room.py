"""What keys and values of a closed batch may take, and what prompts and rows of it do.

All rows of a lane have places for the longest of them, as have all prompts, so what a row takes is known beforehand:
the places up to its limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ponder.errors import ModelError
from ponder.policy.attention import attention_dtype
from ponder.policy.policy import Policy
from ponder.rollout.cohorts import CohortKeys
from ponder.rollout.engine import Request
from ponder.rollout.shelf_keys import layer_shapes
from ponder.rollout.slots import place_step
from ponder.share import memory_bytes

__all__ = ["Room", "device_bytes", "room_of"]

_GUESSED = 7
"""Tokens that a step may compute past a row's limit (`draft`)."""


@dataclass(frozen=True, slots=True)
class Room:
    """`bytes` in all; a token takes `place_bytes`, and tokens come in multiples of `step`. Of models that run by their
    own code a row has its own copy of its prompt, and `fixed_bytes` beside what grows with its length."""

    bytes: int
    place_bytes: int
    fixed_bytes: int = 0
    copies: bool = False
    step: int = 16

    def sizes(self, prompt_tokens: int, max_tokens: int) -> tuple[int, int]:
        """What a prompt of a batch whose longest has so many tokens takes, and a row of so many."""
        prompt = -(-prompt_tokens // self.step) * self.step * self.place_bytes + self.fixed_bytes
        row = -(-(max_tokens + _GUESSED) // self.step) * self.step * self.place_bytes + self.fixed_bytes
        return prompt, row + (prompt if self.copies else 0)

    def shared(self, lanes: int) -> "Room":
        """A lane's part of it."""
        return replace(self, bytes=self.bytes // lanes)

    def completions(self, requests: Sequence[Request], max_tokens: int) -> int:
        """How many may run at one time, each with a prompt of its own."""
        longest = max(len(one.prompt_ids) for one in requests)
        return self.bytes // max(1, sum(self.sizes(longest, max_tokens)))

    def check(self, prompt_tokens: int, max_tokens: int) -> None:
        """ModelError where not even a single completion has room."""
        needed = sum(self.sizes(prompt_tokens, max_tokens))
        if needed > self.bytes:
            raise ModelError(
                f"Keys and values of one completion of {max_tokens:,} tokens and its prompt of {prompt_tokens:,} take "
                f"{needed / 2**30:,.3g} GiB, and they may take {self.bytes / 2**30:,.3g} GiB. Lower "
                f"sampling.max_tokens, or raise engine.cache_gib."
            )


@torch.no_grad()
def room_of(policy: Policy, cache_bytes: int) -> Room:
    """So many bytes for this policy's keys and values; runs a forward pass of one token."""
    step = place_step(policy.device)
    if policy.fallback is not None:
        fixed, one = CohortKeys(policy).job_bytes(0, 1)
        return Room(cache_bytes, one - fixed, fixed, copies=True, step=step)
    dtype = attention_dtype(policy.device, policy.autocast_dtype or torch.float32)
    each = sum(one.heads * (one.key_size + one.value_size) for one in layer_shapes(policy))
    return Room(cache_bytes, each * dtype.itemsize, step=step)


def device_bytes(device: torch.device) -> int:
    """Memory of the device in all; on a CPU this process's share."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory_bytes()
