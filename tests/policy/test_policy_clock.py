"""A model whose chat template writes the date: sampled later, it reads the prompts it was trained on."""

import copy
import json
from pathlib import Path

import pytest
from devices import DEVICE
from tiny_models import tiny_policy
from transformers import PreTrainedTokenizerFast

from ponder.policy import Policy, load_policy, random_policy, save_policy
from ponder.records import Message
from ponder.text.clock import fixed_clock

QUESTION = [Message(role="user", content="w3 w4")]


@pytest.fixture
def dated(tokenizer: PreTrainedTokenizerFast) -> Policy:
    own = copy.deepcopy(tokenizer)
    own.chat_template = "w{{ strftime_now('%d') | int }} {{ messages[0].content }}"
    with fixed_clock("2031-02-03T12:00:00+00:00"):
        return random_policy(tiny_policy("qwen2", tokenizer).model.config, own, "r1", seed=0)


def test_the_date_travels_with_the_model(dated: Policy, tmp_path: Path) -> None:
    prompt = dated.template.encode(dated.tokenizer, QUESTION)
    assert dated.tokenizer.decode(prompt[:3]) == "w3 w3 w4"
    save_policy(dated, tmp_path)
    assert json.loads((tmp_path / "ponder_template.json").read_text())["clock"] == "2031-02-03T12:00:00+00:00"
    with fixed_clock("2031-02-27T12:00:00+00:00"):
        again = load_policy(tmp_path, precision="fp32", device=DEVICE)
        assert again.template.encode(again.tokenizer, QUESTION) == prompt
        other = load_policy(tmp_path, "r1", precision="fp32", device=DEVICE)  # a form of its own, for this run
        assert other.tokenizer.decode(other.template.encode(other.tokenizer, QUESTION)[:1]) == "w27"
