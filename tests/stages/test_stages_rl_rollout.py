"""What a rollout hands on to its updates, and where its further problems come from."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ponder.stages.drawing import refill_places
from tests import command

TINY = (
    "stages.zero.problems=[{source: micro, tasks: [equation], count: 50}]",
    "stages.zero.problems_per_step=6",
    "stages.zero.group_size=4",
    "stages.zero.steps=2",
    "stages.zero.updates_per_rollout=2",
    "stages.zero.sampling.max_tokens=48",
    "stages.zero.held_out=null",
    "stages.zero.objective={preset: dr_grpo}",
    "stages.zero.optimizer.lr=1e-3",
)


def _weights(out: Path, *overrides: str) -> dict[str, torch.Tensor]:
    done = command.run("run", "zero-micro", "--out", out, *TINY, *overrides)
    assert done.returncode == 0, done.stdout + done.stderr
    return load_file(out / "stages" / "zero" / "model" / "model.safetensors")


def test_a_limit_that_changes_within_a_rollout_does_not_change_its_weights(tmp_path: Path) -> None:
    """Dr. GRPO divides by the length limit. Both updates are of completions sampled under the first one."""
    plain = _weights(tmp_path / "plain")
    changed = _weights(tmp_path / "changed", "stages.zero.sampling.length_schedule=[{from_step: 1, max_tokens: 480}]")
    assert all(torch.equal(plain[name], changed[name]) for name in plain)
    assert any(not torch.equal(plain[name], _base()[name]) for name in plain), "nothing was learnt"


def _base() -> dict[str, torch.Tensor]:
    from ponder.policy.resolve import resolve_model

    return load_file(Path(resolve_model("micro")) / "model.safetensors")


@pytest.mark.parametrize("budget", [0.0, 0.25, 0.5, 1.0, 1.01, 1.5, 2.0, 3.7])
@pytest.mark.parametrize("sizes", [[8, 8, 8, 8], [32, 32, 8], [3, 3, 3, 1]])
def test_no_two_rollouts_share_further_problems(budget: float, sizes: list[int]) -> None:
    before, places = 0, list[int]()
    for size in sizes:
        stretch = refill_places(budget, before, size)
        assert len(stretch) == round(budget * size)
        places += stretch
        before += size
    assert len(set(places)) == len(places)


def test_places_of_a_budget_of_one_rollout_are_those_of_its_problems() -> None:
    """Where runs of before had theirs, so that these go on as they were."""
    assert [refill_places(1.0, before, 4) for before in (0, 4, 8)] == [range(4), range(4, 8), range(8, 12)]
