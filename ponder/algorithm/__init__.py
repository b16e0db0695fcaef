"""Pure formulas of policy optimisation: advantage x ratio x kl x aggregate. Tensors in, tensors out; no model.

`TokenTerms` goes into `policy_loss` or `next_token_loss`, whose metrics are `Sum`s. The tables name the choices a
recipe's objective has; `SCORE_LOSSES` are those of reward models. PPO has advantages of single tokens
(`generalized_advantages`), for which a critic learns by `value_loss`.
"""

from ponder.algorithm.advantage import ADVANTAGES
from ponder.algorithm.aggregate import AGGREGATES
from ponder.algorithm.gae import explained_variance, generalized_advantages, token_rewards, whiten
from ponder.algorithm.kl import KLS, shape_with_kl
from ponder.algorithm.metrics import Sum, add_metrics, metric_values
from ponder.algorithm.mismatch import truncated_weights
from ponder.algorithm.objective import next_token_loss, policy_loss
from ponder.algorithm.preference import SCORE_LOSSES
from ponder.algorithm.ratio import RATIOS
from ponder.algorithm.terms import TokenTerms
from ponder.algorithm.value import ValueTerms, value_loss

__all__ = [
    "ADVANTAGES",
    "AGGREGATES",
    "KLS",
    "RATIOS",
    "SCORE_LOSSES",
    "Sum",
    "TokenTerms",
    "ValueTerms",
    "add_metrics",
    "explained_variance",
    "generalized_advantages",
    "metric_values",
    "next_token_loss",
    "policy_loss",
    "shape_with_kl",
    "token_rewards",
    "truncated_weights",
    "value_loss",
    "whiten",
]
