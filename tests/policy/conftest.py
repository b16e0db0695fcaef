"""A word tokenizer and tiny random models of every architecture ponder promises."""

import pytest
from tiny_models import ARCHITECTURES, tiny_policy
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ponder.policy import Policy


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "<eos>", *(f"w{i}" for i in range(58))]
    model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>")
    plain = Tokenizer(model)
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<eos>", pad_token="<pad>")


@pytest.fixture(params=sorted(ARCHITECTURES))
def policy(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> Policy:
    return tiny_policy(request.param, tokenizer)


@pytest.fixture
def qwen2(tokenizer: PreTrainedTokenizerFast) -> Policy:
    return tiny_policy("qwen2", tokenizer)
