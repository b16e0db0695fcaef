"""What an `sft` stage trains on: its examples encoded, a share of them held back, and how many come in each update."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from ponder.errors import ModelError
from ponder.policy import Policy
from ponder.recipe.stages import SftStage
from ponder.records import Message
from ponder.seeds import derive_seed
from ponder.task.examples import LoadedExamples
from ponder.train import Sample
from ponder.train.examples import EncodedExample, EncodedExamples, encode_examples, hold_back, show_mask

__all__ = ["SftData", "split_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SftData:
    """`draws` examples are drawn from the stream that `seed` makes of `training`, `batch_size` in an update. `prompts`
    are all that was read."""

    training: EncodedExamples
    validation: tuple[EncodedExample, ...]
    validation_every: int
    prompts: frozenset[tuple[Message, ...]]
    max_tokens: int
    batch_size: int
    draws: int
    seed: int

    @property
    def steps(self) -> int:
        """Updates; the last one is smaller where the draws do not fill it."""
        return math.ceil(self.draws / self.batch_size)

    def drawn(self, step: int) -> int:
        """Examples drawn in the first `step` updates."""
        return min(step * self.batch_size, self.draws)

    def batch(self, step: int) -> list[Sample]:
        """The examples of the update after `step` updates, every response token weighing the same."""
        places = range(self.drawn(step), self.drawn(step + 1))
        examples = [self.training.at(self.seed, place) for place in places]
        weight = 1 / sum(example.learnt_tokens for example in examples)
        return [example.sample(str(place), weight) for place, example in zip(places, examples, strict=True)]

    @property
    def room(self) -> int:
        """Tokens that the longest prompt leaves for a completion."""
        longest = max(len(example.prompt) for example in (*self.training.examples, *self.validation))
        return self.max_tokens - longest

    def to_json(self) -> dict[str, Any]:
        """What was trained on, by source and by domain, with mean lengths in tokens, prompt included."""
        domains: dict[str, list[int]] = {}
        for example in self.training.examples:
            domains.setdefault(example.domain, []).append(example.tokens)
        return {
            "examples": len(self.training.examples),
            "left_out": len(self.training.left_out),
            "validation": len(self.validation),
            "steps": self.steps,
            "sources": dict(self.training.sizes),
            "domains": {
                name: {"examples": len(sizes), "mean_tokens": sum(sizes) / len(sizes)}
                for name, sizes in sorted(domains.items())
            },
        }

    def describe(self, tokenizer: PreTrainedTokenizerBase) -> Sequence[str]:
        """Lines for people: how much of what, and the first example with its mask."""
        training = self.training
        learnt = sum(example.learnt_tokens for example in training.examples)
        tokens = sum(example.tokens for example in training.examples)
        mixed = ", ".join(
            f"{size:,} {name}" + (f" x {training.weights[name]:g}" if training.weights[name] != 1 else "")
            for name, size in training.sizes.items()
        )
        return (
            f"examples {len(training.examples):,}: {mixed}; {len(self.validation):,} more held back for the "
            f"validation loss",
            f"tokens {tokens:,}, {learnt / tokens:.1%} of them learnt (the responses), the longest example "
            f"{max(example.tokens for example in training.examples):,} of at most {self.max_tokens:,}",
            f"{self.draws:,} examples in {self.steps:,} updates of {self.batch_size}, "
            f"{self.draws / training.per_epoch:.3g} epochs",
            f"first example {training.at(self.seed, 0).id}:",
            *show_mask(training.at(self.seed, 0).sample("0", 1.0), tokenizer),
        )


def split_data(config: SftStage, policy: Policy, loaded: LoadedExamples, seed: int, name: str) -> SftData:
    """Encode and split the examples of the stage called `name`."""
    max_tokens = config.max_tokens or policy.window
    if max_tokens > policy.window:
        raise ModelError(
            f"Stage {name!r} takes examples of up to {max_tokens:,} tokens (`max_tokens`), but the window of its model "
            f"is {policy.window:,}. Lower `max_tokens`, or extend the window in the model's config.json."
        )
    encoded = encode_examples(loaded, policy, max_tokens)
    training, validation = hold_back(
        encoded, config.validation_share, config.validation_limit, derive_seed(seed, "validation")
    )
    per_epoch = training.per_epoch
    draws = config.steps * config.batch_size if config.steps is not None else max(1, round(config.epochs * per_epoch))
    return SftData(
        training=training,
        validation=validation,
        validation_every=config.validation_every or math.ceil(per_epoch / config.batch_size),
        prompts=frozenset(entry.example.messages for entry in loaded.examples),
        max_tokens=max_tokens,
        batch_size=config.batch_size,
        draws=draws,
        seed=derive_seed(seed, "examples"),
    )
