"""The tokenizer of the embedded world: byte-level BPE in which every number from 0 to 999 is one token.

Numbers as single tokens make sums learnable by a small model and halve the length of a thought. Text outside the
world falls back to bytes, so anything can be encoded.
"""

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ponder.micro.corpus import END
from ponder.micro.ordering import PEOPLE

__all__ = ["PAD", "train_tokenizer"]

PAD = "<|pad|>"
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_PIECES = rf"\d{{1,3}}| ?[a-zA-Z]+|[{PEOPLE}]|[\p{{Han}}&&[^{PEOPLE}]]+|\s+| ?[^\s\w]|."
"""Numbers of up to three digits, words with their space, people, runs of Chinese, white space, single signs."""
_LARGEST_NUMBER = 999


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab_size` tokens, learnt from `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - _LARGEST_NUMBER - 1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[PAD, END],
        show_progress=False,
    )
    tags = [AddedToken(tag, normalized=False, special=False) for tag in _TAGS]
    tokenizer.add_tokens(tags)
    tokenizer.train_from_iterator((_without_numbers(text) for text in texts), trainer)
    spec = json.loads(tokenizer.to_str())
    vocabulary = spec["model"]["vocab"]
    for number in range(_LARGEST_NUMBER + 1):
        vocabulary.setdefault(str(number), len(vocabulary))
    spec["model"]["ignore_merges"] = True  # a piece that is a token stays whole, whatever the merges say
    spec["added_tokens"] = [token for token in spec["added_tokens"] if token["special"]]
    rebuilt = Tokenizer.from_str(json.dumps(spec))
    rebuilt.add_tokens(tags)
    fast: Any = PreTrainedTokenizerFast
    tokenizer_fast: PreTrainedTokenizerFast = fast(tokenizer_object=rebuilt, eos_token=END, pad_token=PAD)
    return tokenizer_fast


def _without_numbers(text: str) -> str:
    """Numbers are tokens already; merges are not spent on them, nor on tags."""
    for tag in _TAGS:
        text = text.replace(tag, " ")
    return "".join(" " if char.isdigit() else char for char in text)
