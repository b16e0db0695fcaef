"""Tasks hold everything once, whatever the sizes, and come back from engines that are lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.rollout import Request
from ponder.workers.tasks import TaskQueue, deal, part

COUNTS = st.lists(st.integers(0, 9), max_size=12)


@given(COUNTS, st.integers(1, 12))
def test_every_completion_is_in_one_task_in_order(seeds: list[int], size: int) -> None:
    tasks = deal(seeds, size)
    flat = [(i, seed) for task in tasks for i, first, stop in task for seed in range(first, stop)]
    assert flat == [(i, seed) for i, count in enumerate(seeds) for seed in range(count)]
    for task in tasks:
        assert 0 < sum(stop - first for _, first, stop in task) <= size
    whole = [i for i, count in enumerate(seeds) if 0 < count <= size]
    assert all(sum(piece[0] == i for task in tasks for piece in task) == 1 for i in whole)


def test_a_part_keeps_prompts_and_their_own_seeds() -> None:
    requests = [Request(prompt_ids=(1, 2), seeds=(5, 6, 7), key="a"), Request(prompt_ids=(3,), seeds=(8,), key="b")]
    tasks = deal([3, 1], 2)
    assert [part(requests, task) for task in tasks] == [
        [Request(prompt_ids=(1, 2), seeds=(5, 6), key="a")],
        [Request(prompt_ids=(1, 2), seeds=(7,), key="a"), Request(prompt_ids=(3,), seeds=(8,), key="b")],
    ]


@given(st.integers(0, 20), st.lists(st.integers(0, 3)))
def test_a_queue_ends_whoever_loses_what(count: int, moves: list[int]) -> None:
    queue, out, made = TaskQueue(count), list[int](), list[int]()
    for move in [*moves, *[0, 1] * count * 2]:
        if move == 0 and queue.waiting:
            out.append(queue.take())
        elif move == 1 and out:
            made.append(out.pop())
            queue.finish(made[-1])
        elif move == 2 and out:
            queue.give_back(out.pop(0))
    while out:
        queue.finish(out[-1])
        made.append(out.pop())
    while queue.waiting:
        made.append(queue.take())
        queue.finish(made[-1])
    assert queue.done and sorted(made) == list(range(count))


def test_what_nobody_took_cannot_be_finished() -> None:
    queue = TaskQueue(1)
    with pytest.raises(KeyError):
        queue.finish(0)
