"""The decoder of plain values: exact types come through, everything else is one error, soon."""

import contextlib
import datetime
import json
import time
from collections import deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.sandbox.values import Handle, NotPlainError, dumps, loads, short

PLAIN = [
    None, True, 0, -1, 2**70, -(2**62), 1.5, float("inf"), "text", "half a pair \ud800", b"ab", bytearray(b"x"),
    [1, [True, 1, 1.0]], (1, (2,)), {1, 2}, frozenset({1}), {1: [2], (1, 2): 3}, deque([1]), 1 + 2j, range(2, 9, 3),
    Decimal("1.50"), Decimal("NaN"), Fraction(-1, 3), Fraction(10**50, 7), datetime.date(2020, 2, 29),
    datetime.time(23, 59, 1), datetime.timedelta(-1, 2, 3), datetime.datetime(2020, 1, 2, 3, 4, 5, 6),
    datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    datetime.time(1, tzinfo=datetime.timezone(datetime.timedelta(hours=-3))),
]  # fmt: skip
PRIME = 2**61 - 1
"""Integers that differ by it have the same hash."""


def keep(value: object) -> Handle:
    raise AssertionError(f"{value!r} has a plain form")


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_a_plain_value_comes_through_as_it_is(value: Any) -> None:
    read = loads(dumps(value, keep), lambda handle: handle)
    assert type(read) is type(value) and repr(read) == repr(value)


MALFORMED = {
    "nothing": b"",
    "no text": b"\xff\xfe",
    "no JSON": b"[1,",
    "no tag": b"{}",
    "two tags": b'{"t": [], "s": []}',
    "unknown tag": b'{"x": []}',
    "text for items": b'{"t": "ab"}',
    "items for text": b'{"i": ["1"]}',
    "object for items": b'{"q": {"t": []}}',
    "object for pairs": b'{"d": {"ab": 1}}',
    "text for a pair": b'{"d": ["ab"]}',
    "unhashable member": b'{"s": [[1]]}',
    "unhashable key": b'{"d": [[{"d": []}, 1]]}',
    "nothing over nothing": b'{"F": [1, 0]}',
    "half a fraction": b'{"F": [1]}',
    "range of texts": b'{"r": ["a", "b"]}',
    "endless range": b'{"r": [0, {"i": "0xffffffffffffffffff"}, 1]}',
    "huge decimal": b'{"D": "1e999999"}',
    "decimal of a million digits": b'{"D": "%s"}' % (b"1" * 10**6),
    "integer of a million digits": b"1" * 10**6,
    "integer of two million hex digits": b'{"i": "%s"}' % (b"f" * 2 * 10**6),
    "fraction of huge numbers": b'{"F": [{"i": "%s"}, 3]}' % (b"f" * 10**5),
    "moment that was not": b'{"date": "2021-02-29"}',
    "endless delta": b'{"delta": [1e99, 0, 0]}',
    "short handle": b'{"h": [0]}',
    "negative handle": b'{"h": [-1, "x", [], "object"]}',
    "huge handle": b'{"h": [99999999999, "x", [], "object"]}',
    "true handle": b'{"h": [true, "x", [], "object"]}',
    "nameless handle": b'{"h": [0, [], [], "object"]}',
    "shapeless handle": b'{"h": [0, "x", [], []]}',
    "handle of many classes": b'{"h": [0, "x", [%s0], "object"]}' % (b"0," * 1000),
    "deep lists": b"[" * 10**6,
    "deep values": b'{"t": [' * 300 + b"]}" * 300,
    "deep enough to parse": b"[" * 300 + b"]" * 300,
    "colliding set": json.dumps({"s": [PRIME * n for n in range(1000)]}).encode(),
    "colliding integers": json.dumps([{"i": hex(PRIME * n)} for n in range(1000)]).encode(),
    "colliding fractions": json.dumps([{"F": [{"i": hex(PRIME * n)}, 1]} for n in range(1000)]).encode(),
    "colliding complex numbers": json.dumps([{"c": [1000003.0 * n, -n]} for n in range(1000)]).encode(),
    "colliding tuples": json.dumps([{"t": [{"c": [1000003.0 * n, -n]}, 1]} for n in range(1000)]).encode(),
    "many values": b"[" + b"0," * (2 * 10**6 + 1) + b"0]",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_or_too_large_is_one_error(name: str) -> None:
    with pytest.raises(NotPlainError) as caught:
        loads(MALFORMED[name], lambda handle: handle)
    assert len(str(caught.value)) <= 300


def test_reading_stops_at_the_deadline() -> None:
    payload = json.dumps([[n] for n in range(1000)]).encode()
    with pytest.raises(NotPlainError, match="in time"):
        loads(payload, lambda handle: handle, deadline=time.monotonic() - 1)
    assert len(loads(payload, lambda handle: handle, deadline=time.monotonic() + 60)) == 1000


def test_equal_values_do_not_collide() -> None:
    payload = json.dumps([{"t": [1, 2]}, {"i": hex(PRIME)}, {"F": [1, 3]}] * 1000).encode()
    assert len(loads(payload, lambda handle: handle)) == 3000


def test_one_object_is_revived_once_and_asks_nobody() -> None:
    class Asking:
        def __eq__(self, other: object) -> bool:
            raise AssertionError("asked")

        def __hash__(self) -> int:
            return 5

    handle = {"h": [7, "x", [], "object"]}
    first, members = loads(json.dumps([handle, {"s": [handle, handle]}]).encode(), lambda handle: Asking())
    assert members == {first}


TAGS = ["i", "b", "a", "D", "date", "time", "datetime", "t", "s", "f", "q", "c", "r", "F", "delta", "d", "h", "l", "x"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(TAGS), inner, max_size=2),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.lists(json_values | st.binary(max_size=40), min_size=30, max_size=30))
def test_no_text_is_more_than_a_value_or_the_one_error(batch: list[Any]) -> None:
    for form in batch:
        payload = form if isinstance(form, bytes) else json.dumps(form).encode()
        with contextlib.suppress(NotPlainError):
            loads(payload, lambda handle: handle)


def test_words_of_the_other_side_are_cut_and_printable() -> None:
    assert short("fine") == "fine"
    assert short("two\nlines") == "two\nlines"
    assert len(short("x" * 10**6)) == 300 and short("x" * 10**6).endswith("...")
    assert short("a\ud800\x1b[31m\0").isprintable()
    assert short("a\ud800").encode()
