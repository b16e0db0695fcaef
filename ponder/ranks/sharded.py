"""A team over torch.distributed: FSDP2 shards of a model, whose gradients are sums over the ranks, not means.

Each token's weight in a loss is its share of the whole optimizer step, wherever it is computed, so the parts add up.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed
from torch._C._distributed_c10d import FileStore, Store, TCPStore
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from ponder.ranks.share import GroupShare

__all__ = ["ShardedTeam"]

Value = TypeVar("Value")

_LIMIT = timedelta(minutes=10)
"""How long a rank waits for the others in one exchange before it gives up: they are stopped, or gone."""

_MEETING_LIMIT = timedelta(minutes=2)
"""How long rank 0 is looked for."""


def _store(meeting: Path | str, rank: int, size: int) -> Store:
    if isinstance(meeting, Path):
        return FileStore(str(meeting), size)
    host, _, port = meeting.removeprefix("tcp://").rpartition(":")
    return TCPStore(host, int(port), size, is_master=rank == 0, timeout=_MEETING_LIMIT)


class ShardedTeam:
    """Rank `rank` of `size`, of which each `context` share their passes. All meet at the file `meeting` of this
    machine, which nobody has used before, or at the address tcp://host:port, where rank 0 is."""

    def __init__(self, rank: int, size: int, meeting: Path | str, device: torch.device, context: int = 1) -> None:
        self.rank, self.size = rank, size
        if device.type == "cuda":
            torch.cuda.set_device(device)
        else:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=_store(meeting, rank, size),
            rank=rank,
            world_size=size,
            timeout=_LIMIT,
        )
        self._mesh: DeviceMesh = init_device_mesh(device.type, (size,))
        self.seats, self.seat = size // context, rank // context
        self.tells = rank % context == 0
        self.share: GroupShare | None = None
        if context > 1:  # every rank makes all groups, its own among them
            members = [list(range(seat * context, (seat + 1) * context)) for seat in range(self.seats)]
            groups = [distributed.new_group(ranks, timeout=_LIMIT) for ranks in members]
            self.share = GroupShare(groups[self.seat], context, rank % context)

    def shard(self, module: torch.nn.Module, layers: torch.nn.Module) -> None:
        """See `Team`. What stands outside the layers, embeddings and head above all, stays gathered from the forward
        pass to the end of the backward one."""
        for part in layers.children():
            if isinstance(part, torch.nn.ModuleList):
                for layer in part:
                    fully_shard(layer, mesh=self._mesh)
        fully_shard(module, mesh=self._mesh, reshard_after_forward=False)
        for part in module.modules():
            if isinstance(part, FSDPModule):
                part.set_gradient_divide_factor(1.0)
                part.set_force_sum_reduction_for_comms(True)  # or gloo is asked for a scaled sum, which it has not

    def release(self, module: torch.nn.Module) -> None:
        """See `Team`."""
        for part in module.modules():
            if isinstance(part, FSDPModule):
                part.reshard()

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """See `Team`."""
        if not isinstance(tensor, DTensor):
            return tensor
        found: torch.Tensor = tensor.full_tensor()
        return found

    def gather(self, value: Value) -> list[Value]:
        """See `Team`."""
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value)
        return found

    def leave(self) -> None:
        """Break off all exchanges; whoever waits in one fails at once."""
        distributed.destroy_process_group()
