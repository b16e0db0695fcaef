"""What an engine is: token ids in, completions out.

Requests (one prompt, as many completions as seeds) and a distribution go in; one tuple of completions per request
comes out, in the order of the requests and of their seeds. An open engine takes jobs, requests that each bring their
own distribution, while others run. An engine knows no messages, no templates, no rewards.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from ponder.errors import DataError, ModelError
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, FinishReason, Problem
from ponder.rollout.drawing import PLAIN, Drawing, Likeliest
from ponder.rollout.guide import Bias, GuideMaker

if TYPE_CHECKING:
    import torch

__all__ = [
    "Bounds",
    "Engine",
    "GenerationState",
    "Job",
    "Load",
    "OnFinish",
    "OnProgress",
    "OpenEngine",
    "Piece",
    "RenewableEngine",
    "Renewal",
    "Request",
    "check_fits",
    "refuse_guides",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One prompt to be completed once per seed.

    A seed alone decides the random numbers of its completion, whatever else is sampled beside it. `key` names the
    request in callbacks and errors. Example: Request(prompt_ids=(5, 17, 3), seeds=(1, 2), key="gsm8k/17"). The last
    `begun` ids of the prompt are what its completion begins with: limits and random numbers count them. `problem` is
    what a conversation is about, for those who answer the model; others do not look at it. A `guide` is for open
    engines.
    """

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]
    key: str
    problem: Problem | None = None
    guide: GuideMaker | None = None
    begun: int = 0


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


class Renewal(Protocol):
    """Newer weights for an engine while it draws (`engine.interrupt`); the policy has those of `version` now."""

    version: int

    def due(self) -> bool:
        """Whether there are any. Asked between two steps, and in processes forked for the call."""
        ...

    def take(self) -> int:
        """Put them into the policy; their version, which is higher than that before."""
        ...


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


class RenewableEngine(Engine, Protocol):
    """One whose completions can go on by newer weights."""

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
        renewal: Renewal | None = None,
    ) -> list[tuple[Completion, ...]]:
        """See `Engine.generate`. As soon as a renewal is due, what is being drawn goes on by its weights: all keys and
        values are computed anew, ids and log-probs that are there stay."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One prompt to be completed once per seed, in the job's own way.

    `stop_ids` None are the model's, an empty set lets nothing end a completion but `max_tokens`. `forced` are the first
    tokens of every completion. One that still thinks after `thinking_tokens` tokens gets the template's closing tag
    forced and answers. A lower `priority` goes first; jobs of one priority that wait go by turns of their `owner`s, and
    an owner's only one waits however much others have waiting. Jobs share what their prompts begin with, and guesses at
    what comes next, with those of the same `salt` alone; the first `public_tokens` tokens, which everybody's prompt
    begins with, are shared by all. `key` names the job in errors. `bias` is added to logits, and `guide` says which
    tokens may come next; log-probs are then those of what is left. The `top` most likely tokens are told
    beside each one.
    """

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]
    max_tokens: int
    key: str
    drawing: Drawing = PLAIN
    stop_ids: frozenset[int] | None = None
    forced: tuple[int, ...] = ()
    salt: str | None = None
    public_tokens: int = 0
    priority: int = 0
    owner: str | None = None
    bias: Bias = ()
    guide: GuideMaker | None = None
    thinking_tokens: int | None = None
    top: int = 0


class Piece(NamedTuple):
    """What is new of one completion of a job: its next tokens, and why it ended if it did.

    "failed" means that its logits were not finite, or that its guide allowed nothing: the tokens before that are right,
    and nothing follows. Log-probs are those under the distribution that sampled the token, of forced tokens those under
    the model at the job's temperature. `hit_tokens` of the prompt came from the prefix cache, the rest was computed.
    A named tuple, since thousands a second are made and sent between processes.
    """

    job: int
    choice: int
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    reason: FinishReason | Literal["failed"] | None
    hit_tokens: int
    weight_version: int
    top: tuple[Likeliest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an open engine may use: rows that sample at one time, bytes of the keys and values of all jobs that have
    begun, bytes of the prefix cache, tokens of the prompts that wait."""

    rows: int = 256
    memory_bytes: int = 2 << 30
    cache_bytes: int = 256 << 20
    waiting_tokens: int = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What an open engine has to do and holds now. `reserved_bytes` are set aside for the jobs that have begun, for as
    long as they may become; `held_bytes` are allocated."""

    jobs: int
    rows: int
    waiting_tokens: int
    reserved_bytes: int
    held_bytes: int
    cached_bytes: int
    hit_tokens: int
    miss_tokens: int
    weight_version: int


class OpenEngine(Engine, Protocol):
    """An engine that jobs join and leave while it runs. Whoever has it calls `step` while there are jobs."""

    @property
    def load_now(self) -> Load:
        """What there is to do."""
        ...

    def submit(self, job: Job) -> int:
        """Take a job; the number that the other verbs and the pieces know it by.

        Raises DataError or ModelError for a job that can never be done, BusyError where too much waits.
        """
        ...

    def step(self) -> list[Piece]:
        """Do a little work; what is new of the jobs. Nothing may be new: prompts take several steps."""
        ...

    def cancel(self, job: int, choice: int | None = None) -> None:
        """Nothing more is computed for a job, or for one of its completions, nor said of it. One that has ended, or
        never was, is no error: its end may be on its way."""
        ...

    def force(self, job: int, choice: int, token_ids: Sequence[int]) -> None:
        """The next tokens of a completion are these, whatever the model says; a stop id among them ends it. One that
        has ended is no error."""
        ...

    def load(self, version: int, tensors: Mapping[str, "torch.Tensor"]) -> None:
        """Sample from these weights: at once, or when all that is begun has ended; until then nothing is begun, so an
        answer is of one version. They must not change until then; weights loaded meanwhile take their place. The
        prefix cache is emptied. Raises ModelError for weights that do not fit."""
        ...


def refuse_guides(requests: Sequence[Request]) -> None:
    """DataError for a request with a guide: for engines that follow none."""
    if guided := [request.key for request in requests if request.guide is not None]:
        raise DataError(
            f"The request {guided[0]!r} brings a guide, and this engine samples freely, as training needs it. Leave "
            f"the guide out, or ask an open engine."
        )


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
