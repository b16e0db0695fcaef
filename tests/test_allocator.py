"""The allocator settled for training, in processes of their own."""

import os
import platform
import subprocess
import sys

import pytest

_RESIDENT = """
import os, sys
from ponder.allocator import keep_freed_memory, keep_large_blocks
kept = keep_freed_memory() if sys.argv[1] != "leave" else None
if sys.argv[1] != "keep":
    keep_large_blocks(False)
import torch
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
torch.ones(1000)
before = resident()
large = torch.ones(int(sys.argv[2]) * 2**20 // 4)
held = resident() - before
del large
print(kept, held, resident() - before)
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


def _run(how: str, mebibytes: int = 48, **extra: str) -> tuple[str, float, float]:
    """What was said, and MiB of a block that are resident while it is held and when it is freed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | extra
    done = subprocess.run(
        [sys.executable, "-c", _RESIDENT, how, str(mebibytes)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=True,
    )
    kept, held, freed = done.stdout.split()
    return kept, float(held), float(freed)


@glibc
def test_freed_memory_stays_for_what_comes_next() -> None:
    """Looked at as resident memory: page faults are those of the kernel's own looks at who uses a page, too."""
    kept, held, freed = _run("keep")
    assert kept == "True" and held > 40 and freed > 40
    _, held, freed = _run("leave")
    assert held > 40 and freed < 8


@glibc
def test_very_large_blocks_go_back_all_the_same() -> None:
    kept, held, freed = _run("keep", 128)
    assert kept == "True" and held > 110 and freed < 8


@glibc
def test_large_blocks_go_back_where_memory_is_short() -> None:
    """Nothing is changed where the allocator was not settled: `leave` above."""
    kept, held, freed = _run("keep all but large ones")
    assert kept == "True" and held > 40 and freed < 8


@glibc
def test_an_allocator_that_the_user_has_tuned_is_left_alone() -> None:
    assert _run("keep", MALLOC_TRIM_THRESHOLD_="1000000")[0] == "False"


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.allocator import keep_freed_memory

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory({})
