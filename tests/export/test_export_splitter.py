"""Splitters are known by what they do: as model files have them, and one change away."""

from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from ponder.export.splitter import splitter_name
from ponder.files import EMBEDDED_BASE

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
DEEPSEEK = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
]
"""As their model files have them."""


def bytes_level(**changes: bool) -> Any:
    return pre_tokenizers.ByteLevel(**({"add_prefix_space": False, "use_regex": False} | changes))


def cut(*expressions: str, behavior: str = "isolated") -> Any:
    return pre_tokenizers.Sequence(
        [*(pre_tokenizers.Split(Regex(one), behavior) for one in expressions), bytes_level()]
    )


def tokenizer(splitter: Any, whole_words: bool = False, normalizer: Any = None) -> Tokenizer:
    made = Tokenizer(models.BPE(ignore_merges=whole_words))
    made.pre_tokenizer = splitter
    if normalizer is not None:
        made.normalizer = normalizer
    return made


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (tokenizer(cut(QWEN2), normalizer=normalizers.NFC()), "qwen2"),
        (tokenizer(cut(QWEN2)), "qwen2"),
        (tokenizer(cut(LLAMA3), whole_words=True), "llama-bpe"),
        (tokenizer(bytes_level(use_regex=True)), "gpt-2"),
        (tokenizer(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), bytes_level(use_regex=True)])), "smollm"),
        (tokenizer(cut(*DEEPSEEK)), "deepseek-v3"),
        # the same in other words
        (tokenizer(cut(QWEN2.replace(r"\s+(?!\S)|\s+", r"\s++(?!\S)|\s+(?!\S)|\s+"))), "qwen2"),
    ],
)
def test_known(made: Tokenizer, name: str) -> None:
    assert splitter_name(made) == name


@pytest.mark.parametrize(
    "made",
    [
        tokenizer(cut(LLAMA3)),  # llama.cpp would take whole words
        tokenizer(cut(QWEN2), whole_words=True),
        tokenizer(cut(QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,2}|"))),
        tokenizer(cut(QWEN2.replace("(?i:'s", "('s"))),
        tokenizer(cut(QWEN2.replace(r"[\r\n]*|", "|"))),
        tokenizer(cut(QWEN2.replace(r"\s+(?!\S)|", ""))),
        tokenizer(cut(QWEN2, r"[甲乙]")),
        tokenizer(cut(QWEN2), normalizer=normalizers.Lowercase()),
        tokenizer(cut(QWEN2), normalizer=normalizers.NFKC()),
        tokenizer(bytes_level(use_regex=True, add_prefix_space=True)),
        tokenizer(pre_tokenizers.Whitespace()),
        tokenizer(None),
        Tokenizer.from_file(str(EMBEDDED_BASE / "tokenizer.json")),
    ],
)
def test_unknown(made: Tokenizer) -> None:
    if made.pre_tokenizer is not None:
        made.pre_tokenizer.pre_tokenize_str("works")
    assert splitter_name(made) is None
