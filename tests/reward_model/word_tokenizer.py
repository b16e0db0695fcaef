"""A tokenizer of sixty words, without a file."""

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


def words(pad_is_end: bool = False) -> PreTrainedTokenizerFast:
    vocabulary = ["<pad>", "<eos>", "<think>", "</think>", *(f"w{i}" for i in range(56))]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="w0"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="<eos>", pad_token="<eos>" if pad_is_end else "<pad>"
    )
