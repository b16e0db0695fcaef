"""Groups become samples: who gets how much credit, and how much each token weighs.

    Group (rewards) -> advantages of its outputs -> Sample (advantage, weight per token)

Groups whose rewards are all equal say nothing about which output to prefer and are left out, and so are outputs whose
reward is not known, so the denominators count the outputs that are trained on. All denominators are of one whole
optimizer step.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from ponder.algorithm import ADVANTAGES, AGGREGATES
from ponder.recipe.objective import Objective
from ponder.records import Group
from ponder.train.sample import Sample

__all__ = ["credit", "weigh"]


def credit(groups: Sequence[Group], objective: Objective) -> list[list[Sample]]:
    """The samples of every group that carries a signal, with advantages and, as yet, no weight."""
    useful = [group for group in groups if group.useful]
    if not useful:
        return []
    # In fp32 the mean of rewards that differ by a thousandth is off by more than such a difference allows.
    rewards = [torch.tensor([r.reward for r in group.told], dtype=torch.float64) for group in useful]
    advantages = ADVANTAGES[objective.advantage](rewards, objective.std_epsilon)
    return [
        [
            Sample(
                prompt_ids=rollout.prompt_ids,
                response_ids=rollout.completion.token_ids,
                group=group.problem.id,
                behaviour=rollout.completion.logprobs,
                advantage=float(advantage),
                weight=0.0,
            )
            for rollout, advantage in zip(group.told, own, strict=True)
        ]
        for group, own in zip(useful, advantages, strict=True)
    ]


def weigh(samples: Sequence[Sample], objective: Objective, max_tokens: int) -> list[Sample]:
    """The samples of one optimizer step with the weight each of their tokens has in it."""
    lengths = torch.tensor([len(sample.response_ids) for sample in samples])
    weights = AGGREGATES[objective.aggregate](lengths, max_tokens).tolist()
    return [replace(sample, weight=weight) for sample, weight in zip(samples, weights, strict=True)]
