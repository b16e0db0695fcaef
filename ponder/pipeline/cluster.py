"""A machine that is planned for and need not be at hand: nodes of cards, with what is assumed of each card."""

import re
from dataclasses import dataclass

from ponder.errors import RecipeError
from ponder.pipeline.machine import PEAK_BF16, Device, card
from ponder.pipeline.plan_words import bytes_text

__all__ = ["Cluster", "parse_cluster"]

_FORM = re.compile(r"(?:(\d+)x)?(\d+)x([A-Za-z0-9-]+?)(?::(\d+))?")
_MEMORY = {"B200": 180, "H200": 141, "H100": 80, "H800": 80, "A100": 80, "L40S": 48, "A10": 24, "L4": 24, "4090": 24,
           "3090": 24, "T4": 16}  # fmt: skip
"""GB as sold."""
_BANDWIDTH = {"B200": 8.0e12, "H200": 4.8e12, "H100": 3.35e12, "H800": 3.35e12, "A100": 2.0e12, "L40S": 864e9,
              "A10": 600e9, "L4": 300e9, "4090": 1008e9, "3090": 936e9, "T4": 320e9}  # fmt: skip
"""Bytes per second between a card and its memory, from the vendor's data sheets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """So many `nodes` of so many `cards` each. Example: parse_cluster("64x8xH800") has 512 cards of 80 GB."""

    nodes: int
    cards: int
    device: Device
    peak_flops: float
    bandwidth: float

    @property
    def count(self) -> int:
        """Cards in all."""
        return self.nodes * self.cards

    @property
    def name(self) -> str:
        """Example: 64 x 8 H800 (74.5 GiB each)."""
        nodes = f"{self.nodes} x " if self.nodes > 1 else ""
        return f"{nodes}{self.cards} {self.device.name} ({bytes_text(self.device.memory_bytes)} each)"


def parse_cluster(text: str) -> Cluster:
    """NODESxCARDSxNAME, CARDSxNAME, either with :GB of memory behind it; RecipeError for anything else."""
    found = _FORM.fullmatch(text.strip())
    known = ", ".join(_MEMORY)
    if found is None:
        raise RecipeError(
            f"--machine {text!r} is no machine: expected NODESxCARDSxNAME, such as 64x8xH800, or CARDSxNAME, such as "
            f"8xH100, with :GB behind it where a card has another memory than usual; cards known by name are {known}"
        )
    nodes, cards, name, gigabytes = int(found[1] or 1), int(found[2]), found[3], found[4]
    if name.upper().startswith("CPU") or nodes * cards == 0:
        raise RecipeError(
            f"--machine {text!r} has no cards, and what lies where is planned by cards: name some (8xH100), or leave "
            f"--machine out, and the plan is that of one process, or of `batch.ranks` processes, on this machine"
        )
    kind = next((one for one in _MEMORY if name.upper().startswith(one)), None)
    if kind is None:
        raise RecipeError(
            f"--machine {text!r}: no card is known as {name!r}: take one of {known}, or the nearest of them"
        )
    memory = int(gigabytes or _MEMORY[kind]) * 10**9
    return Cluster(
        nodes=nodes, cards=cards, device=card(kind, memory), peak_flops=PEAK_BF16[kind], bandwidth=_BANDWIDTH[kind]
    )
