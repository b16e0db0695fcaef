"""What a trainer asks of the others that train the same model with it; a process alone has the answer at once."""

from typing import Protocol, TypeVar

import torch

from ponder.policy.shared import Share

__all__ = ["ALONE", "Team"]

Value = TypeVar("Value")


class Team(Protocol):
    """The ranks that train together. Every rank must call the same methods in the same order: each waits for all."""

    @property
    def rank(self) -> int:
        """Which one this is, from 0."""
        ...

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    @property
    def share(self) -> Share | None:
        """This rank's part of passes that several make together, neighbours by rank; None where each makes its own."""
        ...

    @property
    def seats(self) -> int:
        """How many passes are made at the same time."""
        ...

    @property
    def seat(self) -> int:
        """Which of them this rank makes, or has a part of."""
        ...

    @property
    def tells(self) -> bool:
        """Whether this rank is the one of its seat that says what the pass gave."""
        ...

    def shard(self, module: torch.nn.Module, layers: torch.nn.Module) -> None:
        """Keep of every parameter of `module` this rank's part alone; it is whole while a forward or backward pass
        needs it. The modules in the lists of `layers` are gathered one at a time. Gradients are summed over ranks."""
        ...

    def release(self, module: torch.nn.Module) -> None:
        """Give back what a forward pass without a backward one has gathered: it would outlast the next update."""
        ...

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor of which this rank holds a part."""
        ...

    def gather(self, value: Value) -> list[Value]:
        """Everybody's value, by rank."""
        ...


class _Alone:
    """A process that trains by itself."""

    rank, size = 0, 1
    share, seats, seat, tells = None, 1, 0, True

    def shard(self, module: torch.nn.Module, layers: torch.nn.Module) -> None:
        """Nothing is sharded."""

    def release(self, module: torch.nn.Module) -> None:
        """Nothing was gathered."""

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """It is whole."""
        return tensor

    def gather(self, value: Value) -> list[Value]:
        """Its own."""
        return [value]


ALONE: Team = _Alone()
