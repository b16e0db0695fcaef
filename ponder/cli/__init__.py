"""The command line: reads arguments, calls the layer that does the work, prints errors as one paragraph.

A command is registered when its module is loaded; `ponder --help` lists them in that order.
"""

from ponder.cli import runs, models, checks  # isort: skip  (the order of --help)
from ponder.cli.app import app
from ponder.cli.entry import main

__all__ = ["app", "checks", "main", "models", "runs"]
