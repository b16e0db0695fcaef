"""The model as the routes see it: its voice, and jobs that are dealt out between lanes."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import fields

from ponder.errors import BusyError
from ponder.policy.voice import Voice
from ponder.recipe.serve import ServeConfig
from ponder.rollout.engine import Bounds, Job, Load
from ponder.serve.lane import Lane, Ticket
from ponder.serve.messages import Begin
from ponder.serve.spawn import Spawned, threads_of

__all__ = ["Serving", "Ticket"]


class Serving:
    """The lanes of one model. Use `Serving.start`."""

    def __init__(self, lanes: Sequence[Lane], voice: Voice, version: int) -> None:
        self._lanes = lanes
        self.voice = voice
        self.version = version
        self.draining = False

    @classmethod
    async def start(
        cls,
        config: ServeConfig,
        model: str,
        say: Callable[[str], None],
        version: int = 0,
        spawned: list[Spawned] | None = None,
    ) -> "Serving":
        """Load the model in every lane; raises ModelError and others as `load_policy` does. Lanes that have been
        `spawned` ahead are taken from the list."""
        begin = Begin(
            model=model,
            template=config.template,
            precision=config.precision,
            device=config.device,
            threads=threads_of(config),
            bounds=Bounds(
                rows=config.rows,
                memory_bytes=int(config.memory_gib * 2**30),
                cache_bytes=int(config.cache_mib * 2**20),
                waiting_tokens=config.waiting_tokens,
            ),
            version=version,
        )
        lanes = [Lane(begin, say, spawned.pop() if spawned else None) for _ in range(config.lanes)]
        try:
            voices = await asyncio.gather(*(lane.start() for lane in lanes))
        except BaseException:
            for lane in lanes:
                lane.close()
            raise
        return cls(lanes, voices[0], version)

    @property
    def state(self) -> str:
        """`ok`, `draining`, `starting` while no lane is up, or `broken` when none will come back."""
        if self.draining:
            return "draining"
        if any(lane.up for lane in self._lanes):
            return "ok"
        return "broken" if all(lane.broken for lane in self._lanes) else "starting"

    @property
    def load(self) -> Load:
        """What all lanes have to do and hold, as they last said."""
        loads = [lane.load for lane in self._lanes]
        summed = {one.name: sum(getattr(load, one.name) for load in loads) for one in fields(Load)}
        return Load(**summed | {"weight_version": self.version})

    @property
    def jobs(self) -> int:
        """Jobs that have not ended."""
        return sum(lane.jobs for lane in self._lanes)

    @property
    def lanes(self) -> Sequence[Lane]:
        """Each of them."""
        return self._lanes

    async def submit(self, job: Job) -> Ticket:
        """Give the job to the lane with the fewest; raises what `OpenEngine.submit` raises, BusyError where none is
        up."""
        up = [lane for lane in self._lanes if lane.up]
        if self.draining or not up:
            raise BusyError(
                "The server is ending and takes no more requests."
                if self.draining
                else "The model is being loaded anew after a fault. Try again in a few seconds."
            )
        return await min(up, key=lambda lane: lane.jobs).submit(job)

    async def reload(self, version: int, folder: str) -> None:
        """Sample from these weights once what has begun has ended."""
        for lane in self._lanes:
            if not lane.up:
                lane.begin_with(version, folder)
        await asyncio.gather(*(lane.reload(version, folder) for lane in self._lanes if lane.up))
        self.version = version

    def cut(self) -> None:
        """All that is under way fails: the server ends."""
        for lane in self._lanes:
            lane.fail_all(BusyError("The server is ending; this reply was cut."))

    def close(self) -> None:
        """End all lanes."""
        for lane in self._lanes:
            lane.close()
