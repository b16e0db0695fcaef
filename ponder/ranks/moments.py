"""An optimizer's state as a distributed checkpoint: every rank writes its part, any number of ranks reads it.

The one home of torch.distributed.checkpoint.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from ponder.files import full_disk_explained
from ponder.ranks.team import Team

__all__ = ["read_moments", "read_whole_moments", "take_part", "write_moments"]


def write_moments(moments: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Write what all ranks hold; all of them call this. RunFolderError on all where the disk is full for one."""
    with warnings.catch_warnings(action="ignore"), full_disk_explained(folder), _what_failed():
        save(dict(moments), storage_writer=_Writer(folder))


def read_moments(moments: Mapping[str, torch.Tensor], folder: Path, team: Team) -> set[str]:
    """Fill these tensors, or this rank's parts of them, from what `write_moments` wrote; returns the names of those
    that are there. One process alone needs no others to read."""
    there = set(FileSystemReader(folder).read_metadata().state_dict_metadata)
    wanted = {name: tensor for name, tensor in moments.items() if name in there}
    with warnings.catch_warnings(action="ignore"), _what_failed():
        load(wanted, checkpoint_id=folder, no_dist=team.size == 1)
    return set(wanted)


def read_whole_moments(moments: Mapping[str, torch.Tensor], file: Path) -> set[str]:
    """The same from a safetensors file of whole tensors, of which each rank reads its part."""
    with safe_open(file, "pt") as stored:
        there = set(stored.keys())
        for name, tensor in moments.items():
            if name in there:
                take_part(tensor, stored.get_tensor(name))
    return there & set(moments)


@torch.no_grad()
def take_part(mine: torch.Tensor, whole: torch.Tensor) -> None:
    """Copy a whole tensor, or this rank's part of it, into `mine`."""
    if not isinstance(mine, DTensor):
        mine.copy_(whole)
        return
    shape, offset = compute_local_shape_and_global_offset(mine.shape, mine.device_mesh, mine.placements)
    part = whole[tuple(slice(start, start + size) for start, size in zip(offset, shape, strict=True))]
    mine.to_local().copy_(part)


class _Writer(FileSystemWriter):
    """Torch ends a file that could not be written with a complaint about its length, which hides why."""

    def write_data(self, *arguments: Any) -> Any:
        """See `FileSystemWriter`."""
        try:
            return super().write_data(*arguments)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


@contextmanager
def _what_failed() -> Iterator[None]:
    """Raises what failed on the first rank where something did: torch's own error for it is no Exception."""
    try:
        yield
    except CheckpointException as failed:
        raise next(iter(failed.failures.values()))[0] from None
