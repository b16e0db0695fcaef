"""The entry point: prints errors as one paragraph and warnings as one line."""

import errno
import io
import os
import sys
import warnings
from pathlib import Path
from typing import TextIO

from ponder.cli.app import TRACEBACK, app
from ponder.errors import PonderError

__all__ = ["main"]

_PACKAGE = Path(__file__).parents[1]
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main() -> None:
    """Entry point of the `ponder` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode shows escapes
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            try:
                app()
            finally:
                sys.stdout.flush()  # here, where it is known what to do when that fails
        except BrokenPipeError:  # the reader of our output, such as `head`, has gone
            _write_nowhere()
            sys.exit(1)
        except (PonderError, OSError) as error:
            if os.environ.get(TRACEBACK) or not _is_users(error):
                raise
            print(f"ponder: {_told(error)}", file=sys.stderr)
            if _is_full(error):
                _write_nowhere()
            sys.exit(1)


def _write_nowhere() -> None:
    """What is left to print is dropped, or Python would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_full(error: PonderError | OSError) -> bool:
    """Whether a file that was open cannot be written on, such as the output."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _FULL


def _is_users(error: PonderError | OSError) -> bool:
    """Whether the error is about something the user named, or the machine, and no bug."""
    return isinstance(error, PonderError) or error.filename is not None or _is_full(error)


def _told(error: PonderError | OSError) -> str:
    if isinstance(error, PonderError):
        return str(error)
    if _is_full(error):
        return (
            f"the output, or a file of the run, cannot be written: {error.strerror}. Make room, and give the same "
            f"command again; what was written before is kept"
        )
    return (
        f"{str(error.filename)!r} cannot be used: {error.strerror}. Check that the path is right, that its folder can "
        f"be written to and that the disk is in order; `ponder --traceback ...` shows where it came up"
    )


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Our own warnings as one line; those of libraries with their place."""
    ours = category is UserWarning and Path(filename).is_relative_to(_PACKAGE)
    place = "ponder: warning" if ours else f"{filename}:{lineno}: {category.__name__}"
    print(f"{place}: {message}", file=file or sys.stderr)
