"""Learning rates by hand."""

import math

import pytest

from ponder.recipe.training import Optimizer
from ponder.train import learning_rate

CASES = [
    ({"schedule": "constant"}, 0, 10, 1.0),
    ({"schedule": "constant", "warmup_steps": 4}, 0, 10, 0.25),
    ({"schedule": "constant", "warmup_steps": 4}, 3, 10, 1.0),
    ({"schedule": "constant", "warmup_steps": 4}, 9, 10, 1.0),
    ({"schedule": "linear", "final_lr_ratio": 0.1}, 9, 10, 0.1),
    ({"schedule": "linear", "final_lr_ratio": 0.0}, 4, 10, 0.5),
    ({"schedule": "linear", "final_lr_ratio": 0.2, "warmup_steps": 5}, 4, 10, 1.0),
    ({"schedule": "linear", "final_lr_ratio": 0.2, "warmup_steps": 5}, 9, 10, 0.2),
    ({"schedule": "cosine", "final_lr_ratio": 0.0}, 4, 10, 0.5),
    ({"schedule": "cosine", "final_lr_ratio": 0.1}, 2, 9, 0.1 + 0.9 * (1 + math.cos(math.pi / 3)) / 2),
    ({"schedule": "cosine", "final_lr_ratio": 0.1}, 50, 10, 0.1),
    ({"schedule": "linear", "warmup_steps": 20}, 9, 10, 0.5),
]


@pytest.mark.parametrize(("fields", "step", "steps", "share"), CASES)
def test_learning_rate(fields: dict[str, object], step: int, steps: int, share: float) -> None:
    assert learning_rate(Optimizer(lr=2e-3, **fields), step, steps) == pytest.approx(2e-3 * share)  # type: ignore[arg-type]
