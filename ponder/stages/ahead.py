"""Rollouts that are drawn while earlier ones are learnt from (`engine.lag`).

    begin(step, ...)   engines with the weights of this moment draw it; further ones wait for their turn
    take(step)         the rollout, when it is drawn, judged and on disk
    drain()            nothing is under way any more

Each rollout is drawn whole by one version of the weights, so how stale it is when it is learnt from follows from the
order of these calls alone, and not from who was faster. With `engine.interrupt` newer weights take over meanwhile
(`renew`), and that is the most that it is. What stands whole in the log is read and not drawn. A thread of
this process hands completions to the verifiers; other processes draw (`drawers.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager

import torch

from ponder.records import Problem
from ponder.rollout import Collected, GenerationState, OnProgress
from ponder.rollout.collect import Phase
from ponder.stages.drawers import Drawer, Drawers
from ponder.watch import Phases
from ponder.watch.drawn import DrawnLog, DrawnRollout

__all__ = ["Ahead", "Draw", "all_threads"]

_TICK_SECONDS = 0.25
_MOST_STALE = 16
"""Updates; R1-Zero itself learns from completions that are up to 15 updates old."""
Draw = Callable[[Drawer, int, list[Problem], int, Phase, OnProgress], Collected]
"""(engine, step, problems, version of its weights, phases, progress) -> the rollout after `step` updates."""
Tick = Callable[[int, int, str], None]


class Ahead:
    """`keep` puts a rollout into the stage's logs. `kept` are the rollouts that stand whole in them, by the updates
    before them.

    Half of torch's threads are left to this process. So how its work is dealt out, and with it every bit of its
    results, does not depend on whether anything is drawn meanwhile.
    """

    def __init__(
        self,
        drawers: Drawers,
        draw: Draw,
        keep: Callable[[int, Collected], None],
        log: DrawnLog,
        kept: Mapping[int, DrawnRollout],
    ) -> None:
        self._drawers = drawers
        self._draw, self._keep, self._log, self._kept = draw, keep, log, dict(kept)
        self.threads = torch.get_num_threads()
        torch.set_num_threads(max(1, self.threads - self.threads // 2))
        self._thread = ThreadPoolExecutor(1, "ponder-ahead")
        self._begun: dict[int, Future[DrawnRollout]] = {}
        self._open: list[Drawer] = []
        self._state: GenerationState | None = None

    def begun(self, step: int) -> bool:
        """Whether this rollout was begun and not taken yet."""
        return step in self._begun

    def begin(self, step: int, problems: list[Problem], version: int) -> None:
        """Draw the rollout after `step` updates with the weights as they are, which are of `version`."""
        future: Future[DrawnRollout]
        if step in self._kept:
            future = Future()
            future.set_result(self._kept.pop(step))
        else:
            with self._drawers.gate:
                engine = self._drawers.open()
            self._open.append(engine)
            future = self._thread.submit(self._run, step, problems, version, engine)
        self._begun[step] = future

    def renew(self, version: int) -> None:
        """The weights are others now, of `version`: with `engine.interrupt` what is under way goes on by them."""
        self._drawers.renew(version)

    def take(self, step: int, tick: Tick) -> DrawnRollout:
        """The rollout after `step` updates, which was begun; raises what went wrong with it."""
        found = self._wait(self._begun[step], tick)
        del self._begun[step]
        return found

    def drain(self, tick: Tick) -> None:
        """Wait for all that is under way, so that every rollout begun stands in the log."""
        for future in list(self._begun.values()):
            self._wait(future, tick)

    def forget_after(self, step: int) -> None:
        """Forget rollouts of later updates, which stand in the log and are not learnt from."""
        self._log.truncate_after(step)

    def close(self) -> None:
        """End all processes; what is not on disk by then is lost."""
        for engine in list(self._open):
            engine.close()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._drawers.close()
        torch.set_num_threads(self.threads)

    def describe(self, lag: int, updates: int) -> str:
        """One line for the user."""
        most = updates * (lag + 1) - 1
        renewed = ", later tokens by newer ones" if self._drawers.follow else ""
        warning = "" if most <= _MOST_STALE else f"; WARNING: above {_MOST_STALE} learning rates must be low"
        return (
            f"lag {lag}: each rollout is drawn by the weights of {lag} rollout(s) before{renewed}, in "
            f"{self._drawers.where}: {updates * lag} to {most} updates old when it is learnt from{warning}"
        )

    def _wait(self, future: Future[DrawnRollout], tick: Tick) -> DrawnRollout:
        while True:
            try:
                return future.result(_TICK_SECONDS)
            except NotYet:
                if future.done():  # raised by the work itself
                    return future.result()
                if (state := self._state) is not None:
                    tick(state.finished, state.total, "")

    def _run(self, step: int, problems: list[Problem], version: int, engine: Drawer) -> DrawnRollout:
        def report(state: GenerationState) -> None:
            self._state = state

        phases = Phases()
        with self._drawers.gate:
            collected = self._draw(engine, step, problems, version, phases, report)
            engine.close()
            self._open.remove(engine)
            self._state = None
            seconds = phases.take()
            del seconds["step"]
            drawn = DrawnRollout(
                groups=collected.groups, problems=len(problems), metrics=collected.metrics, seconds=seconds
            )
            self._keep(step, collected)
            self._log.write(step + 1, drawn)
        return drawn


@contextmanager
def all_threads(ahead: Ahead | None) -> Iterator[None]:
    """Within it this process has the threads that drawing ahead has otherwise: when nothing is under way."""
    before = torch.get_num_threads()
    if ahead is not None:
        torch.set_num_threads(ahead.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
