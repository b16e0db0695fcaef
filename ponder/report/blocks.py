"""What the paper's part of the page is made of: sections of tables and charts whose numbers name their files."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from ponder.report.chart import Chart, draw, number_text

__all__ = ["Cell", "Figure", "Section", "Table", "figure", "plain_text", "points_text", "share_text"]

Mark = Literal["", "better", "worse", "invalid"]
_MOST_LISTED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number as text, with the files it came from, relative to the run folder; `mark` says that it differs from
    the column before beyond chance, or should not be believed."""

    text: str
    note: str = ""
    mark: Mark = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells under column heads; the first cell of a row is its head. `source` is empty for the run's own
    numbers and names the publication otherwise."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    source: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of its cells once."""
        return tuple(dict.fromkeys(file for row in self.rows for cell in row for file in cell.files))


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart as SVG text."""

    svg: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the page. `published` stands beside the run's own numbers as those of another model."""

    name: str
    title: str
    lead: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    published: Sequence[Table] = ()
    lines: Sequence[str] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that its numbers came from, many of one folder as one pattern."""
        own = dict.fromkeys(
            [file for one in self.figures for file in one.files] + [file for one in self.tables for file in one.files]
        )
        if len(own) <= _MOST_LISTED:
            return tuple(own)
        return tuple(dict.fromkeys(f"{file.rpartition('/')[0]}/*.{file.rpartition('.')[2]}" for file in own))


def figure(chart: Chart, *files: str) -> Figure:
    """The chart, drawn."""
    return Figure(svg=draw(chart), files=files)


def share_text(value: float) -> str:
    """Example: 0.254 is 25.4 %; what is no number, as the accuracy where nothing has a gold, is -."""
    return f"{100 * value:.1f} %" if isfinite(value) else "-"


def points_text(value: float, interval: tuple[float, float] | None = None) -> str:
    """A difference of shares in percentage points. Example: +12.5 (+8.1 to +16.9)."""
    text = f"{100 * value:+.1f}"
    return text if interval is None else f"{text} ({100 * interval[0]:+.1f} to {100 * interval[1]:+.1f})"


def plain_text(value: float) -> str:
    """Tokens, counts, operations."""
    return f"{value:,.0f}" if abs(value) >= 100 else number_text(value)
