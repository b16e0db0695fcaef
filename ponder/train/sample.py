"""One trained sequence: what a completion, its reward and its group have become by the time the trainer sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ponder.compact import Numbers
from ponder.records import Span

__all__ = ["Sample", "TokenCredit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCredit:
    """What a critic makes of each learnt token: its advantage, the value that the critic gave before it, and the return
    that it should have given. Example: TokenCredit(advantages=(0.3, -0.1), values=(0.5, 0.9), returns=(0.8, 0.8))."""

    advantages: Sequence[float]
    values: Sequence[float]
    returns: Sequence[float]

    def __post_init__(self) -> None:
        for name, values in (("advantages", self.advantages), ("values", self.values), ("returns", self.returns)):
            object.__setattr__(self, name, Numbers("f", values))

    def __len__(self) -> int:
        return len(self.advantages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A prompt and the response to be trained on. Example: Sample(prompt_ids=(5, 6), response_ids=(7, 1), group="p3",
    behaviour=(-0.1, -0.7), advantage=1.2, weight=1 / 64).

    `behaviour` are the log-probs the response was sampled with (None when it was not sampled: pretraining, examples),
    `reference` those of the reference model, `proximal` the trained model's before the rollout's first update, `weight`
    the share of each response token in the whole optimizer step (made by algorithm/aggregate). Samples of one `group`
    have one prompt, which is computed once for all of them. A document to pretrain on has its first token as the prompt
    and a group of its own. What there is of each response token is kept as `compact.Numbers`. With `credit` the tokens
    have advantages of their own; until a critic has given it, `advantage` is the reward of the output.

    Where `spans` are given, only the response's tokens in them are learnt and have log-probs; the others are read.
    """

    prompt_ids: tuple[int, ...]
    response_ids: Sequence[int]
    group: str
    weight: float
    advantage: float = 0.0
    behaviour: Sequence[float] | None = None
    reference: Sequence[float] | None = None
    proximal: Sequence[float] | None = None
    spans: tuple[Span, ...] = ()
    credit: TokenCredit | None = None

    def __post_init__(self) -> None:
        if not self.prompt_ids or not self.response_ids:
            raise AssertionError(f"a sample needs a prompt and a response, got {self.prompt_ids}, {self.response_ids}")
        kept = (("behaviour", self.behaviour), ("reference", self.reference), ("proximal", self.proximal))
        for name, values in kept:
            if values is not None and len(values) != self.learnt_tokens:
                raise AssertionError(f"{self.learnt_tokens} learnt tokens but {len(values)} {name} log-probs")
            if values is not None:
                object.__setattr__(self, name, Numbers("f", values))
        if self.credit is not None and len(self.credit) != self.learnt_tokens:
            raise AssertionError(f"{self.learnt_tokens} learnt tokens but credit for {len(self.credit)}")
        object.__setattr__(self, "response_ids", Numbers("i", self.response_ids))

    @property
    def learnt_tokens(self) -> int:
        """How many tokens of the response are learnt."""
        return sum(end - start for start, end in self.spans) if self.spans else len(self.response_ids)

    @property
    def learnt(self) -> NDArray[np.bool_]:
        """Whether each token of the response is learnt."""
        mask = np.full(len(self.response_ids), not self.spans)
        for start, end in self.spans:
            mask[start:end] = True
        return mask

    @property
    def learnt_ids(self) -> list[int]:
        """The tokens that are learnt."""
        return [self.response_ids[place] for place in np.flatnonzero(self.learnt).tolist()]

    @property
    def packed_tokens(self) -> int:
        """Tokens of the response in a packed row: the last one is only predicted, never read."""
        return len(self.response_ids) - 1
