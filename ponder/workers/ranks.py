"""Ranks of one stage on the nodes of a home, and the file through which their weights go."""

from collections.abc import Callable
from pathlib import Path

import torch

from ponder.ranks.weight_file import WeightFile
from ponder.workers.crew import PlacedCrew
from ponder.workers.home import Home

__all__ = ["Ranks"]


class Ranks:
    """See `PlacedRanks`. Files go to the stage's `folder`."""

    def __init__(self, home: Home, folder: Path, say: Callable[[str], None], threads: int) -> None:
        self._home, self._folder, self._say, self._threads = home, folder.absolute(), say, threads

    def weights(self, model: torch.nn.Module) -> WeightFile:
        """See `PlacedRanks`."""
        return WeightFile.of(model, self._folder / "ranks.safetensors")

    def crew(self, size: int, maker: str) -> PlacedCrew:
        """See `PlacedRanks`."""
        return PlacedCrew(self._home, size, maker, self._folder, self._threads, self._say)
