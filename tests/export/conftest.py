"""A small run of every part that a card tells of, made once."""

from pathlib import Path

import pytest

from ponder.pipeline.run import run
from ponder.recipe.load import load_recipe

RECIPE = """\
name: small
stages:
  cold:
    kind: sft
    model: micro
    template: r1
    examples: [{source: micro, count: 24, seed: 5}, {source: file, path: FOLDER/examples.jsonl, form: examples}]
    decontaminate: [FOLDER/bench.yaml]
    steps: 2
    batch_size: 4
  data:
    kind: sample
    model: cold
    problems: [{source: micro, count: 6, seed: 6}]
    samples: 2
    sampling: {max_tokens: 16}
    keep: {unfinished: true, correct: false}
  pupil:
    kind: sft
    model: cold
    examples: [{source: stage, stage: data}]
    steps: 2
    batch_size: 4
    held_out: {problems: [{source: micro, split: test, count: 2}], samples: 2, max_tokens: 16}
  scores:
    kind: evaluate
    models: [micro, pupil]
    benchmarks: [FOLDER/bench.yaml]
    samples: 2
"""
BENCHMARK = """\
name: bench
description: Two questions.
problems: [{source: micro, split: test, count: 4, seed: 9}]
max_tokens: 16
"""
EXAMPLE = """\
{"id": "a|b", "messages": [{"role": "user", "content": "What is 2 + 3?"}], "thinking": "2 + 3 = 5", "answer": "5", \
"domain": "sums", "language": "en", "origin": "hand"}
"""


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four stages; nothing may write into it."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "examples.jsonl").write_text(EXAMPLE)
    (folder / "bench.yaml").write_text(BENCHMARK)
    recipe = folder / "small.yaml"
    recipe.write_text(RECIPE.replace("FOLDER", str(folder)))
    out = folder / "small-run"
    run(load_recipe(recipe), out, text=recipe.read_text())
    return out
