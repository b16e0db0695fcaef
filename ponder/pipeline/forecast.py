"""What a stage would still take, in numbers to add up, beside the words that say it."""

import math
from dataclasses import dataclass

from ponder.pipeline.machine import CLUSTER_DEVICE, DOLLARS_PER_HOUR, Device
from ponder.pipeline.plan_words import bytes_text, rounded, time_text

__all__ = ["Forecast", "Line", "dollars", "fitting_device", "memory_line", "spent_text"]

Line = tuple[str, str]
"""What is told, and the words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """`seconds` are of one `device`, None where the recipe alone cannot tell them, which `unknown` explains. `wall` are
    seconds on all cards of a machine that is planned for, and `fits` says whether those hold it. `charged` is what
    endpoints would ask, in their currency. Stages that compute next to nothing have none of these.

    Example: Forecast(lines=(("time", "about 40 s"),), device=this_device(), seconds=40.0).
    """

    lines: tuple[Line, ...] = ()
    wall: float | None = None
    device: Device | None = None
    seconds: float | None = None
    charged: float = 0.0
    unknown: str = ""
    fits: bool = True


def fitting_device(needed_bytes: float, here: Device) -> Device:
    """This machine's device, or that of a cluster where the memory here is too small."""
    return here if needed_bytes <= here.memory_bytes else CLUSTER_DEVICE


def memory_line(parts: dict[str, int], needed_bytes: float, here: Device, note: str = "") -> Line:
    """Example: ("memory", "about 9 GiB of 80 GiB: weights 6 GiB, KV cache 3 GiB")."""
    listed = ", ".join(f"{name} {bytes_text(size)}" for name, size in sorted(parts.items(), key=lambda p: -p[1]))
    fits = "" if needed_bytes <= here.memory_bytes else ", too much"
    return "memory", f"about {bytes_text(needed_bytes)} of {bytes_text(here.memory_bytes)}{fits}: {listed}{note}"


def spent_text(seconds: float, device: Device, what: str = "", needed_bytes: float = 0) -> str:
    """A time here in hours or days; on a cluster in GPU-hours with their price, and how many devices hold it. `what`
    stands behind the time, such as ` for 20 updates`."""
    if device is not CLUSTER_DEVICE:
        return f"{time_text(seconds)}{what}"
    hold = f"; {math.ceil(needed_bytes / device.memory_bytes):,} or more to hold it" if needed_bytes else ""
    return (
        f"{rounded(seconds / 3600)} GPU-hours on {device.name}{what} (about ${rounded(dollars(seconds))} at "
        f"${DOLLARS_PER_HOUR:g} an hour{hold})"
    )


def dollars(seconds: float) -> float:
    """The price of a GPU's time."""
    return seconds / 3600 * DOLLARS_PER_HOUR
