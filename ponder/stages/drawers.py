"""What draws rollouts ahead: engines that have the weights of one moment, in a process beside this one or where the
run's workers are."""

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

import torch

from ponder.errors import RecipeError
from ponder.policy.policy import Policy
from ponder.recipe.rollout import EngineConfig
from ponder.rollout import Engine
from ponder.rollout.snapshot import Snapshot
from ponder.workers.pinned import PinnedEngine
from ponder.workers.pool import EnginePool

__all__ = ["Drawer", "Drawers", "Forks", "Placed", "open_drawers"]


class Drawer(Engine, Protocol):
    """An engine over weights that nobody changes."""

    def close(self) -> None:
        """Nothing is drawn any more, whatever is under way; from any thread, as often as one likes."""
        ...


class Drawers(Protocol):
    """Where drawers come from. The thread that has them draw holds the `gate` while it computes, whoever calls `open`
    holds it too."""

    gate: AbstractContextManager[object]

    @property
    def where(self) -> str:
        """For people."""
        ...

    def open(self) -> Drawer:
        """One with the weights as they are now."""
        ...


class Forks:
    """Forks of this process, each in as many processes as half of torch's threads. RecipeError where none can be."""

    def __init__(self, policy: Policy, config: EngineConfig) -> None:
        if policy.device.type != "cpu" or sys.platform != "linux":
            raise RecipeError(
                f"`engine.lag` draws in a second process beside the one that trains, which ponder does on the CPUs of "
                f"Linux alone, and this machine computes on {policy.device.type!r} under {sys.platform!r}, where "
                f"nothing would overlap. Set it to 0, or place engines in processes of their own (`ponder run --on`), "
                f"which models with adapters cannot have."
            )
        self._policy, self._max_slots = policy, config.max_slots
        self._lanes = max(1, torch.get_num_threads() // 2)
        # Nobody forks while the thread computes: a lock that it holds would stay locked.
        self._computing = threading.Lock()
        self.gate: AbstractContextManager[object] = self._computing

    @property
    def where(self) -> str:
        """See `Drawers.where`."""
        return f"{self._lanes} process(es) beside this one"

    def open(self) -> Snapshot:
        """See `Drawers.open`."""
        return Snapshot(self._policy, self._max_slots, self._lanes, self._waiting)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self._computing.release()
        try:
            yield
        finally:
            self._computing.acquire()


class Placed:
    """The engines of a pool."""

    def __init__(self, pool: EnginePool) -> None:
        self._pool = pool
        self.gate: AbstractContextManager[object] = nullcontext()

    @property
    def where(self) -> str:
        """See `Drawers.where`."""
        return f"{self._pool.count} engine(s) in processes of their own"

    def open(self) -> PinnedEngine:
        """See `Drawers.open`."""
        return PinnedEngine(self._pool)


def open_drawers(engine: Engine, policy: Policy, config: EngineConfig) -> Drawers:
    """Those that draw ahead where `engine` draws otherwise."""
    return Placed(engine) if isinstance(engine, EnginePool) else Forks(policy, config)
