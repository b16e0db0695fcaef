"""The parts of numpy that tests of evaluation sets use, of plain numbers and lists of them."""

import math
from collections.abc import Iterator
from typing import Any

__all__ = ["NUMPY", "NUMPY_TESTING"]


class _Array:
    """`numpy.ndarray`, which no plain value is."""

    dtype = None


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _shape(value: Any) -> Any:
    return [_shape(item) for item in value] if isinstance(value, list | tuple) else None


def _check_number(value: Any) -> None:
    if not isinstance(value, int | float | complex):
        raise TypeError(f"ufunc 'isfinite' not supported for {type(value).__name__}")


def _close(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """`numpy.isclose` of two plain numbers; anything else is a TypeError, as it is there."""
    _check_number(a)
    _check_number(b)
    if a != a or b != b:
        return equal_nan and a != a and b != b
    if a == b:
        return True
    size = abs(a - b)
    return math.isfinite(size) and size <= atol + rtol * abs(b)


def _all_close(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """`numpy.allclose` of two values of one shape, else ValueError. numpy stretches the smaller of two shapes over the
    larger, so that an empty list is near to every number."""
    ours, theirs = list(_flat(a)), list(_flat(b))
    for value in (*ours, *theirs):
        _check_number(value)
    if _shape(a) != _shape(b):
        raise ValueError("the shapes differ")
    return all(_close(x, y, rtol, atol, equal_nan) for x, y in zip(ours, theirs, strict=True))


def _assert_all_close(actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0, **_: Any) -> None:
    if not _all_close(actual, desired, rtol, atol, equal_nan=True):
        raise AssertionError(f"not equal to tolerance rtol={rtol}, atol={atol}")


def _assert_equal(actual: Any, desired: Any, *_: Any, **__: Any) -> None:
    if _shape(actual) != _shape(desired) or list(_flat(actual)) != list(_flat(desired)):
        raise AssertionError("arrays are not equal")


NUMPY_TESTING: dict[str, Any] = {
    "assert_allclose": _assert_all_close,
    "assert_almost_equal": lambda a, b, decimal=7: _assert_all_close(a, b, 0, 1.5 * 10**-decimal),
    "assert_array_equal": _assert_equal,
    "assert_equal": _assert_equal,
}
NUMPY: dict[str, Any] = {
    "allclose": _all_close, "isclose": _close, "ndarray": _Array, "float64": type("float64", (), {}),
    "float32": type("float32", (), {}), "nan": math.nan, "inf": math.inf, "pi": math.pi, "e": math.e,
    "isnan": math.isnan, "isinf": math.isinf, "abs": abs, "sqrt": math.sqrt,
    "array_equal": lambda a, b: _shape(a) == _shape(b) and list(_flat(a)) == list(_flat(b)),
}  # fmt: skip
