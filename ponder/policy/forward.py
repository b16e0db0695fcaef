"""From token ids to log-probs in one forward pass of one module.

    packed ids (1, T) -> hidden states (T, D) -> those that are read (M, D) -> log-probs and entropies (M,)

The head is read inside the same forward as the layers, so whatever shards a module by hooks around its forward pass
finds every weight in use within it. Used as it is where nothing is sharded.
"""

import torch

from ponder.errors import ModelError
from ponder.policy.logprobs import token_logprobs
from ponder.policy.packed import PackedLayout
from ponder.policy.policy import Policy
from ponder.policy.shared import Share, SharedLayout
from ponder.policy.window import check_length

__all__ = ["LogprobModel"]


class LogprobModel(torch.nn.Module):
    """A policy as a module that gives log-probs. Its parameters are the policy's own."""

    def __init__(self, policy: Policy, chunk: int, share: Share | None = None) -> None:
        """At most as many logits exist at a time as `chunk` tokens have. With a `share` every pass is one of several
        processes, which all get what it gives. ModelError for a model that cannot be shared."""
        super().__init__()
        if share is not None and policy.fallback is not None:
            raise ModelError(
                f"`batch.context` is {share.parts}, but ranks share sequences of models that attend by ponder's "
                f"layouts, and this one runs by its own attention, since {policy.fallback}: set it to 1"
            )
        self._share = share
        self.model = policy.model
        self.policy = policy
        self._chunk = chunk

    def forward(
        self,
        input_ids_1T: torch.Tensor,
        layout: PackedLayout,
        read_M: torch.Tensor,
        target_M: torch.Tensor,
        temperature: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-prob and entropy (M,) of each target, which the hidden state of the token `read_M` predicts, under
        softmax(logits / temperature). Raises ModelError for a sequence beyond the policy's window."""
        policy = self.policy
        check_length(layout.longest, policy.window, policy.limit)
        with policy.autocast():  # one context, so that each weight is cast once
            if self._share is not None:
                return self._shared(self._share, input_ids_1T, layout, read_M, target_M, temperature)
            hidden_TD = policy.hidden(input_ids_1T, layout.position_ids_T[None], layout)
            hidden_MD = hidden_TD.index_select(0, read_M)
            return token_logprobs(hidden_MD, policy.head(), target_M, temperature, self._chunk)

    def _shared(
        self,
        share: Share,
        input_ids_1T: torch.Tensor,
        layout: PackedLayout,
        read_M: torch.Tensor,
        target_M: torch.Tensor,
        temperature: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Own tokens are computed, and what their hidden states predict; what others predict comes from them."""
        mine = SharedLayout(layout, share)
        own = slice(mine.first, mine.last)
        hidden_tD = self.policy.hidden(input_ids_1T[:, own], layout.position_ids_T[None, own], mine)
        place = ((read_M >= mine.first) & (read_M < mine.last)).nonzero()[:, 0]
        hidden_mD = hidden_tD.index_select(0, read_M[place] - mine.first)
        found = token_logprobs(hidden_mD, self.policy.head(), target_M[place], temperature, self._chunk)
        logprobs_M, entropy_M = (share.join(one, place, len(read_M)) for one in found)
        return logprobs_M, entropy_M
