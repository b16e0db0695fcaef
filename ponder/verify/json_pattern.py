"""The regular expressions of JSON schemas, matched in time linear in the text by RE2.

A schema's pattern in, a test of texts out. Patterns are of JavaScript's kind: classes are ASCII, `$` is the end of the
text, and a match may stand anywhere. What no linear matcher has (looking ahead or behind, back references) is
`Unreadable`, and so is a pattern that would take megabytes.
"""

import re
from collections.abc import Callable
from functools import lru_cache

import re2

__all__ = ["Unreadable", "pattern_test"]

_CODE = re.compile(r"(\\\\)|\\u\{([0-9A-Fa-f]{1,6})\}|\\u([0-9A-Fa-f]{4})")
_MOST_BYTES = 1 << 20
_MOST_CHARS = 2_000


class Unreadable(ValueError):
    """A pattern that cannot be matched; the message says why."""


@lru_cache(maxsize=4096)
def pattern_test(pattern: str) -> Callable[[str], bool]:
    """Whether a text holds a match."""
    if len(pattern) > _MOST_CHARS:
        raise Unreadable(f"the pattern {pattern[:40]!r}... has more than {_MOST_CHARS} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_BYTES
    try:
        compiled = re2.compile(_CODE.sub(_spelt, pattern), options)
    except (re2.error, UnicodeEncodeError) as error:
        why = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise Unreadable(
            f"the pattern {pattern[:80]!r} is not understood ({why}); looking ahead or behind and back references are "
            "not, since matching them may take for ever"
        ) from None
    return lambda text: compiled.search(text) is not None


def _spelt(match: re.Match[str]) -> str:
    """A character by its code as RE2 spells it; an escaped backslash stays."""
    code = match[2] or match[3]
    return match[0] if code is None else rf"\x{{{code}}}"
