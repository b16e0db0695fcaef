"""The workers of a run from the words of its command: `--on local`, `ray`, `ray://host:port`."""

import os
from collections.abc import Callable
from pathlib import Path

from ponder.errors import PonderError
from ponder.policy import Policy
from ponder.recipe.rollout import EngineConfig
from ponder.watch.losses import LossLog
from ponder.workers.home import Home, LocalHome
from ponder.workers.placement import check_place
from ponder.workers.pool import EnginePool
from ponder.workers.ranks import Ranks

__all__ = ["Workers", "open_home"]


class Workers:
    """What the stages of a run ask for workers."""

    def __init__(self, home: Home, say: Callable[[str], None] = print) -> None:
        self.home, self._say = home, say
        self._pools: dict[Path, EnginePool] = {}

    def engine(self, config: EngineConfig, policy: Policy, ranks: int, folder: Path, losses: LossLog) -> EnginePool:
        """The engines whose files go to `folder`, started, or as they are: they outlast a trainer that begins anew."""
        pool = self._pools.get(folder)
        if pool is None:
            ahead = config.lag > 0
            beside = ranks if ranks > 1 or ahead else 0  # the run's own process takes turns unless it is ahead
            if ahead and ranks == 1:
                self.home.hold()
            count = self.home.engines(beside, ahead=ahead) if config.workers == "auto" else config.workers
            pool = self._pools[folder] = EnginePool(self.home, policy, config, count, folder, losses, self._say)
            self._say(
                f"{folder.name}: {count} engine{'s' if count > 1 else ''} of kind {config.kind} in processes of "
                f"their own"
            )
        pool.use(policy)
        return pool

    def ranks(self, count: int, folder: Path) -> Ranks | None:
        """Where the ranks of a stage are placed, None where they are children of this process."""
        if count == 1 or not self.home.sharded:
            return None
        return Ranks(self.home, folder, self._say, self.home.threads(count))

    def end_engines(self, folder: Path) -> None:
        """End the engines whose files go to this folder, if there are any."""
        if (pool := self._pools.pop(folder, None)) is not None:
            pool.close()

    def end_stage(self, folder: Path) -> None:
        """End the engines of a stage."""
        for one in [one for one in self._pools if one == folder or folder in one.parents]:
            self.end_engines(one)

    def close(self) -> None:
        """End everything."""
        for folder in list(self._pools):
            self.end_stage(folder)
        self.home.close()


def open_home(on: str, folder: Path, say: Callable[[str], None]) -> Home:
    """What `--on` says. PonderError where it is not there or cannot be used; `folder` is the run's."""
    check_place(on)
    import torch

    if on == "local":
        return LocalHome(len(os.sched_getaffinity(0)), torch.cuda.device_count())
    from ponder.workers.ray_home import RayHome

    home = RayHome(on.removeprefix("ray").removeprefix("://"), folder, say)
    count, processors = home.processors()
    if processors == "GPUs" and not torch.cuda.is_available():
        home.close()
        raise PonderError(
            f"The cluster has {count} GPUs, but torch finds none for this process, and workers compute as it does: "
            f"they would hold GPUs and use CPUs. Give the command on a node with a GPU, with a torch that is built for "
            f"CUDA; to compute on CPUs, start Ray on its nodes with `ray start --num-gpus 0`."
        )
    return home
