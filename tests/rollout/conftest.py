"""A word tokenizer and tiny random models of every architecture ponder promises."""

import pytest
import torch
from tiny_models import ARCHITECTURES, tiny_policy
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ponder.policy import Policy


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What a test draws without a seed of its own is the same in every run and process."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Words w0 to w55, and <think>, which is a special token as in some real tokenizers."""
    words = ["<pad>", "<eos>", "<bos>", "<think>", *(f"w{i}" for i in range(56))]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        eos_token="<eos>",
        pad_token="<pad>",
        bos_token="<bos>",
        additional_special_tokens=["<think>"],
    )


@pytest.fixture(params=sorted(ARCHITECTURES))
def policy(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> Policy:
    return tiny_policy(request.param, tokenizer)


@pytest.fixture
def qwen2(tokenizer: PreTrainedTokenizerFast) -> Policy:
    return tiny_policy("qwen2", tokenizer)


@pytest.fixture
def bf16(tokenizer: PreTrainedTokenizerFast) -> Policy:
    return tiny_policy("qwen3", tokenizer, precision="bf16")
