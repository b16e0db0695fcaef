"""Well-known packages that are not there: a program that wants one says nothing about itself."""

import re

from ponder.sandbox.errors import NotJudgeableError

__all__ = ["check_modules"]

_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_PACKAGES = frozenset({
    "Crypto", "bs4", "cv2", "django", "faker", "flask", "gensim", "lxml", "matplotlib", "mpmath", "natsort", "networkx",
    "nltk", "numba", "numpy", "pandas", "psutil", "pytest", "pytz", "dateutil", "regex", "requests", "scipy", "seaborn",
    "sklearn", "skimage", "sortedcontainers", "statsmodels", "sympy", "tensorflow", "torch", "yaml", "PIL",
})  # fmt: skip
"""What programs use beyond the standard library. Any other name would be a way not to be judged."""


def check_modules(failure: str) -> None:
    """A program that wants a well-known package which is not there says nothing."""
    missing = _MISSING.search(failure)
    if missing is not None and missing[1].partition(".")[0] in _PACKAGES:
        raise NotJudgeableError(f"the program imports {missing[1]}, and only the standard library is there")
