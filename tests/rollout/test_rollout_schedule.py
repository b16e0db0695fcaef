"""The state machine of rows, run without a model: every sample is served once, and the rows keep their promises."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.rollout import schedule
from ponder.rollout.schedule import Schedule


def closed(prompt_lengths: list[int], counts: list[int], max_rows: int) -> Schedule:
    """Samples are numbered prompt by prompt."""
    machine, first = Schedule(max_rows), 0
    for prompt, (length, count) in enumerate(zip(prompt_lengths, counts, strict=True)):
        if count:
            machine.add(prompt, length, range(first, first + count))
        first += count
    return machine


def run(prompt_lengths: list[int], counts: list[int], max_rows: int, needed: np.ndarray) -> tuple[int, int]:
    """Run to the end where sample s takes `needed[s]` steps; returns steps made and rows computed in them."""
    machine = closed(prompt_lengths, counts, max_rows)
    owner = np.repeat(np.arange(len(counts)), counts)
    served = np.zeros(len(needed), np.int64)
    seated: list[int] = []
    computed: list[int] = []
    ended: list[int] = []
    steps = work = 0
    while not machine.done:
        before = machine.sample_R.copy()
        kept = machine.squeeze()
        if kept is not None:
            assert np.array_equal(machine.sample_R, before[kept])
            assert machine.live_R.all()
        if prompts := machine.prompts_to_compute():
            computed += prompts
            machine.computed(prompts)
        new = machine.seat()
        seated += machine.sample_R[machine.rows - new :].tolist()
        live = machine.live_R
        assert live.sum() <= max_rows
        assert live.sum() == max_rows or len(seated) == len(needed), "a free row while samples wait"
        assert (np.diff(machine.length_R[live]) <= 0).all(), "rows are ordered by age"
        assert machine.prompt_R[live].tolist() == owner[machine.sample_R[live]].tolist()
        served[machine.sample_R[live]] += 1
        finished = live & (machine.length_R + 1 >= needed[machine.sample_R])
        machine.extend(machine.live_R.astype(np.int64))
        machine.release(finished)
        ended += machine.take_ended()
        work += machine.rows
        steps += 1
    assert np.array_equal(served, needed)
    assert sorted(seated) == list(range(len(needed)))
    assert sorted(ended) == sorted(computed) == [p for p, count in enumerate(counts) if count]
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
    machine = closed([200] * 100, [1] * 100, max_rows=2)
    assert machine.prompts_to_compute() == [0, 1, 2]
    huge = closed([schedule._PREFILL_TOKENS_MOST + 1, 10, 10], [1, 1, 1], max_rows=3)
    assert huge.prompts_to_compute() == [0]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_an_open_schedule_serves_and_forgets_at_any_moment(data: st.DataObject) -> None:
    """Prompts join, samples are cancelled wherever they are, memory is short: nobody waits for ever, none is served
    after it was cancelled, and in the end every byte is free."""
    memory, max_rows = data.draw(st.integers(10, 40)), data.draw(st.integers(1, 6))
    machine = Schedule(max_rows, is_open=True, memory=memory)
    owner: dict[int, int] = {}
    left: dict[int, int] = {}  # steps a sample still needs
    computing: list[int] = []
    ended: list[int] = []
    steps = 0
    while steps < 60 or not machine.done:
        assert steps < 3000, "somebody waits for ever"
        steps += 1
        if steps < 60 and data.draw(st.booleans()):
            prompt, first = steps, len(owner)
            samples = range(first, first + data.draw(st.integers(1, 4)))
            prompt_bytes, row_bytes = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 5))
            priority = data.draw(st.integers(0, 1))
            machine.add(
                prompt,
                5,
                samples,
                priority=priority,
                owner=data.draw(st.sampled_from("abc")),
                prompt_bytes=prompt_bytes,
                row_bytes=row_bytes,
            )
            owner.update(dict.fromkeys(samples, prompt))
            left.update({sample: data.draw(st.integers(1, 5)) for sample in samples})
        if left and data.draw(st.integers(0, 3)) == 0:
            cancelled = data.draw(st.sampled_from(sorted(left)))
            machine.cancel(cancelled)
            del left[cancelled]
        if (kept := machine.squeeze()) is not None:
            assert machine.live_R.all() and machine.rows == len(kept)
        while (begun := machine.next_prompt()) is not None:
            computing.append(begun)
        if computing and data.draw(st.booleans()):
            ready = computing.pop(0)
            if any(owner[sample] == ready for sample in left):
                machine.computed([ready])
        machine.seat()
        assert machine.rows == machine.live_R.sum() <= max_rows
        assert machine.reserved <= memory
        for sample, prompt in zip(machine.sample_R.tolist(), machine.prompt_R.tolist(), strict=True):
            assert owner[sample] == prompt
            left[sample] -= 1
        finished = np.array([left[sample] == 0 for sample in machine.sample_R.tolist()], np.bool_)
        left = {sample: needed for sample, needed in left.items() if needed}
        machine.release(finished)
        ended += machine.take_ended()
    assert not left and machine.reserved == machine.waiting_tokens == 0
    assert sorted(ended + machine.take_ended()) == sorted(set(owner.values()))


def test_a_vote_does_not_stand_before_a_chat() -> None:
    machine = Schedule(2, is_open=True)
    machine.add(0, 5, range(64))
    assert machine.next_prompt() == 0
    machine.add(1, 5, [64])
    machine.add(2, 5, [65])
    machine.add(3, 5, [66], priority=-1)
    assert machine.next_prompt() == 3 and machine.next_prompt() is None, "two rows for the first samples of two prompts"
    machine.computed([0, 3])
    machine.seat()
    assert machine.sample_R.tolist() == [66, 0]
    machine.release(np.array([False, True]))
    machine.squeeze()
    assert machine.next_prompt() == 1, "the first of one before the second of another"
    machine.computed([1])
    machine.seat()
    assert machine.sample_R.tolist() == [66, 64]


def test_a_lower_priority_goes_first() -> None:
    machine = Schedule(1, is_open=True)
    machine.add(0, 5, [0], priority=1)
    machine.add(1, 5, [1], priority=0)
    assert [machine.next_prompt(), machine.next_prompt()] == [1, None]


def begun(machine: Schedule, prompts: int) -> list[int]:
    """The order in which prompts of one sample each are begun, with one row that each of them has for one step."""
    order = []
    for _ in range(prompts):
        prompt = machine.next_prompt()
        assert prompt is not None
        order.append(prompt)
        machine.computed([prompt])
        machine.seat()
        machine.release(np.ones(machine.rows, np.bool_))
        machine.squeeze()
    return order


def test_owners_go_by_turns() -> None:
    """Scripted arrivals: 500 of one, then one of another, then some of a third, then more of the first."""
    machine = Schedule(1, is_open=True)
    for prompt in range(500):
        machine.add(prompt, 5, [prompt], owner="a")
    assert begun(machine, 10) == list(range(10))
    machine.add(500, 5, [500], owner="b")
    assert begun(machine, 2) == [500, 10]
    for prompt in (501, 502, 503):
        machine.add(prompt, 5, [prompt], owner="c")
    machine.add(504, 5, [504], owner="b")
    machine.add(505, 5, [505], owner="a")
    order = begun(machine, 494)
    assert sorted(order.index(one) for one in (501, 502, 503, 504)) == [0, 1, 3, 5]
    assert [one for one in order if one < 500 or one == 505] == [*range(11, 500), 505], "of one owner by arrival"


def test_who_was_away_has_neither_credit_nor_debt() -> None:
    machine = Schedule(1, is_open=True)
    for prompt in range(100):
        machine.add(prompt, 5, [prompt], owner="a")
    for prompt in range(100):
        machine.cancel(prompt)
    for prompt in range(100, 110):
        machine.add(prompt, 5, [prompt], owner="b")
    machine.add(110, 5, [110], owner="a")
    assert begun(machine, 11).index(110) == 1, "what was cancelled is not held against it"
    for prompt in range(200, 210):
        machine.add(prompt, 5, [prompt], owner="a")
    for prompt in range(210, 215):
        machine.add(prompt, 5, [prompt], owner="c")
    assert [one for one in begun(machine, 10) if one >= 210] == [*range(210, 215)], "two owners, each half of the turns"
    assert machine.waits("a") and not machine.waits("c")


def test_what_was_cancelled_leaves_nothing_behind() -> None:
    """Prompts and samples that come and go while one of them has the only row, and others are before them for ever."""
    machine = Schedule(1, is_open=True)
    machine.add(0, 5, range(2), priority=-1)
    assert machine.next_prompt() == 0
    machine.computed([0])
    machine.seat()
    for i in range(1, 1000):
        machine.add(i, 5, [2 * i], priority=1)
        machine.cancel(2 * i)
        machine.take_ended()
    assert len(machine._uncomputed) < 10 and machine.waiting_tokens == 0 and machine.next_prompt() is None
