"""What each level of isolation keeps from a program, as one table: `ponder doctor` and docs/sandbox.md show it, and a
test tries each of its cells."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["KEPT", "STRENGTHS", "Kept", "Strength", "as_markdown"]

Strength = Literal["bubblewrap", "namespaces", "limits", "limits without Landlock"]
STRENGTHS: tuple[Strength, ...] = ("bubblewrap", "namespaces", "limits", "limits without Landlock")
"""The columns, from the strongest on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One row: something of the machine, and the levels that leave it open to programs."""

    what: str
    open: frozenset[Strength] = frozenset()
    unless_root: bool = False
    """Whether it is kept all the same where ponder runs as root, and programs so as another user."""


_NO_NAMESPACES: frozenset[Strength] = frozenset({"limits", "limits without Landlock"})
_NO_VIEW: frozenset[Strength] = frozenset({"limits without Landlock"})

KEPT = (
    Kept(what="files of the machine outside /usr and the standard library", open=_NO_VIEW),
    Kept(what="installed packages of the base interpreter", open=_NO_VIEW),
    Kept(what="changing any file that outlasts the program"),
    Kept(what="what another program wrote"),
    Kept(what="memory of the verifiers, of tests and of other programs"),
    Kept(what="environment and memory of the user's other processes", open=_NO_VIEW, unless_root=True),
    Kept(what="the list of processes", open=_NO_VIEW),
    Kept(what="signals to other processes, by any way"),
    Kept(what="the network"),
    Kept(what="starting programs and processes"),
    Kept(what="more than 40 threads, 512 MiB, the processor time"),
    Kept(what="file locks and futexes that others see"),
    Kept(what="times of device files"),
    Kept(what="the host's name", open=_NO_NAMESPACES),
    Kept(what="the time since boot, the kernel's version, the user's number", open=frozenset(STRENGTHS)),
    Kept(what="the path of ponder", open=frozenset(STRENGTHS) - {"bubblewrap"}),
    Kept(what="files under /usr", open=frozenset(STRENGTHS)),
)


def as_markdown() -> str:
    """The table for the docs."""
    lines = ["| kept from a program | " + " | ".join(STRENGTHS) + " |", "|---" * (len(STRENGTHS) + 1) + "|"]
    for row in KEPT:
        cells = [
            "yes" if strength not in row.open else "as root" if row.unless_root else "no" for strength in STRENGTHS
        ]
        lines.append(f"| {row.what} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
