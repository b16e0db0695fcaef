"""The models that ship with the package."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from ponder.files import EMBEDDED, file_digest
from ponder.text.template import Template

_LIMIT = 12_000_000
"""Bytes on disk that both models may take together."""


@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_an_embedded_model_stands_by_itself(name: str) -> None:
    folder = EMBEDDED[name]
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())
    assert Template.load(folder).name == "r1-zero"
    assert {"README.md", "evaluation.json", "report.html"} <= {path.name for path in folder.iterdir()}


def test_the_student_is_smaller_and_reads_the_same_tokens() -> None:
    base, student = EMBEDDED["micro"], EMBEDDED["micro-student"]
    assert file_digest(base / "tokenizer.json") == file_digest(student / "tokenizer.json")
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (base, student)]
    assert sizes[1] < sizes[0] / 2 and sum(sizes) <= _LIMIT
