"""What an engine is: token ids in, completions out.

Requests (one prompt, as many completions as seeds) and a distribution go in; one tuple of completions per request
comes out, in the order of the requests and of their seeds. An engine knows no messages, no templates, no rewards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ponder.errors import DataError, ModelError
from ponder.recipe.rollout import Sampling
from ponder.records import Completion

__all__ = ["Engine", "GenerationState", "OnFinish", "OnProgress", "Request", "check_fits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One prompt to be completed once per seed.

    A seed alone decides the random numbers of its completion, whatever else is sampled beside it. `key` names the
    request in callbacks and errors. Example: Request(prompt_ids=(5, 17, 3), seeds=(1, 2), key="gsm8k/17").
    """

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationState:
    """How far a call to `generate` is: tokens sampled so far, completions finished and asked for, seconds passed."""

    tokens: int
    finished: int
    total: int
    seconds: float


OnFinish = Callable[[str, int, Completion], None]
"""Called with (request key, index of the seed, completion) as soon as a completion is done, in the caller's thread."""

OnProgress = Callable[[GenerationState], None]
"""Called a few times per second in the caller's thread."""


class Engine(Protocol):
    """Anything that samples completions."""

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[tuple[Completion, ...]]:
        """Complete every request. `max_tokens` is the limit in force now (`sampling.max_tokens_at(step)`).

        Raises DataError or ModelError for a prompt that does not fit; nothing is ever cut.
        """
        ...


def check_fits(requests: Sequence[Request], max_tokens: int, window: int) -> None:
    """Refuse prompts that leave no room for `max_tokens` new tokens in a window of `window` tokens.

    Raises DataError for an empty prompt or one as long as the window, ModelError where prompt and completion together
    exceed it.
    """
    for request in requests:
        length = len(request.prompt_ids)
        if length == 0:
            raise DataError(f"The prompt of {request.key!r} has no tokens. Give every problem a text to complete.")
        if length >= window:
            raise DataError(
                f"The prompt of {request.key!r} has {length} tokens, but the model's window is {window} tokens and "
                f"prompts are never cut. Remove the problem or take a model with a larger window."
            )
        if length + max_tokens > window:
            raise ModelError(
                f"The prompt of {request.key!r} has {length} tokens; with max_tokens {max_tokens} that makes "
                f"{length + max_tokens}, but the model's window is {window} tokens. Set sampling.max_tokens to at most "
                f"{window - length}, remove the problem or take a model with a larger window."
            )
