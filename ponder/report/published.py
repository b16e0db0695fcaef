"""The published numbers of R1 as tables: `published.yaml`, read once. They are of other models at another scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from ponder.report.blocks import Cell, Table

__all__ = ["PublishedCost", "published", "published_costs"]


class _Published(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    caption: str
    source: str
    note: str = ""
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]

    @model_validator(mode="after")
    def _rectangular(self) -> "_Published":
        wrong = [row[0] for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"rows {wrong} have not {len(self.columns)} cells")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCost:
    """What the paper says its run cost, row by row, where that is from, and what it leaves out."""

    hours: Mapping[str, float]
    dollars: Mapping[str, float]
    source: str
    note: str


@cache
def _read() -> dict[str, _Published]:
    text = (files("ponder.report") / "published.yaml").read_text(encoding="utf-8")
    return {name: _Published.model_validate(value) for name, value in yaml.safe_load(text).items()}


@cache
def published() -> dict[str, Table]:
    """The tables by name."""
    return {
        name: Table(
            caption=one.caption,
            columns=one.columns,
            rows=[tuple(Cell(text=_text(cell)) for cell in row) for row in one.rows],
            note=one.note,
            source=one.source,
        )
        for name, one in _read().items()
    }


def published_costs() -> PublishedCost:
    """The table `cost` as numbers."""
    table = _read()["cost"]
    rows = {str(name): (float(hours), float(dollars)) for name, hours, dollars in table.rows}
    return PublishedCost(
        hours={name: hours for name, (hours, _) in rows.items()},
        dollars={name: dollars for name, (_, dollars) in rows.items()},
        source=f"{table.caption}; {table.source}",
        note=table.note,
    )


def _text(cell: str | int | float) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
