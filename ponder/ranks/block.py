"""All weights of a model one after the other in memory that several processes share: one writes, others read.

A block stands behind a file descriptor without a name in any folder, so it ends with the last process that holds it and
needs no room in /dev/shm, which containers keep small.
"""

import copy
import mmap
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

__all__ = ["Told", "WeightBlock", "with_tensors", "without_weights"]

Holder = TypeVar("Holder")

_ALIGNED = 64
"""Bytes; what vector instructions and caches want."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a tensor stands in a block."""

    offset: int
    shape: torch.Size
    dtype: torch.dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What another process is told of a block, whose descriptor it inherits."""

    descriptor: int
    places: Mapping[str, Place]

    def opened(self) -> "WeightBlock":
        """The block there."""
        return WeightBlock(self.descriptor, self.places)


class WeightBlock:
    """The parameters of one model by their names, tied ones once. `descriptor` is what a child process inherits."""

    def __init__(self, descriptor: int, places: Mapping[str, Place]) -> None:
        self.descriptor, self.places = descriptor, places
        size = max(place.offset + place.shape.numel() * place.dtype.itemsize for place in places.values())
        memory = mmap.mmap(descriptor, size)
        self.tensors = {
            name: torch.frombuffer(memory, dtype=place.dtype, count=place.shape.numel(), offset=place.offset).view(
                place.shape
            )
            for name, place in places.items()
        }

    @classmethod
    def of(cls, model: torch.nn.Module) -> "WeightBlock":
        """A new block with the weights of `model`."""
        places: dict[str, Place] = {}
        end = 0
        for name, parameter in model.named_parameters():
            places[name] = Place(offset=end, shape=parameter.shape, dtype=parameter.dtype)
            end += -(-parameter.nbytes // _ALIGNED) * _ALIGNED
        if sys.platform == "linux":
            descriptor = os.memfd_create("weights")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, end)
        block = cls(descriptor, places)
        block.write(model)
        return block

    @property
    def told(self) -> Told:
        """What a rank is told, to open it."""
        return Told(descriptor=self.descriptor, places=dict(self.places))

    def put(self, tensors: Iterable[tuple[str, torch.Tensor]], *, mine: bool) -> None:
        """Go through all, which every rank must, and with `mine` write them."""
        for name, tensor in tensors:
            if mine:
                self.tensors[name].copy_(tensor)

    @torch.no_grad()
    def write(self, model: torch.nn.Module) -> None:
        """Take the weights of `model`, where they are not the block's own."""
        for name, parameter in model.named_parameters():
            if parameter.data_ptr() != self.tensors[name].data_ptr():
                self.tensors[name].copy_(parameter)

    @torch.no_grad()
    def read(self, model: torch.nn.Module) -> None:
        """Put the weights into `model`, where they are not its own."""
        for name, parameter in model.named_parameters():
            if parameter.data_ptr() != self.tensors[name].data_ptr():
                parameter.copy_(self.tensors[name])

    def lend(self, model: torch.nn.Module) -> None:
        """Make the block's tensors the model's own, if it is on a CPU: it sees every later change of the block."""
        for name, parameter in model.named_parameters():
            if parameter.device.type == "cpu":
                parameter.data = self.tensors[name]

    def close(self) -> None:
        """Let go of the descriptor; tensors of the block live on."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


def without_weights(holder: Holder, model: torch.nn.Module) -> Holder:
    """A deep copy of `holder`, which holds `model`, with empty parameters: what is sent beside a block."""
    empty = {
        id(p): torch.nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in model.parameters()
    }
    return copy.deepcopy(holder, dict(empty))


def with_tensors(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give a model that came without weights these, by name."""
    made = {
        id(p): torch.nn.Parameter(tensors[name], requires_grad=p.requires_grad) for name, p in model.named_parameters()
    }
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            module.register_parameter(name, made[id(parameter)])
