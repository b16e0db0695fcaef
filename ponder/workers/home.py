"""Where workers live. A home starts processes and looks after them; this one is the machine itself."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ponder.ranks.keeper import Keeper, Look

__all__ = ["Home", "LocalHome", "Place"]


class Place(Protocol):
    """One process somewhere. Each method raises WorkerLost where whoever keeps it does not answer in time."""

    @property
    def where(self) -> str:
        """The node, for people."""
        ...

    def send(self, message: bytes) -> None:
        """Tell the process something."""
        ...

    def look(self, seconds: float) -> Look:
        """What it has said, waiting at most about so long."""
        ...

    def address(self) -> tuple[str, int]:
        """Under which name its node is reached by others, and a port that is free there."""
        ...

    def resident_bytes(self) -> int:
        """Memory of the process."""
        ...

    def end(self) -> None:
        """End it, whatever state it is in."""
        ...


class Home(Protocol):
    """Starts processes."""

    @property
    def sharded(self) -> bool:
        """Whether ranks of training are placed here, too; else they are children of the run's own process."""
        ...

    def processors(self) -> tuple[int, str]:
        """How many processes can train side by side, and on what: GPUs, or cores where there are none."""
        ...

    def engines(self, ranks: int, *, ahead: bool = False) -> int:
        """How many engines there is room for beside so many ranks, at least one. `ahead` ones draw while ranks train,
        others take turns with them."""
        ...

    def threads(self, ranks: int) -> int:
        """How many threads each of so many ranks has."""
        ...

    def hold(self) -> None:
        """Give the GPU with which this process trains to nobody else: it does not take turns with engines."""
        ...

    def start(
        self, name: str, maker: str, threads: int, log: Path, environment: Mapping[str, str] | None = None
    ) -> Place:
        """A process of `maker` (see `ranks.process`), which prints to `log`. WorkerLost where there is no room now."""
        ...

    def close(self) -> None:
        """Let go of everything that was started for this run."""
        ...


class _LocalPlace(Keeper):
    where = socket.gethostname()

    def address(self) -> tuple[str, int]:
        return "127.0.0.1", super().address()[1]


class LocalHome:
    """Processes of this machine, children of this one."""

    sharded = False

    def __init__(self, cores: int, gpus: int = 0) -> None:
        self._cores, self._gpus = cores, gpus

    def processors(self) -> tuple[int, str]:
        """See `Home`."""
        return (self._gpus, "GPUs") if self._gpus else (self._cores, "cores")

    def engines(self, ranks: int, *, ahead: bool = False) -> int:
        """One for each GPU that no rank has, or for each core, or half of them where they do not take turns."""
        if self._gpus:
            return max(1, self._gpus - ranks)
        return max(1, self._cores // 2 if ahead else self._cores)

    def threads(self, ranks: int) -> int:
        """See `Home`."""
        return max(1, self._cores // ranks)

    def hold(self) -> None:
        """See `Home`: engines are given GPUs from the last one on, and this process has the first."""

    def start(
        self, name: str, maker: str, threads: int, log: Path, environment: Mapping[str, str] | None = None
    ) -> Place:
        """See `Home`; there is always room. Ranks have the first GPUs, so engines are given them from the last one on:
        each sees its own alone."""
        number = name.removeprefix("engine-")
        if self._gpus and number.isdecimal():
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            ids = visible if len(visible) == self._gpus else [str(i) for i in range(self._gpus)]
            environment = {**(environment or {}), "CUDA_VISIBLE_DEVICES": ids[-1 - int(number) % self._gpus]}
        return _LocalPlace(maker, threads, log, environment)

    def close(self) -> None:
        """Each process ends with whoever asked for it."""
