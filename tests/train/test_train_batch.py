"""The tensors of a micro-batch, by hand."""

import math

import torch

from ponder.train import Batch, Sample
from ponder.train.batch import round_up


def test_by_hand(device: torch.device) -> None:
    samples = [
        Sample(prompt_ids=(5, 6), response_ids=(7, 8, 1), group="a", weight=0.5, advantage=1.0, behaviour=(-1, -2, -3)),
        Sample(prompt_ids=(9,), response_ids=(1,), group="b", weight=0.25, advantage=-1.0),
        Sample(prompt_ids=(5, 6), response_ids=(3, 4), group="a", weight=0.1, behaviour=(-4, -5)),
    ]
    batch = Batch.of(samples, device)
    #                                      a  a  b | padding | 0  0 | 2
    assert batch.input_ids_1T.tolist() == [[5, 6, 9, *([0] * 58), 7, 8, 3]]
    assert batch.layout.position_ids_T.tolist() == [
        0,
        1,
        0,
        *[0] * 58,
        2,
        3,
        2,
    ]  # padding stands at no place that is not taken
    assert batch.read_M.tolist()[:6] == [1, 61, 62, 2, 1, 63]
    assert batch.target_M.tolist()[:6] == [7, 8, 1, 1, 3, 4]
    assert batch.sequence_N.tolist() == [0, 0, 0, 1, 2, 2]
    assert batch.advantages_N.tolist() == [1, 1, 1, -1, 0, 0]
    torch.testing.assert_close(batch.weights_N, torch.tensor([0.5, 0.5, 0.5, 0.25, 0.1, 0.1], device=device))
    assert batch.reference_N is None
    behaviour = batch.behaviour_N.tolist()
    assert math.isnan(behaviour.pop(3)) and behaviour == [-1, -2, -3, -4, -5]
    assert batch.lengths == (3, 1, 2)


def test_sizes_recur_and_are_little_above_what_is_needed() -> None:
    sizes = {round_up(count) for count in range(1, 20_000)}
    assert len(sizes) < 160
    assert all(count <= round_up(count) <= max(count + 63, count * 17 / 16) for count in range(1, 20_000))
