"""What a server and its lanes say to each other. No torch is needed to read it."""

from dataclasses import dataclass

from ponder.policy.voice import Voice
from ponder.recipe.training import Precision
from ponder.rollout.carried import Carried
from ponder.rollout.engine import Bounds, Job, Load, Piece

__all__ = [
    "Accepted",
    "Begin",
    "Cancel",
    "Force",
    "Load",
    "News",
    "Ready",
    "Refused",
    "Reload",
    "Reloaded",
    "Submit",
    "merge",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """The first message to a lane: the model, and what it may use."""

    model: str
    template: str | None
    precision: Precision
    device: str | None
    threads: int
    bounds: Bounds
    version: int


@dataclass(frozen=True, slots=True)
class Submit:
    """Take a job; the lane's messages call it `number`."""

    number: int
    job: Job


@dataclass(frozen=True, slots=True)
class Cancel:
    """As `OpenEngine.cancel`."""

    number: int
    choice: int | None


@dataclass(frozen=True, slots=True)
class Force:
    """As `OpenEngine.force`."""

    number: int
    choice: int
    token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reload:
    """As `OpenEngine.load`, of the weights in a model's folder."""

    version: int
    folder: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded."""

    voice: Voice


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job has been taken."""

    number: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The job, the weights (`number` None) or the whole beginning cannot be done, and why."""

    number: int | None
    error: Carried


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Weights of this version wait for what is under way to end, or are in place."""

    version: int


@dataclass(frozen=True, slots=True)
class News:
    """What is new of the jobs, by their numbers, and what there is to do now."""

    pieces: tuple[Piece, ...]
    load: Load


def merge(first: Piece, second: Piece) -> Piece:
    """Two pieces of one completion, one after the other, as one."""
    ids, logprobs = first.token_ids + second.token_ids, first.logprobs + second.logprobs
    return second._replace(token_ids=ids, logprobs=logprobs, top=first.top + second.top)
