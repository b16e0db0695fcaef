"""A tiny policy and random samples in groups."""

import random
from collections.abc import Callable

import pytest
from devices import DEVICE
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from ponder.policy import Policy, random_policy
from ponder.train import Sample

TINY = {
    "model_type": "qwen3",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}


@pytest.fixture
def make_policy() -> Callable[[], Policy]:
    words = ["<pad>", "<eos>", *(f"w{i}" for i in range(58))]
    model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), eos_token="<eos>", pad_token="<pad>")
    return lambda: random_policy(TINY, tokenizer, "r1-zero", seed=5, precision="fp32", device=DEVICE)


@pytest.fixture
def policy(make_policy: Callable[[], Policy]) -> Policy:
    return make_policy()


def random_samples(groups: int = 4, group_size: int = 4, seed: int = 0, longest: int = 20) -> list[Sample]:
    """Samples with mixed lengths, weights that sum to 1 over all tokens' sequences, advantages, log-probs."""
    random.seed(seed)
    samples = []
    for group in range(groups):
        prompt = tuple(random.randrange(2, 60) for _ in range(random.randint(1, 12)))
        for _ in range(group_size):
            response = tuple(random.randrange(2, 60) for _ in range(random.randint(1, longest)))
            samples.append(
                Sample(
                    prompt_ids=prompt,
                    response_ids=response,
                    group=f"g{group}",
                    weight=1 / (groups * group_size * len(response)),
                    advantage=random.uniform(-2, 2),
                    behaviour=tuple(random.uniform(-5, -3) for _ in response),
                    reference=tuple(random.uniform(-5, -3) for _ in response),
                )
            )
    return samples


@pytest.fixture
def samples() -> Callable[..., list[Sample]]:
    return random_samples
