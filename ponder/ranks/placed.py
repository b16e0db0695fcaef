"""What a trainer asks of whoever places its ranks elsewhere than beside its own process."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from ponder.ranks.weight_file import WeightFile

__all__ = ["PlacedCrew", "PlacedRanks"]


class PlacedCrew(Protocol):
    """Processes that have places; the verbs of a `Crew` once they are told what to make."""

    @property
    def meeting(self) -> str:
        """Where they find each other, as tcp://host:port."""
        ...

    def make(self, setups: Sequence[tuple[Any, ...]]) -> None:
        """Tell each what it is."""
        ...

    def call(self, verb: str, *arguments: Any, doing: str | None = None) -> list[Any]:
        """See `Crew.call`."""
        ...

    def resident_bytes(self) -> list[int]:
        """Memory of each."""
        ...

    def close(self) -> None:
        """End all."""
        ...


class PlacedRanks(Protocol):
    """Makes them."""

    def weights(self, model: torch.nn.Module) -> WeightFile:
        """A file that all of them see, with the weights of `model`."""
        ...

    def crew(self, size: int, maker: str) -> PlacedCrew:
        """So many processes of `maker`."""
        ...
