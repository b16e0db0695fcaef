"""What draws rollouts ahead: engines that have the weights of one moment, in a process beside this one or where the
run's workers are."""

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from ponder.errors import RecipeError
from ponder.policy.policy import Policy
from ponder.recipe.rollout import EngineConfig
from ponder.rollout import Engine
from ponder.rollout.room import device_bytes
from ponder.rollout.snapshot import Snapshot
from ponder.workers.pinned import PinnedEngine
from ponder.workers.pool import EnginePool
from ponder.workers.weights import Following, Publisher

__all__ = ["Drawer", "Drawers", "Forks", "Placed", "open_drawers"]


class Drawer(Engine, Protocol):
    """An engine over weights that training does not change; newer ones are given to it, or none."""

    def close(self) -> None:
        """Nothing is drawn any more, whatever is under way; from any thread, as often as one likes."""
        ...


class Drawers(Protocol):
    """Where drawers come from. The thread that has them draw holds the `gate` while it computes, whoever calls `open`
    holds it too."""

    gate: AbstractContextManager[object]
    follow: bool
    """Whether drawers take up newer weights while they draw (`engine.interrupt`)."""

    @property
    def where(self) -> str:
        """For people."""
        ...

    def open(self) -> Drawer:
        """One with the weights as they are now."""
        ...

    def renew(self, version: int) -> None:
        """Where drawers are to follow, they go on by the weights as they are now."""
        ...

    def close(self) -> None:
        """Let go of what was kept for drawers, which are closed."""
        ...


class Forks:
    """Forks of this process, each in as many processes as half of torch's threads. RecipeError where none can be."""

    def __init__(self, policy: Policy, config: EngineConfig, folder: Path) -> None:
        """With `interrupt`, weights go to drawers as files in `folder`."""
        if policy.device.type != "cpu" or sys.platform != "linux":
            raise RecipeError(
                f"`engine.lag` draws in a second process beside the one that trains, which ponder does on the CPUs of "
                f"Linux alone, and this machine computes on {policy.device.type!r} under {sys.platform!r}, where "
                f"nothing would overlap. Set it to 0, or place engines in processes of their own (`ponder run --on`), "
                f"which models with adapters cannot have."
            )
        self._policy, self._max_slots, self.follow = policy, config.max_slots, config.interrupt
        self._lanes = max(1, torch.get_num_threads() // 2)
        self._cache_bytes = config.cache_bytes(device_bytes(policy.device))
        # Nobody forks while the thread computes: a lock that it holds would stay locked.
        self._computing = threading.Lock()
        self.gate: AbstractContextManager[object] = self._computing
        self._publisher = Publisher(folder / "weights", config.parity_tolerance * 5) if self.follow else None
        self._newest: Path | None = None

    @property
    def where(self) -> str:
        """See `Drawers.where`."""
        return f"{self._lanes} process(es) beside this one"

    def open(self) -> Snapshot:
        """See `Drawers.open`."""
        renewal = None if self._newest is None else partial(Following, self._newest)
        return Snapshot(self._policy, self._max_slots, self._lanes, self._waiting, renewal, self._cache_bytes)

    def renew(self, version: int) -> None:
        """See `Drawers.renew`."""
        if self._publisher is not None:
            self._newest = self._publisher.announce(self._publisher.publish(self._policy), version)

    def close(self) -> None:
        """See `Drawers.close`."""
        if self._publisher is not None:
            self._publisher.close()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self._computing.release()
        try:
            yield
        finally:
            self._computing.acquire()


class Placed:
    """The engines of a pool."""

    def __init__(self, pool: EnginePool, config: EngineConfig) -> None:
        self._pool, self.follow = pool, config.interrupt
        self.gate: AbstractContextManager[object] = nullcontext()

    @property
    def where(self) -> str:
        """See `Drawers.where`."""
        return f"{self._pool.count} engine(s) in processes of their own"

    def open(self) -> PinnedEngine:
        """See `Drawers.open`."""
        return PinnedEngine(self._pool, follow=self.follow)

    def renew(self, version: int) -> None:
        """See `Drawers.renew`."""
        if self.follow:
            self._pool.renew(version)

    def close(self) -> None:
        """See `Drawers.close`."""


def open_drawers(engine: Engine, policy: Policy, config: EngineConfig, folder: Path) -> Drawers:
    """Those that draw ahead where `engine` draws otherwise; files go to `folder`."""
    return Placed(engine, config) if isinstance(engine, EnginePool) else Forks(policy, config, folder)
