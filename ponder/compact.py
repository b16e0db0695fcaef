"""Long sequences of numbers in as many bytes as the numbers need: four each, where a tuple of Python's numbers has
about forty. A rollout of long thoughts has hundreds of millions of them."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, Literal, TypeVar, overload

__all__ = ["Numbers"]

Number = TypeVar("Number", int, float)


class Numbers(Sequence[Number], Generic[Number]):
    """Whole numbers below 2^31 in size (kind "i"), or float32 numbers (kind "f"), that never change.

    Equal to every sequence of the same numbers. `numpy.asarray` takes them without copying.
    Example: Numbers("i", [5, 7]) == (5, 7).
    """

    __slots__ = ("_array",)

    def __init__(self, kind: Literal["i", "f"], values: Iterable[Number] | bytes) -> None:
        """From numbers, or from the bytes of a C array of them."""
        self._array: array[Any] = (
            values._array if isinstance(values, Numbers) and values._array.typecode == kind else array(kind, values)
        )

    def __len__(self) -> int:
        return len(self._array)

    @overload
    def __getitem__(self, index: int) -> Number: ...
    @overload
    def __getitem__(self, index: slice) -> "Numbers[Number]": ...
    def __getitem__(self, index: int | slice) -> "Number | Numbers[Number]":
        if isinstance(index, slice):
            part: Numbers[Number] = Numbers.__new__(Numbers)
            part._array = self._array[index]
            return part
        value: Number = self._array[index]
        return value

    def __iter__(self) -> Iterator[Number]:
        return iter(self._array)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Numbers):
            return bool(self._array == other._array)
        if isinstance(other, Sequence) and not isinstance(other, str | bytes):
            return len(self) == len(other) and all(a == b for a, b in zip(self._array, other, strict=True))
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._array))

    def __repr__(self) -> str:
        return repr(tuple(self._array))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        import numpy as np

        view = np.frombuffer(self._array, self._array.typecode)
        view.flags.writeable = False
        return np.array(view, dtype, copy=copy)
