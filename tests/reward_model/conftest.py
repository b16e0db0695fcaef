"""Tiny policies of every architecture that can become a scorer, and scorers made of them."""

from collections.abc import Callable
from typing import Any

import pytest
from tiny_models import ARCHITECTURES, tiny_policy
from word_tokenizer import words

from ponder.policy.scorer import Scorer
from ponder.policy.scorer_load import new_scorer


@pytest.fixture
def make_scorer() -> Callable[..., Scorer]:
    def make(name: str = "qwen3", pad_is_end: bool = False, **changes: Any) -> Scorer:
        settings = {"loss": "pairwise", "scope": "answer", "base": "tiny", "max_tokens": 64, "seed": 1} | changes
        return new_scorer(tiny_policy(name, words(pad_is_end), "r1"), **settings)

    return make


@pytest.fixture(params=sorted(ARCHITECTURES))
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)
