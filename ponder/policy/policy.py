"""The model being trained with everything that must travel with it: tokenizer, template, ends, device, arithmetic.

Token ids, positions and a layout go in; the last layer's hidden states come out. Log-probs are made of those by
`logprobs.token_logprobs`, so full logits never exist. Weights are float32 where they are trained;
`autocast_dtype` is the dtype of the matrix products or None.
"""

import contextlib
import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase

from ponder.policy.attention import Layout, PlainLayout, body
from ponder.policy.logprobs import Head
from ponder.policy.storage import keep_for_products
from ponder.policy.voice import Voice
from ponder.text.template import Template

__all__ = ["Adapter", "Policy"]


class Adapter(Protocol):
    """Weights inside a policy's model that alone are trained (`lora.LoraAdapter`); the others are frozen."""

    def save(self, folder: Path) -> None:
        """Write the adapter's weights alone."""
        ...

    def load(self, folder: Path) -> None:
        """Put the weights that `save` wrote into place."""
        ...

    def merge(self) -> None:
        """Add the adapter's product to the model's own weights and take it out: a plain model stays."""
        ...


@dataclass(slots=True, kw_only=True)
class Policy:
    """A causal language model with the ponder attention, in evaluation mode: sampling and training compute the same.

    `stop_ids` end a completion; `pad_id` fills unused places and may equal a stop id, so lengths tell padding apart,
    ids never do; `window` is the most tokens a sequence may have, and `limit` says why they are fewer than the model's
    configuration says; `adapter` is what is trained in place of all weights. `fallback` says why the model attends by
    its own code, whole padded sequences at a time and with its own cache; None: by ponder's layouts.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    stop_ids: frozenset[int]
    pad_id: int
    window: int
    device: torch.device
    autocast_dtype: torch.dtype | None
    logit_scale: float = 1.0
    limit: str | None = None
    fallback: str | None = None
    adapter: Adapter | None = None

    def hidden(
        self,
        input_ids_1T: torch.Tensor,
        position_ids_1T: torch.Tensor,
        layout: Layout | PlainLayout,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Hidden states (T, D) after the final norm. With a cache, (B, T) ids are allowed and give (B * T, D)."""
        model: Any = self.model
        with self.autocast():
            if self.fallback is not None:
                return cast(PlainLayout, layout).plain(body(model), input_ids_1T)
            output: Any = body(model)(
                input_ids=input_ids_1T,
                position_ids=position_ids_1T,
                past_key_values=cache,
                use_cache=cache is not None,
                layout=layout,
            )
        hidden: torch.Tensor = output.last_hidden_state
        return hidden.flatten(0, 1)

    def head(self) -> Head:
        """The output projection as (weight, bias or None, scale)."""
        model: Any = self.model
        projection = model.get_output_embeddings()
        return Head(projection.weight, projection.bias, self.logit_scale)

    def voice(self) -> Voice:
        """What those need who only talk with it."""
        return Voice(
            tokenizer=self.tokenizer,
            template=self.template,
            stop_ids=self.stop_ids,
            pad_id=self.pad_id,
            window=self.window,
            parameters=sum(p.numel() for p in self.model.parameters()),
            device=str(self.device),
            dtype=str(self.autocast_dtype or self.model.dtype).removeprefix("torch."),
        )

    def frozen_copy(self) -> "Policy":
        """A copy with weights of its own that take no gradient: the reference model."""
        model = copy.deepcopy(self.model)
        keep_for_products(model, self.autocast_dtype)
        return dataclasses.replace(self, model=model)

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """The arithmetic of every forward pass. Within one outermost context each weight is cast once, so wrap a whole
        generation or a forward with its loss in it, and never an update of the weights."""
        with torch.autocast(self.device.type, dtype=self.autocast_dtype, enabled=self.autocast_dtype is not None):
            yield
