"""What stands on a terminal, in a pipe or in a file: text as it is, and tables of any width, no number of them cut.

Names and texts of users and models are never markup, never emoji, and no commands to the terminal.
"""

import re

from rich.console import Console
from rich.table import Table

__all__ = ["print_table", "shown", "terminal"]

_UNLIMITED = 100_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All but the tabulator and the line feed."""


def terminal() -> Console:
    """Standard output, on which every text is itself: brackets and colons are no markup. Styles are those of `Text`."""
    return Console(highlight=False, markup=False, emoji=False)


def shown(text: str) -> str:
    """A text with its control characters written out, so that a terminal shows them rather than obeys."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


def print_table(table: Table, console: Console) -> None:
    """Print a table whose columns of numbers are those that stand to the right.

    They are as wide as they must be, and so are words; where that is wider than the terminal, lines go past its end
    rather than lose anything. Where nobody's terminal says how wide a line may be, every row is one line.
    """
    options = console.options.update(width=_UNLIMITED)
    for column in table.columns:
        cells = [console.measure(cell, options=options) for cell in (column.header, *column.cells)]
        column.no_wrap = column.justify == "right"
        column.min_width = max(cell.maximum if column.no_wrap else cell.minimum for cell in cells)
    needed = console.measure(table, options=options)
    wide = console.width if console.is_terminal else needed.maximum
    before, console.width = console.width, max(wide, needed.minimum)
    try:
        console.print(table, crop=False)
    finally:
        console.width = before
