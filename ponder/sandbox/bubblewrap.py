"""bubblewrap: another program makes the view, for a user who is not root.

It shows the zygote what `namespaces` would, the interpreter itself and this package, which lies at a place of its own
in there: nothing is shown of the environment that ponder is installed in, nor of the path to it.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ponder.sandbox.namespaces import DEVICES, hidden_paths, view_paths
from ponder.sandbox.sandbox import zygote_command

__all__ = ["bubblewrap_command"]

_PACKAGE = Path(__file__).resolve().parents[1]
_INSIDE = "/ponder"


def bubblewrap_command(bubblewrap: str) -> list[str]:
    """A zygote inside bubblewrap, a program at the path `bubblewrap`."""
    command = [bubblewrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    command += ["--tmpfs", "/tmp"]  # first: what is shown may lie below it
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = os.path.realpath(f"{sys.base_prefix}/bin/python{version}")  # that of no environment
    for path in (*view_paths(), *(() if python.startswith("/usr/") else (python,))):
        command += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    for path in _PACKAGE / "__init__.py", _PACKAGE / "sandbox":
        command += ["--ro-bind", str(path), f"{_INSIDE}/ponder/{path.name}"]
    command += _arguments("--tmpfs", hidden_paths())
    for path in DEVICES:
        command += ["--dev-bind", path, path]
    command += ["--proc", "/proc", "--chdir", "/"]
    command += _arguments("--remount-ro", (*hidden_paths(), "/"))
    return [*command, *zygote_command("inside", root=_INSIDE, python=python)]


def _arguments(option: str, paths: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        yield from (option, path)
