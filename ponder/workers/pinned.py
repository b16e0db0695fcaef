"""Engines of a pool that draw from the weights of one moment on, while the policy is trained on."""

import threading
from collections.abc import Sequence

from ponder.errors import RankError
from ponder.recipe.rollout import Sampling
from ponder.records import Completion
from ponder.rollout.engine import OnFinish, OnProgress, Request
from ponder.workers.pool import EnginePool

__all__ = ["PinnedEngine"]


class PinnedEngine:
    """The engine's verb over the weights as they are when it is made; their file stays until `close`. One that is to
    `follow` takes up newer ones while it draws."""

    def __init__(self, pool: EnginePool, *, follow: bool = False) -> None:
        self._pool, self._published, self._follow = pool, pool.hold(), follow
        self._ended, self._closing = threading.Event(), threading.Lock()

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[tuple[Completion, ...]]:
        """See `Engine.generate`. RankError once it is closed, and where the file is not what was published."""
        limits = (sampling, max_tokens, weight_version)
        try:
            return self._pool.draw_from(
                self._published, self._ended, requests, limits, on_finish, on_progress, follow=self._follow
            )
        except RankError:
            self._close(damaged=not self._ended.is_set())  # it is written anew when training has come this far again
            raise

    def close(self) -> None:
        """Nothing is drawn any more; from any thread, as often as one likes."""
        self._close(damaged=False)

    def _close(self, *, damaged: bool) -> None:
        with self._closing:
            if not self._ended.is_set():
                self._ended.set()
                self._pool.release(self._published, damaged=damaged)
