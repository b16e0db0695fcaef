"""Pure formulas of policy optimisation: advantage x ratio x kl x aggregate. Tensors in, tensors out; no model.

`TokenTerms` goes into `policy_loss` or `next_token_loss`; `Sum` is what their metrics are made of.
"""

from ponder.algorithm.metrics import Sum, add_metrics, metric_values
from ponder.algorithm.objective import TokenTerms, next_token_loss, policy_loss

__all__ = ["Sum", "TokenTerms", "add_metrics", "metric_values", "next_token_loss", "policy_loss"]
