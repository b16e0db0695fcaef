"""A machine that is planned for and need not be at hand: nodes of cards, with what is assumed of each card."""

import re
from dataclasses import dataclass

from ponder.errors import RecipeError
from ponder.pipeline.machine import PEAK_BF16, PEAK_FP32, Device, card
from ponder.pipeline.plan_words import bytes_text

__all__ = ["Cluster", "parse_cluster"]

_FORM = re.compile(r"(?:(\d+)x)?(\d+)x([a-z0-9 -]+?)(?::(\d+) ?(?:GB?)?)?", re.IGNORECASE)
_MEMORY = {"B200": 180, "H200": 141, "H100": 80, "H800": 80, "A100": 80, "L40S": 48, "L40": 48, "L4": 24, "A40": 48,
           "A10": 24, "A6000": 48, "5090": 32, "4090": 24, "3090": 24, "T4": 16}  # fmt: skip
"""GB as sold."""
_BANDWIDTH = {"B200": 8.0e12, "H200": 4.8e12, "H100": 3.35e12, "H800": 3.35e12, "A100": 2.0e12, "L40S": 864e9,
              "L40": 864e9, "L4": 300e9, "A40": 696e9, "A10": 600e9, "A6000": 768e9, "5090": 1792e9, "4090": 1008e9,
              "3090": 936e9, "T4": 320e9}  # fmt: skip
"""Bytes per second between a card and its memory, from the vendor's data sheets."""
_CARD = re.compile(
    rf"(?:NVIDIA[ -]?)?(?:GEFORCE[ -]?)?(?:RTX[ -]?)?(?P<kind>{'|'.join(_MEMORY)})"
    r"(?:[ -]?(?:SXM\d?|PCIE|NVL|G))?(?:[ -](?P<gigabytes>\d+) ?(?:GB?)?)?"
)
"""A known card as shops and drivers name it, such as RTX4090, A10G, A100-SXM4-40GB."""
_MOST_CARDS = 1 << 17
"""More than anybody trains on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """So many `nodes` of so many `cards` each. Example: parse_cluster("64x8xH800") has 512 cards of 80 GB."""

    nodes: int
    cards: int
    device: Device
    peak_bf16: float
    peak_fp32: float
    bandwidth: float

    def peak(self, *, bf16: bool) -> float:
        """Floating-point operations per second of a card at its best, in products of that precision."""
        return self.peak_bf16 if bf16 else self.peak_fp32

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
    if nodes * cards > _MOST_CARDS:
        raise RecipeError(f"--machine {text!r} has {nodes * cards:,} cards: at most {_MOST_CARDS:,} are planned for")
    named = _CARD.fullmatch(name.strip().upper())
    if named is None:
        raise RecipeError(
            f"--machine {text!r}: no card is known as {name!r}: take one of {known}, or the nearest of them"
        )
    kind, said = named["kind"], [size for size in (gigabytes, named["gigabytes"]) if size is not None]
    memory = int(said[0] if said else _MEMORY[kind]) * 10**9
    if memory == 0 or len(set(said)) > 1:
        raise RecipeError(
            f"--machine {text!r} gives its cards {' and '.join(said)} GB of memory: say once how many, as in "
            f"8x{kind}:{_MEMORY[kind]}, or nothing where they have as much as usual"
        )
    return Cluster(
        nodes=nodes,
        cards=cards,
        device=card(kind, memory),
        peak_bf16=PEAK_BF16[kind],
        peak_fp32=PEAK_FP32[kind],
        bandwidth=_BANDWIDTH[kind],
    )
