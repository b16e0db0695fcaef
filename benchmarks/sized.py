"""A model of a chosen size, of random weights, with a vocabulary of words: for measurements of memory."""

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from ponder.policy import Policy, random_policy

VOCABULARY = 8192


def sized_policy(width: int, layers: int) -> Policy:
    """Of the form of Qwen3, with 8 heads; window of 65,536 tokens."""
    words = {f"w{i}": i for i in range(VOCABULARY - 2)} | {"<pad>": VOCABULARY - 2, "<eos>": VOCABULARY - 1}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<pad>")), eos_token="<eos>", pad_token="<pad>"
    )
    shape = {
        "model_type": "qwen3",
        "hidden_size": width,
        "intermediate_size": 3 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": max(8, width // 8),
        "tie_word_embeddings": True,
        "max_position_embeddings": 65536,
    }
    return random_policy(shape, tokenizer, "r1-zero", seed=1, precision="fp32", device="cpu")
