"""Packing: nothing lost, nothing twice, within the budget, groups together."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.train.packing import pack, packed_tokens, rounds
from ponder.train.sample import Sample


def sample(group: int, prompt: int, response: int) -> Sample:
    return Sample(prompt_ids=(group,) * prompt, response_ids=(7,) * response, group=str(group), weight=1.0)


@st.composite
def sample_lists(draw: st.DrawFn) -> list[Sample]:
    prompts = draw(st.lists(st.integers(1, 30), min_size=1, max_size=8))
    members = draw(st.lists(st.tuples(st.integers(0, len(prompts) - 1), st.integers(1, 60)), max_size=40))
    return [sample(group, prompts[group], length) for group, length in members]


@given(sample_lists(), st.integers(1, 150))
def test_properties(samples: list[Sample], budget: int) -> None:
    bins = pack(samples, budget)
    assert sorted(i for members in bins for i in members) == list(range(len(samples)))
    assert pack(list(samples), budget) == bins
    for members in bins:
        assert members == sorted(members)
        assert len(members) == 1 or packed_tokens([samples[i] for i in members]) <= budget
    for group in {s.group for s in samples}:
        indices = {i for i, s in enumerate(samples) if s.group == group}
        if packed_tokens([samples[i] for i in indices]) <= budget:
            assert sum(bool(indices & set(members)) for members in bins) == 1


def test_by_hand() -> None:
    samples = [sample(0, 10, 6), sample(1, 4, 3), sample(0, 10, 6), sample(1, 4, 3), sample(2, 50, 9)]
    assert packed_tokens(samples) == (10 + 5 + 5) + (4 + 2 + 2) + 58
    assert pack(samples, 28) == [[4], [0, 1, 2, 3]]
    assert pack(samples, 20) == [[4], [0, 2], [1, 3]]
    assert pack(samples, 16) == [[4], [0], [2], [1, 3]]
    assert pack([], 10) == []


def test_one_group_one_prompt() -> None:
    with pytest.raises(AssertionError, match="different prompts"):
        pack([sample(0, 3, 2), sample(0, 4, 2)], 100)
    with pytest.raises(AssertionError, match="needs a prompt"):
        sample(0, 0, 2)


def test_pure_modules_need_no_torch() -> None:
    files = ["sample.py", "packing.py", "schedule.py", "guard.py", "checkpoint.py"]
    code = (
        "import sys, types, pathlib, ponder\n"
        "package = types.ModuleType('ponder.train')\n"  # the folder's __init__ names the trainer, which needs torch
        "package.__path__ = [str(pathlib.Path(ponder.__file__).parent / 'train')]\n"
        "sys.modules['ponder.train'] = package\n"
        f"for file in {files!r}: __import__('ponder.train.' + file[:-3])\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(sample_lists(), st.integers(1, 150), st.integers(1, 5))
def test_rounds_give_all_ranks_as_many_passes(samples: list[Sample], budget: int, ranks: int) -> None:
    found = rounds(samples, budget, ranks)
    assert all(len(one) == ranks for one in found)
    assert sorted(i for one in found for members in one for i in members) == list(range(len(samples)))
    assert all(members for one in found[:-1] for members in one)  # idle ones in the last round only
    assert len(found) <= -(-len(pack(samples, budget)) // ranks)
    for members in (members for one in found for members in one if len(members) > 1):
        assert packed_tokens([samples[i] for i in members]) <= budget
    if ranks == 1:
        assert [members for one in found for members in one] == pack(samples, budget)
