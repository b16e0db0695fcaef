"""The reference model: a copy that stays when the policy moves, until it is renewed."""

from collections.abc import Callable
from pathlib import Path

import torch

from ponder.policy import Policy
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train import Reference, Sample, Trainer


def test_the_reference_stays_until_it_is_renewed(
    policy: Policy, samples: Callable[..., list[Sample]], tmp_path: Path
) -> None:
    trainer = Trainer(policy, Optimizer(lr=1e-2), BatchLimits(), incident_folder=tmp_path)
    reference = Reference(trainer, 0)
    some = samples()
    before = trainer.logprobs(some)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(1.1)
    after = trainer.logprobs(some)
    assert not torch.allclose(before[0], after[0])

    def of_reference() -> torch.Tensor:
        return torch.cat([torch.tensor(s.reference) for s in reference.annotate(some)])

    assert torch.equal(of_reference(), torch.cat(before))
    reference.save(tmp_path)
    reference.renew(7)
    assert reference.step == 7 and torch.equal(of_reference(), torch.cat(after))
    reference.load(tmp_path, 0)
    assert reference.step == 0 and torch.equal(of_reference(), torch.cat(before))
