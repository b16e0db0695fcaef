"""Rows of tables as JSON, whatever their columns hold."""

import base64
import json
import math
from collections.abc import Mapping
from datetime import date, time
from typing import Any

__all__ = ["plain_json", "plain_value"]


def plain_json(row: Mapping[str, Any], *, ascii_only: bool = False) -> str:
    """A row as one line of JSON."""
    return json.dumps(plain_value(row), ensure_ascii=ascii_only, allow_nan=False)


def plain_value(value: Any) -> Any:
    """A cell as JSON has it. What JSON has no form for becomes text: dates and times as in ISO 8601, bytes in base64,
    decimals and all else as they print. NaN and infinities become null, as no JSON reader must take them."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): plain_value(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain_value(inner) for inner in value]
        case date() | time():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
    return str(value)
