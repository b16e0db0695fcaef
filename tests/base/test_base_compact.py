"""Numbers in four bytes each behave as the tuples they stand for."""

import copy
import json
import pickle
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ponder.compact import Numbers
from ponder.records import Completion
from ponder.train import Sample

FLOATS = st.floats(width=32, allow_nan=False)


@given(st.lists(st.integers(-(2**31), 2**31 - 1)), st.slices(20))
def test_whole_numbers_are_a_sequence(values: list[int], part: slice) -> None:
    numbers = Numbers("i", values)
    assert numbers == values and numbers == tuple(values) and list(numbers) == values and len(numbers) == len(values)
    assert numbers[part] == values[part] and bool(numbers) is bool(values)
    assert (*numbers,) == tuple(values) and list(reversed(numbers)) == values[::-1]
    assert hash(numbers) == hash(tuple(values)) and repr(numbers) == repr(tuple(values))
    assert Numbers("i", np.array(values, np.int32).tobytes()) == numbers == Numbers("i", numbers)
    for again in (copy.deepcopy(numbers), pickle.loads(pickle.dumps(numbers))):
        assert again == numbers
    if values:
        assert numbers[-1] == values[-1] and numbers != [*values[:-1], values[-1] ^ 1] and numbers != values[:-1]


@given(st.lists(FLOATS, min_size=1))
def test_float32_numbers_come_back_as_they_were(values: list[float]) -> None:
    numbers = Numbers("f", values)
    assert numbers == values and all(type(one) is float for one in numbers)
    assert json.dumps(list(numbers)) == json.dumps(values)
    assert np.asarray(numbers).dtype == np.float32 and np.asarray(numbers, np.float64).tolist() == values
    assert torch.tensor(numbers).tolist() == values


def test_they_never_change() -> None:
    numbers = Numbers("i", [1, 2])
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(numbers)[0] = 5
    with pytest.raises(TypeError):
        numbers[0] = 5  # type: ignore[index]
    with pytest.raises(OverflowError):
        Numbers("i", [2**31])


def size(values: object) -> int:
    """Bytes of a sequence and of what it holds."""
    assert isinstance(values, Numbers)
    return sys.getsizeof(values) + sys.getsizeof(values._array)


def test_a_completion_and_its_sample_hold_four_bytes_of_every_number() -> None:
    ids, logprobs = tuple(range(1000, 11_000)), tuple(-i / 1024 for i in range(10_000))
    completion = Completion(token_ids=ids, logprobs=logprobs, text="", finish_reason="stop", weight_version=0, seed=0)
    assert (completion.token_ids, completion.logprobs) == (ids, logprobs)
    assert size(completion.token_ids) + size(completion.logprobs) < 8.1 * len(ids)
    sample = Sample(
        prompt_ids=(1,), response_ids=completion.token_ids, group="", weight=1.0,
        behaviour=completion.logprobs, reference=logprobs,
    )  # fmt: skip
    assert sample.response_ids._array is completion.token_ids._array, "nothing is copied"  # type: ignore[attr-defined]
    assert size(sample.reference) < 4.1 * len(ids)
