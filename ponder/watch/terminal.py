"""Tables on a terminal of any width, in a pipe and in a file: words may go to the next line, a number is never cut."""

from rich.console import Console
from rich.table import Table

__all__ = ["print_table"]

_UNLIMITED = 100_000


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
