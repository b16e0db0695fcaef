"""Every kind of engine that a recipe can name is there, and does as the recipe says."""

from typing import get_args

import pytest

from ponder.policy import Policy
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.rollout import LocalEngine, Request, open_engine, schedule
from ponder.rollout.open import ENGINES


def test_every_kind_has_an_engine() -> None:
    assert set(ENGINES) == set(get_args(EngineConfig.model_fields["kind"].annotation))


def test_no_more_rows_than_slots(qwen2: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    seat = schedule.Schedule.seat

    def counted(self: schedule.Schedule) -> int:
        new = seat(self)
        rows.append(int(self.live_R.sum()))
        return new

    monkeypatch.setattr(schedule.Schedule, "seat", counted)
    request = Request(prompt_ids=(5, 6), seeds=tuple(range(9)), key="p")
    engine = open_engine(EngineConfig(max_slots=4), qwen2)
    assert engine.generate([request], Sampling(), 12, 0) == LocalEngine(qwen2, 4).generate([request], Sampling(), 12, 0)
    assert max(rows) == 4
