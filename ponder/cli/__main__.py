"""`python -m ponder.cli`."""

from ponder.cli.entry import main

main()
