"""Sample stages that would sample for hours and keep nothing are refused, with what to change."""

from typing import Any

import pytest

from ponder.recipe.stages import SampleStage

ENDPOINT = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
PROMPTS = {"source": "file", "path": "q.jsonl", "gold": None, "route": "helpful"}
READER = {"kind": "endpoint", "endpoint": ENDPOINT}


def stage(**fields: Any) -> SampleStage:
    return SampleStage.model_validate({"model": "micro", "problems": [{"source": "micro"}]} | fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"keep": {"min_tokens": 1000}, "sampling": {"max_tokens": 512}}, "no response has more than .*512"),
        ({"output": "pairs", "samples": 1}, "set samples to 2"),
        ({"output": "pairs", "keep": {"distinct": 1}}, "keep.distinct to 2 or more"),
        ({"output": "pairs", "sampling": {"temperature": 0}}, "says the same each time"),
        ({"output": "pairs", "pairs": {"min_difference": 2}}, "less than 2"),
        ({"problems": [PROMPTS], "keep": {"correct": True}}, "keep.correct compares answers with the gold"),
        ({"problems": [PROMPTS], "output": "problems"}, "output: problems compares answers with the gold"),
        ({"judge": READER}, "the judge is asked nothing: set keep.judged"),
        ({"pairs": {"votes": 8}}, "the output is examples: remove it"),
        ({"output": "labels", "judge": {"kind": "rule"}, "pairs": {"votes": 8}}, "the output is labels: remove it"),
    ],
)
def test_what_can_keep_nothing_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stage(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"keep": {"min_tokens": 512, "correct": True}, "sampling": {"max_tokens": 512}},
        {"output": "pairs", "samples": 4, "judge": {"kind": "rule"}, "pairs": {"min_difference": 1.9}},
        {"output": "pairs", "model": None, "endpoint": ENDPOINT, "sampling": {"temperature": 0}, "judge": READER},
        {"problems": [PROMPTS, {"source": "micro"}], "keep": {"correct": True}},
        {"problems": [PROMPTS], "keep": {"correct": False}},
        {"keep": {"judged": True}, "judge": READER},
    ],
)
def test_what_can_is_not(fields: dict[str, Any]) -> None:
    stage(**fields)
