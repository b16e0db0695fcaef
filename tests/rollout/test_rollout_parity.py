"""The check of engine against trainer."""

import pytest

from ponder.errors import ParityError
from ponder.rollout import check_parity

IDS = [[5, 6, 7], [8, 9]]
ENGINE = [[-1.0, -2.0, -3.0], [-0.5, -0.25]]


def test_agreement_is_measured() -> None:
    parity = check_parity(IDS, ENGINE, [[-1.0, -2.01, -3.0], [-0.5, -0.28]], tolerance=0.02)
    assert (parity.mean, parity.worst, parity.tokens) == (pytest.approx(0.008), pytest.approx(0.03), 5)


@pytest.mark.parametrize("wrong", [-0.9, float("nan"), float("inf")])
def test_disagreement_names_the_worst_token(wrong: float) -> None:
    trainer = [[-1.0, -2.1, -3.0], [-0.5, wrong]]
    with pytest.raises(ParityError) as caught:
        check_parity(IDS, ENGINE, trainer, tolerance=0.02)
    text = str(caught.value)
    assert "token id 9 of completion 1" in text and "-0.2500 sampled" in text and f"{wrong:.4f} recomputed" in text
    assert "0.02" in text and "precision: fp32" in text
