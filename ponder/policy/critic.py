"""Critics: a causal model's body with one linear row, whose number at a token is what the output will still earn.

    new_critic(policy)                 the policy's body, under a row of zeros: it expects nothing yet
    critic_of(reward model, policy)    a trained reward model, body and row

The folder is a plain `...ForSequenceClassification` with one label, as a reward model's, but without
`ponder_scorer.json`: what it tells is no score, and it cannot be taken for one.
"""

import contextlib
import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ponder.errors import ModelError
from ponder.policy.packed import PackedLayout
from ponder.policy.policy import Policy
from ponder.policy.pretrained import write_model
from ponder.policy.scorer_load import load_scorer, read_scored, row_width, with_row
from ponder.policy.window import check_length
from ponder.text.template import Template

__all__ = ["Critic", "critic_of", "load_critic_weights", "new_critic", "save_critic"]


@dataclass(slots=True, kw_only=True)
class Critic:
    """A critic with all that its values depend on; it reads the ids of the policy that it stands beside. `window` and
    `limit` are as in `Policy`."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    window: int
    device: torch.device
    autocast_dtype: torch.dtype | None
    limit: str | None = None

    def values(self, input_ids_1T: torch.Tensor, layout: PackedLayout, read_M: torch.Tensor) -> torch.Tensor:
        """The values (M,) in float32, with gradient, at the packed tokens `read_M`: what the output will still earn
        behind each of them."""
        model: Any = self.model
        check_length(layout.longest, self.window, self.limit)
        with self._autocast():
            output = model.base_model(
                input_ids=input_ids_1T, position_ids=layout.position_ids_T[None], use_cache=False, layout=layout
            )
        hidden_MD = output.last_hidden_state[0].index_select(0, read_M)
        values_M: torch.Tensor = (hidden_MD.float() @ model.score.weight.float().T)[:, 0]
        return values_M

    @contextlib.contextmanager
    def _autocast(self) -> Iterator[None]:
        with torch.autocast(self.device.type, dtype=self.autocast_dtype, enabled=self.autocast_dtype is not None):
            yield


def new_critic(policy: Policy, name: str) -> Critic:
    """A critic with a copy of the policy's body. ModelError for an architecture without a head of one label."""
    twin = dataclasses.replace(policy, model=copy.deepcopy(policy.model))
    return _critic(
        with_row(twin, torch.zeros(1, row_width(policy)), name, "a critic"), policy, policy.window, policy.limit
    )


def critic_of(reference: str | Path, policy: Policy) -> Critic:
    """The reward model of a folder or hub id as the critic of `policy`. ModelError where there is none, or it reads
    other token ids."""
    scorer = load_scorer(reference, precision="fp32", device=policy.device)  # its weights are to be trained
    if scorer.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise ModelError(
            f"The reward model {str(reference)!r} cannot become the critic: its {len(scorer.tokenizer):,} tokens are "
            f"not the {len(policy.tokenizer):,} of the policy, whose ids it would have to read. Give one that was "
            "trained from a model with the policy's tokenizer, or leave `critic.model` out."
        )
    return _critic(scorer.model, policy, scorer.window, scorer.limit)


def save_critic(critic: Critic, folder: Path) -> None:
    """Write a plain Hugging Face folder, weights as float32."""
    write_model(critic.model, critic.tokenizer, critic.template, folder, torch.float32)


def load_critic_weights(critic: Critic, folder: Path) -> None:
    """Put the weights of a folder that `save_critic` wrote into the critic's own tensors."""
    critic.model.load_state_dict(read_scored(folder).state_dict())


def _critic(model: Any, policy: Policy, window: int, limit: str | None) -> Critic:
    return Critic(
        model=model.requires_grad_(True),
        tokenizer=policy.tokenizer,
        template=policy.template,
        window=window,
        limit=limit,
        device=policy.device,
        autocast_dtype=policy.autocast_dtype,
    )
