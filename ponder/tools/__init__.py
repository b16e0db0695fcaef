"""What a model may call, built in: plain functions, told of by their names, types and docstrings.

calculator.py   exact sums        search.py   paragraphs of a folder's texts
"""

from ponder.tools.calculator import calculator
from ponder.tools.search import Search

__all__ = ["Search", "calculator"]
