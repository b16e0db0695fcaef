"""How far two computations of the same number may lie apart for rounding alone: the only place where that is said.

A float32 number is right to `EPSILON` of its size, and in which order the terms of a product are summed is the
machine's own affair: plain, AVX2 and AVX-512 kernels, one thread and two, a batch and a single row all differ in it. In
a model the roundings of one layer enter the next, `PER_LAYER` of them in a row: products before, within and after
attention, rotation, scale, softmax; two norms of four operations each; the products, activation and gate of the MLP;
two sums with the residual. Each moves the result by about epsilon of its size, so

    a logit, or a score      epsilon x largest logit x roundings per layer x layers
    a log-prob               the same / temperature, since logits are divided by it
    one product and softmax  epsilon x its size x the terms of its sums, some tens: `TERMS`
    a gradient of a model    twice that of a logit, for its largest entry over all weights: there and back

The largest difference seen between two kernels is a third of this. A real fault, a token that sees what it should not
or misses what it should see, moves log-probs by `FAULT` and more; a case whose tolerance comes near it cannot tell the
two apart and is refused, and has to be made smaller: shallower, with smaller logits, at a higher temperature.
"""

import torch

__all__ = [
    "EPSILON",
    "FAULT",
    "assert_close_gradients",
    "assert_close_logits",
    "assert_close_logprobs",
    "assert_close_products",
    "tolerance",
]

EPSILON = torch.finfo(torch.float32).eps
PER_LAYER = 20
TERMS = 100
FAULT = 1e-4


def tolerance(size: float, layers: int, temperature: float = 1.0) -> float:
    """Of log-probs at a temperature, of a model of so many layers whose largest logit has this size."""
    found = EPSILON * size / temperature * PER_LAYER * layers
    assert found < FAULT, f"rounding alone may reach {found:.1e} here, as much as a real fault: make the case smaller"
    return found


def assert_close_logprobs(
    got: torch.Tensor, wanted: torch.Tensor, logits: torch.Tensor, layers: int, temperature: float = 1.0
) -> None:
    """Log-probs that belong to these logits, as they are before the temperature."""
    allowed = tolerance(float(logits.detach().abs().max()), layers, temperature)
    torch.testing.assert_close(got, wanted.to(got.device), rtol=0, atol=allowed)


def assert_close_logits(got: torch.Tensor, wanted: torch.Tensor, layers: int) -> None:
    """Logits, or the scores of a reward model."""
    allowed = tolerance(float(wanted.detach().abs().max()), layers)
    torch.testing.assert_close(got, wanted.to(got.device), rtol=0, atol=allowed)


def assert_close_products(got: torch.Tensor, wanted: torch.Tensor) -> None:
    """What comes of one product of matrices and a softmax, outside of any model; numbers below 1 count as 1."""
    torch.testing.assert_close(got, wanted, rtol=TERMS * EPSILON, atol=TERMS * EPSILON)


def assert_close_gradients(got: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], layers: int) -> None:
    """Gradients of all weights by name: compared as parts of the largest entry of all, for a small one comes about as
    the difference of large ones."""
    assert got.keys() == wanted.keys()
    largest = max(float(one.abs().max()) for one in wanted.values())
    for name, one in got.items():
        torch.testing.assert_close(
            one / largest, wanted[name].to(one.device) / largest, rtol=0, atol=2 * tolerance(1.0, layers), msg=name
        )
