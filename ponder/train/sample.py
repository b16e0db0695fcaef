"""One trained sequence: what a completion, its reward and its group have become by the time the trainer sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.compact import Numbers

__all__ = ["Sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A prompt and the response to be trained on. Example: Sample(prompt_ids=(5, 6), response_ids=(7, 1), group="p3",
    behaviour=(-0.1, -0.7), advantage=1.2, weight=1 / 64).

    `behaviour` are the log-probs the response was sampled with (None when it was not sampled: pretraining, examples),
    `reference` those of the reference model, `weight` the share of each response token in the whole optimizer step
    (made by algorithm/aggregate). Samples of one `group` have one prompt, which is computed once for all of them. A
    document to pretrain on has its first token as the prompt and a group of its own. What there is of each response
    token is kept as `compact.Numbers`.
    """

    prompt_ids: tuple[int, ...]
    response_ids: Sequence[int]
    group: str
    weight: float
    advantage: float = 0.0
    behaviour: Sequence[float] | None = None
    reference: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not self.prompt_ids or not self.response_ids:
            raise AssertionError(f"a sample needs a prompt and a response, got {self.prompt_ids}, {self.response_ids}")
        for name, values in (("behaviour", self.behaviour), ("reference", self.reference)):
            if values is not None and len(values) != len(self.response_ids):
                raise AssertionError(f"{len(self.response_ids)} response tokens but {len(values)} {name} log-probs")
            if values is not None:
                object.__setattr__(self, name, Numbers("f", values))
        object.__setattr__(self, "response_ids", Numbers("i", self.response_ids))

    @property
    def packed_tokens(self) -> int:
        """Tokens of the response in a packed row: the last one is only predicted, never read."""
        return len(self.response_ids) - 1
