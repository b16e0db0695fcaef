"""What the machine can do at most, measured, and how much of it a phase used.

Work is counted as the least that the step needs: every prompt once per group, every completion token once, nothing
for padding or waiting. A share is that work over the time taken, as a part of the measured rate: waste lowers it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from shapes import GROUP_SIZE, Shape
from sides import StepTime
from transformers import PretrainedConfig

__all__ = ["Limits", "Work", "measure", "work"]

_SQUARE = 2048
_COPY_BYTES = 512 * 2**20
_SECONDS = 1.0
"""How long each rate is measured; the best repetition counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Measured rates: floating point operations of a large matrix product, bytes read and written by a large copy."""

    flops_per_second: float
    bytes_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a step needs at least: operations of each phase, and bytes that decoding must move."""

    generate_flops: float
    generate_bytes: float
    update_flops: float


def measure(precision: str) -> Limits:
    """The rates of this machine with the threads torch has now."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left = torch.randn(_SQUARE, _SQUARE).to(dtype)
    right = torch.randn(_SQUARE, _SQUARE).to(dtype)
    source = torch.ones(_COPY_BYTES // 4)
    target = torch.empty_like(source)
    return Limits(
        flops_per_second=2 * _SQUARE**3 / _best(lambda: torch.mm(left, right)),
        bytes_per_second=2 * _COPY_BYTES / _best(lambda: target.copy_(source)),
    )


def _best(run: Callable[[], object]) -> float:
    """Seconds of the fastest repetition."""
    run()
    best, until = float("inf"), time.perf_counter() + _SECONDS
    while time.perf_counter() < until:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def work(config: PretrainedConfig, shape: Shape, step: StepTime) -> Work:
    """The least work of a step with these lengths, for a Llama-like model."""
    head = config.hidden_size // config.num_attention_heads
    queries, keys = config.hidden_size, config.num_key_value_heads * head
    layer = config.hidden_size * (2 * queries + 2 * keys + 3 * config.intermediate_size)
    layers, vocabulary = config.num_hidden_layers, config.vocab_size

    prompts = step.prompts[::GROUP_SIZE]
    positions = sum(prompts) + sum(step.lengths)
    # Position p attends to p others: two products over `queries` components, two operations each.
    attended = sum(p * p / 2 for p in prompts)
    read = sum(n * p + n * n / 2 for n, p in zip(step.lengths, step.prompts, strict=True))
    forward = (
        2 * layers * layer * positions
        + 2 * config.hidden_size * vocabulary * sum(step.lengths)
        + 4 * layers * queries * (attended + read)
    )
    size = 2 if shape.precision == "bf16" else 4
    weights = (layers * layer + config.hidden_size * vocabulary) * size
    return Work(
        generate_flops=forward,
        generate_bytes=weights * max(step.lengths) + 2 * layers * keys * size * read,
        update_flops=3 * forward,
    )
