"""Tables at every width: what stands in a column of numbers is there in one piece, and words are whole."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from ponder.terminal import print_table, terminal
from ponder.terminal import shown as written_out

NUMBERS = ("0.123", "0.000-0.012", "41.2 % (30.1 to 50.2)", "1,234,567")
WORDS = "a name of several words, one of them incomprehensible"


def shown(width: int, *, terminal: bool) -> str:
    table = Table(title="a title")
    table.add_column("")
    for i in range(len(NUMBERS)):
        table.add_column(f"column {i}", justify="right")
    table.add_row(WORDS, *NUMBERS)
    table.add_row("[bold]short[/]", *(f"[red]{number}[/]" for number in reversed(NUMBERS)))
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    print_table(table, console)
    assert console.width == width
    return out.getvalue()


@pytest.mark.parametrize("width", [1, 20, 40, 79, 80, 81, 100, 200])
def test_numbers_and_words_are_whole_on_a_terminal(width: int) -> None:
    text = shown(width, terminal=True)
    for number in NUMBERS:
        assert text.count(number) == 2, text
    for word in WORDS.split():
        assert word in text
    assert "\N{HORIZONTAL ELLIPSIS}" not in text


def test_words_go_to_the_next_line_on_a_terminal_that_has_room_for_the_numbers() -> None:
    lines = shown(100, terminal=True).splitlines()
    assert max(map(len, lines)) <= 100
    assert WORDS not in "\n".join(lines)


@pytest.mark.parametrize("width", [1, 80, 300])
def test_a_row_is_a_line_in_a_file(width: int) -> None:
    (line,) = [line for line in shown(width, terminal=False).splitlines() if WORDS in line]
    assert all(number in line for number in NUMBERS)


def test_text_is_no_markup_no_emoji_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    console = terminal()
    table = Table(title="[/bold] of [x]", title_justify="left", caption="[/]")
    table.add_column("[/red]")
    table.add_row("[/green] :smile: [link=x]")
    print_table(table, console)
    console.rule("[/bold]/3", align="left")
    console.print("[/b] :smile:")
    printed = capsys.readouterr().out
    for text in ("[/bold] of [x]", "[/]", "[/red]", "[/green] :smile: [link=x]", "[/bold]/3", "[/b] :smile:"):
        assert text in printed


def test_control_characters_are_shown() -> None:
    assert written_out("a\x1b[31mred\x07\r\n\tb\x9bc\u00e9\u6f22") == "a\\x1b[31mred\\x07\\x0d\n\tb\\x9bc\u00e9\u6f22"
