"""How the two sides of a comparison run: each in a process of its own, one step at a time, on request.

A side is a function `side(link, ...)` that sends "ready", then for each "step" it receives makes one step and sends a
`StepTime`. While it waits it computes nothing, so the other side has the machine; its memory is its own.
"""

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

__all__ = ["Side", "SideEnded", "StepTime", "wait"]

_SAMPLE_SECONDS = 0.02
"""Time between two looks at the memory of a side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """One step. `lengths` are those of its completions, `prompts` those of the prompt of each."""

    seconds: float
    generate_seconds: float
    lengths: tuple[int, ...]
    prompts: tuple[int, ...]
    device_bytes: int = 0
    """Most that tensors took of a GPU's memory so far."""

    @property
    def update_seconds(self) -> float:
        """Everything that is not generation: rewards, advantages, forward, backward, optimizer."""
        return self.seconds - self.generate_seconds


class SideEnded(RuntimeError):
    """A side's process ended although it had not been told to; it has printed why."""


class Side:
    """A side in its process. Use as a context manager."""

    def __init__(self, name: str, run: Callable[..., None], *arguments: Any) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._link, child = context.Pipe()
        self._process = context.Process(target=run, args=(child, *arguments), daemon=True)
        self._process.start()
        child.close()

    def __enter__(self) -> "Side":
        self._receive()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def step(self) -> StepTime:
        """Make one step and wait for it."""
        self._link.send("step")
        answer = self._receive()
        assert isinstance(answer, StepTime), answer
        return answer

    def watched_step(self) -> int:
        """Make one step; returns the most memory that the side's processes held together during it, in bytes.

        Memory that processes share is counted once. Looking takes time, so such a step is not timed.
        """
        self._link.send("step")
        peak = 0
        while not self._link.poll(_SAMPLE_SECONDS):
            peak = max(peak, self._memory())
        self._receive()
        return peak

    def _memory(self) -> int:
        total = 0
        try:
            root = psutil.Process(self._process.pid)
            for process in (root, *root.children(recursive=True)):
                rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
                total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
        except (psutil.NoSuchProcess, OSError):
            return 0  # a process ended while it was looked at; the next look counts
        return total

    def _receive(self) -> object:
        try:
            return self._link.recv()
        except EOFError:
            self._process.join()
            raise SideEnded(f"the {self.name} side ended with status {self._process.exitcode}; see above") from None


def wait(link: Connection) -> None:
    """Block until the other end asks for a step."""
    assert link.recv() == "step"
