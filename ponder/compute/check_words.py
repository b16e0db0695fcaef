"""A check as people write it in one line, as the mapping that a request holds."""

import json
import re
from typing import Any

from ponder.errors import DataError

__all__ = ["check_said"]

_EXPRESSION = re.compile(r"([\d\s,]+)=\s*(-?\d+)")


def check_said(text: str) -> dict[str, Any]:
    """The mapping that is meant by `math 42`, `choice B`, `expression 3 7 25 = 46`, or by a JSON object. DataError for
    a text that is none of these; what stands in the mapping is not looked at."""
    kind, _, rest = text.strip().partition(" ")
    try:
        if text.lstrip().startswith("{"):
            value: dict[str, Any] = json.loads(text)
            return value
        if kind in ("math", "choice") and rest.strip():
            return {"kind": kind, "answer": rest.strip()}
        if kind == "expression" and (found := _EXPRESSION.fullmatch(rest.strip())) is not None:
            numbers = [int(one) for one in re.findall(r"\d+", found[1])]
            return {"kind": kind, "numbers": numbers, "target": int(found[2])}
    except (ValueError, RecursionError) as error:  # no JSON, or numbers of thousands of digits
        raise DataError(f"The check cannot be read: {error}.") from None
    raise DataError(
        f"A check is written as math 42, choice B, expression 3 7 25 = 46, or as a JSON object with its kind; got "
        f"{text[:80]!r}."
    )
