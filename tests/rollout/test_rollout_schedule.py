"""The state machine of rows, run without a model: every sample is served once, and the rows keep their promises."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.rollout import schedule
from ponder.rollout.schedule import Schedule


def run(prompt_lengths: list[int], counts: list[int], max_rows: int, needed: np.ndarray) -> tuple[int, int]:
    """Run to the end where sample s takes `needed[s]` steps; returns steps made and rows computed in them."""
    machine = Schedule(prompt_lengths, counts, max_rows)
    owner = np.repeat(np.arange(len(counts)), counts)
    served = np.zeros(len(needed), np.int64)
    seated: list[int] = []
    computed: list[int] = []
    steps = work = 0
    while not machine.done:
        before = machine.sample_R.copy()
        kept = machine.squeeze()
        if kept is not None:
            assert np.array_equal(machine.sample_R, before[kept])
            assert machine.live_R.all()
        if prompts := machine.prompts_to_compute():
            cached = list(machine.prompt_G)
            computed += prompts
            kept_places = machine.add_prompts(prompts)
            assert machine.prompt_G == [cached[place] for place in kept_places] + prompts
        new = machine.seat()
        seated += machine.sample_R[machine.rows - new :].tolist()
        live = machine.live_R
        assert live.sum() <= max_rows
        assert live.sum() == max_rows or len(seated) == len(needed), "a free row while samples wait"
        assert (np.diff(machine.length_R[live]) <= 0).all(), "rows are ordered by age"
        places = machine.prompt_R[live]
        assert [machine.prompt_G[place] for place in places] == owner[machine.sample_R[live]].tolist()
        served[machine.sample_R[live]] += 1
        finished = live & (machine.length_R + 1 >= needed[machine.sample_R])
        machine.extend(machine.live_R.astype(np.int64))
        machine.release(finished)
        work += machine.rows
        steps += 1
    assert np.array_equal(served, needed)
    assert sorted(seated) == list(range(len(needed)))
    assert sorted(computed) == [p for p, count in enumerate(counts) if count]
    return steps, work


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_sample_is_served_once(data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, 6), max_size=12))
    lengths = data.draw(st.lists(st.integers(1, 700), min_size=len(counts), max_size=len(counts)))
    needed = data.draw(st.lists(st.integers(1, 30), min_size=sum(counts), max_size=sum(counts)))
    run(lengths, counts, data.draw(st.integers(1, 20)), np.array(needed, np.int64))


def test_idle_rows_cost_little() -> None:
    """Long-tailed lengths: the rows computed stay close to those that are needed, while others wait and at the end."""
    needed = np.minimum(1 + np.random.default_rng(0).geometric(1 / 60, size=2000), 500)
    steps, work = run([50] * 125, [16] * 125, 128, needed)
    assert work < 1.15 * needed.sum()
    assert steps < 1.15 * (needed.sum() / 128) + 500


def test_prompts_are_computed_in_batches() -> None:
    machine = Schedule([200] * 100, [1] * 100, max_rows=2)
    assert machine.prompts_to_compute() == [0, 1, 2]
    huge = Schedule([schedule._PREFILL_TOKENS_MOST + 1, 10, 10], [1, 1, 1], max_rows=3)
    assert huge.prompts_to_compute() == [0]
