"""What goes wrong with an optimizer's state is an error like any other."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ponder.errors import RunFolderError
from ponder.ranks.moments import read_moments, write_moments
from ponder.ranks.team import ALONE


@pytest.fixture(params=[1000, 300_000])
def full_after(request: pytest.FixtureRequest) -> Iterator[int]:
    """A limit on the size of this process's files stands for a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (request.param, hard))
    yield request.param
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named(full_after: int, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"the disk is full: writing .*optimizer"):
        write_moments({"a": torch.zeros(100_000), "b": torch.zeros(1000)}, tmp_path / "optimizer")


def test_what_is_damaged_raises_an_exception(tmp_path: Path) -> None:
    write_moments({"a": torch.ones(1000)}, tmp_path)
    (tmp_path / "__0_0.distcp").write_bytes(b"")
    with pytest.raises(EOFError):
        read_moments({"a": torch.zeros(1000)}, tmp_path, ALONE)
