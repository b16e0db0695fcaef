"""The formats of texts that a JSON schema may ask for and that are tested. Others are no condition, as the standard has
it. What the library would test with patterns of its own, or only where something else is installed, is tested here."""

import re
from datetime import datetime

from jsonschema import FormatChecker

__all__ = ["FORMATS", "NO_FORMATS"]

_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@.]+(?:\.[^\s@.]+)*")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def _is_date_time(value: object) -> bool:
    """RFC 3339; a second of 60 is taken where a minute may have one."""
    found = _DATE_TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return not isinstance(value, str)
    date, time, _, zone = found.groups()
    try:
        datetime.fromisoformat(f"{date}T{time.removesuffix(':60') + ':59' if time.endswith(':60') else time}")
    except ValueError:
        return False
    return zone in "Zz" or (int(zone[1:3]) < 24 and int(zone[4:]) < 60)


def _is_time(value: object) -> bool:
    return not isinstance(value, str) or _is_date_time(f"2000-01-01T{value}")


def _is_email(value: object) -> bool:
    return not isinstance(value, str) or _EMAIL.fullmatch(value) is not None


def _is_hostname(value: object) -> bool:
    return not isinstance(value, str) or (len(value) <= 253 and all(map(_LABEL.fullmatch, value.split("."))))


def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or _URI.fullmatch(value) is not None


FORMATS = FormatChecker(formats=("date", "ipv4", "ipv6", "uuid"))
for _name, _test in (
    ("date-time", _is_date_time),
    ("time", _is_time),
    ("email", _is_email),
    ("hostname", _is_hostname),
    ("uri", _is_uri),
):
    FORMATS.checks(_name)(_test)
NO_FORMATS = FormatChecker(formats=())
