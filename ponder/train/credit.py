"""Groups become samples: who gets how much credit, and how much each token weighs.

    Group (rewards) -> advantages of its outputs -> Sample (advantage, weight per token)

Groups whose rewards are all equal say nothing about which output to prefer and are left out, and so are outputs whose
reward is not known, so the denominators count the outputs that are trained on. All denominators are of one whole
optimizer step. Where a critic says what was to be expected, no group is needed for it, and none is left out: there an
output's reward goes to its tokens by `spread`.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from ponder.algorithm import (
    ADVANTAGES,
    AGGREGATES,
    explained_variance,
    generalized_advantages,
    token_rewards,
    whiten,
)
from ponder.errors import DataError
from ponder.recipe.objective import Objective
from ponder.records import Group
from ponder.train.sample import Sample, TokenCredit

__all__ = ["credit", "spread", "weigh"]


def credit(groups: Sequence[Group], objective: Objective) -> list[list[Sample]]:
    """The samples of every group that carries a signal, with advantages and, as yet, no weight. With the advantage
    `gae` those of all groups, with their rewards in the place of advantages. DataError for a guided completion."""
    by_critic = objective.advantage == "gae"
    useful = [group for group in groups if (group.told if by_critic else group.useful)]
    if guided := [group.problem.id for group in useful if any(one.completion.guided for one in group.told)]:
        raise DataError(
            f"A completion of problem {guided[0]!r} was guided: tokens were taken from it while it was sampled, so its "
            f"log-probs are not the model's, and ratios made of them would be wrong. Expected completions that were "
            f"sampled freely: leave the guide out of the requests."
        )
    if not useful:
        return []
    # In fp32 the mean of rewards that differ by a thousandth is off by more than such a difference allows.
    rewards = [torch.tensor([r.reward for r in group.told], dtype=torch.float64) for group in useful]
    advantages = rewards if by_critic else ADVANTAGES[objective.advantage](rewards, objective.std_epsilon)
    return [
        [
            Sample(
                prompt_ids=rollout.prompt_ids,
                response_ids=rollout.completion.token_ids,
                group=group.problem.id,
                behaviour=rollout.completion.logprobs,
                advantage=float(advantage),
                weight=0.0,
                spans=() if rollout.completion.talk is None else rollout.completion.talk.spans,
            )
            for rollout, advantage in zip(group.told, own, strict=True)
        ]
        for group, own in zip(useful, advantages, strict=True)
    ]


def spread(
    samples: Sequence[Sample], values: Sequence[torch.Tensor], objective: Objective
) -> tuple[list[Sample], dict[str, float]]:
    """The samples of a whole rollout with the credit of their tokens: `values` are the critic's before each learnt
    token, as `CriticTrainer.values` gives them. Advantages are whitened over all tokens of the rollout.

    Metrics: `critic/explained_variance` and `critic/return`, its mean over tokens.
    """
    assert objective.gae_gamma is not None and objective.gae_lambda is not None
    lengths = [sample.learnt_tokens for sample in samples]
    sequence_N = torch.repeat_interleave(torch.arange(len(samples)), torch.tensor(lengths))
    values_N = torch.cat([one.double() for one in values])
    paid = objective.kl_placement == "reward" and objective.kl_coefficient > 0
    rewards_N = token_rewards(
        torch.tensor([sample.advantage for sample in samples], dtype=torch.float64),
        _joined([sample.behaviour or () for sample in samples]),
        _joined([sample.reference or () for sample in samples]) if paid else None,
        sequence_N,
        objective.kl_coefficient,
    )
    raw_N, returns_N = generalized_advantages(
        rewards_N, values_N, sequence_N, objective.gae_gamma, objective.gae_lambda
    )
    columns = (whiten(raw_N, objective.std_epsilon), values_N, returns_N)
    rows = zip(samples, *(torch.split(column_N, lengths) for column_N in columns), strict=True)
    credited = [
        replace(sample, credit=TokenCredit(advantages=a.tolist(), values=v.tolist(), returns=r.tolist()))
        for sample, a, v, r in rows
    ]
    return credited, {
        "critic/explained_variance": explained_variance(values_N, returns_N),
        "critic/return": float(returns_N.mean()),
    }


def weigh(samples: Sequence[Sample], objective: Objective, max_tokens: int) -> list[Sample]:
    """The samples of one optimizer step with the weight each of their tokens has in it."""
    lengths = torch.tensor([sample.learnt_tokens for sample in samples])
    weights = AGGREGATES[objective.aggregate](lengths, max_tokens).tolist()
    return [replace(sample, weight=weight) for sample, weight in zip(samples, weights, strict=True)]


def _joined(parts: Sequence[Sequence[float]]) -> torch.Tensor:
    return torch.cat([torch.tensor(list(part), dtype=torch.float64) for part in parts])
