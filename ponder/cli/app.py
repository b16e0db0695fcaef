"""The application that the commands register with, and what they share."""

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from ponder.errors import PonderError

__all__ = ["TRACEBACK", "app", "model_of", "needs_serve", "stopping"]

TRACEBACK = "PONDER_TRACEBACK"
_INTERRUPTED = 130

app = typer.Typer(
    name="ponder",
    help="Train reasoning models the way DeepSeek-R1 was trained, from one recipe file.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in the code an error came up.")] = False,
) -> None:
    """Train reasoning models the way DeepSeek-R1 was trained, from one recipe file."""
    if traceback:
        os.environ[TRACEBACK] = "1"


def model_of(reference: str) -> str:
    """The folder of the model of a stage, where `reference` names one; anything else as it is."""
    from ponder.files import model_path
    from ponder.serve.served import find_served, stage_folder

    if stage_folder(model_path(reference)) is None:
        return reference
    return str(find_served(reference, follow=False).folder)


def needs_serve(command: str) -> None:
    if importlib.util.find_spec("uvicorn") is None or importlib.util.find_spec("starlette") is None:
        raise PonderError(f"{command} needs Starlette and uvicorn: {sys.executable} -m pip install 'ponder[serve]'")


@contextmanager
def stopping(what_is_kept: str) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the command with one line and status 130."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        print(f"stopped: {what_is_kept}", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
