"""When held-out accuracy counts as risen no more."""

from math import nan

import pytest

from ponder.watch.patience import why_stop


@pytest.mark.parametrize(
    ("accuracies", "patience", "least_gain", "stops"),
    [
        ({}, 1, 0.0, False),
        ({0: 0.1}, 1, 0.0, False),
        ({0: 0.1, 10: 0.2}, 1, 0.0, False),
        ({0: 0.1, 10: 0.1}, 1, 0.0, True),
        ({0: 0.1, 10: 0.1}, 2, 0.0, False),
        ({0: 0.1, 10: 0.1, 20: 0.05}, 2, 0.0, True),
        ({0: 0.1, 10: 0.1, 20: 0.2, 30: 0.2}, 2, 0.0, False),
        ({0: 0.1, 10: 0.14, 20: 0.18}, 2, 0.05, False),
        ({0: 0.1, 10: 0.14, 20: 0.15}, 2, 0.05, True),
        ({20: 0.5, 0: 0.1, 10: 0.3}, 1, 0.0, False),
        ({0: nan, 10: nan, 20: nan}, 1, 0.0, False),  # nothing has a gold
        ({0: 0.1, 10: nan, 20: 0.1}, 2, 0.0, False),
        ({0: nan, 10: 0.1, 20: 0.1}, 1, 0.0, True),
    ],
)
def test_a_gain_lies_above_the_best_before(
    accuracies: dict[int, float], patience: int, least_gain: float, stops: bool
) -> None:
    said = why_stop(accuracies, patience, least_gain)
    assert (said is not None) == stops
    if said is not None:
        assert f"in {patience} measurements" in said
