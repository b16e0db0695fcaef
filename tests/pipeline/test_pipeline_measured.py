"""What is read from the metrics of a run for plans of the next one."""

from ponder.pipeline.measured import seconds_by_rollout
from ponder.watch.metrics import Row


def rows(*seconds: float, sampled: tuple[int, ...] = ()) -> list[Row]:
    return [
        {"step": step, "seconds/step": spent} | ({"rollout/tokens": 100.0} if step in sampled else {})
        for step, spent in enumerate(seconds, start=1)
    ]


def test_a_rollout_is_sampled_in_its_first_step() -> None:
    """The median of its steps would be an update without any sampling."""
    found = seconds_by_rollout(rows(40, 10, 10, 10, 44, 10, sampled=(1, 5)))
    assert found == [[40, 10, 10, 10], [44, 10]]


def test_steps_that_sample_nothing_stand_alone() -> None:
    assert seconds_by_rollout(rows(3, 4, 5)) == [[3], [4], [5]]
    assert seconds_by_rollout([]) == []
