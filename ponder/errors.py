"""Every error a user can meet, as one tree.

    PonderError
    +-- RecipeError      the recipe file or an override is wrong           (ValueError)
    +-- DataError        a problem or example source cannot be used        (ValueError)
    +-- ModelError       a model, tokenizer or template cannot be used     (ValueError)
    +-- RunFolderError   a run folder is in use, foreign or changed        (RuntimeError)
    +-- CheckpointError  a checkpoint is torn or damaged                   (RuntimeError)
    +-- ParityError      engine and trainer disagree about log-probs       (RuntimeError)
    +-- VerifierError    a verifier was asked something impossible         (ValueError)
    +-- EndpointError    a model at an endpoint refuses or fails too often (RuntimeError)
    +-- BusyError        an engine has no room for a request now           (RuntimeError)
    +-- RankError        a process of those that train together is gone    (RuntimeError)
    +-- WorkerLost       a worker, or its node, is gone or does not answer (RuntimeError)
    +-- LearningError    the run cannot learn and was told to stop         (RuntimeError)

A message is one paragraph: what went wrong, what was got, what was expected, what to do next. The command line prints
it without a traceback and exits with status 1. A bug in ponder itself is an AssertionError or any other exception and
keeps its traceback.
"""

from typing import Literal

__all__ = [
    "BusyError",
    "CheckpointError",
    "DataError",
    "EndpointError",
    "LearningError",
    "ModelError",
    "ParityError",
    "PonderError",
    "RankError",
    "RecipeError",
    "RunFolderError",
    "VerifierError",
    "WorkerLost",
]


class PonderError(Exception):
    """Base of every error caused by input, files or the machine rather than by a bug."""


class RecipeError(PonderError, ValueError):
    """The recipe or an override is wrong. `about` is the name in it that is, for whoever knows where it stands."""

    def __init__(self, message: str, about: str = "") -> None:
        super().__init__(message)
        self.about = about


class DataError(PonderError, ValueError):
    """A source of problems or examples cannot be used."""


class ModelError(PonderError, ValueError):
    """A model, tokenizer or template cannot be used."""


class RunFolderError(PonderError, RuntimeError):
    """A run folder is in use, made by something else, or changed."""


class CheckpointError(PonderError, RuntimeError):
    """A checkpoint is torn or damaged."""


class ParityError(PonderError, RuntimeError):
    """The engine's and the trainer's log-probs of the same tokens differ by more than the tolerance."""


class VerifierError(PonderError, ValueError):
    """A verifier was asked something it cannot be asked."""


class EndpointError(PonderError, RuntimeError):
    """A model at an endpoint cannot be reached, refuses, or fails too often."""


class BusyError(PonderError, RuntimeError):
    """An engine has no room for a request now; later it may have."""


class RankError(PonderError, RuntimeError):
    """One of the processes that train together failed. `cause` is "gone" when it ended, "memory" when memory ran out in
    it, else "fault": with that there is no use in starting it again. `where` is the machine."""

    def __init__(
        self, message: str, cause: Literal["gone", "memory", "fault"] = "fault", where: str = "this machine"
    ) -> None:
        super().__init__(message)
        self.cause, self.where = cause, where


class WorkerLost(PonderError, RuntimeError):
    """A worker is gone, or did not answer in time: which one, on which node, and how that was seen."""

    def __init__(self, *, what: str, where: str, why: str) -> None:
        super().__init__(f"The worker {what} on {where} is lost: it {why}.")
        self.what, self.where, self.why = what, where, why


class LearningError(PonderError, RuntimeError):
    """The run cannot learn: nothing is ever right, updates without end are skipped, or canaries can earn rewards."""
