"""A tokenizer as llama.cpp reads one: tokens by id with their types, merges or scores, and the splitter's name.

Two forms are known. `gpt2` merges the bytes of the pieces that a splitter cuts (Qwen, Llama 3, DeepSeek). `llama`
merges the characters of a whole text, with `\u2581` for blanks and bytes for what it has no token for (Gemma, Llama 2).
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ponder.errors import ModelError
from ponder.export.splitter import hard_texts, splitter_name

__all__ = ["Vocabulary", "read_vocabulary"]

_BLANK = "\u2581"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_WAY_OUT = (
    "A GGUF file of it would be tokenised wrongly without a word. Export the folder with --to, which is always right, "
    "or give --ids-only for a file that is fed with token ids"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """`form` is `gpt2`, `llama` or `none`; `splitter` None where texts are not to be tokenised by this file. `kinds`
    are the types of llama.cpp, one per token."""

    form: str
    splitter: str | None
    tokens: Sequence[str]
    kinds: Sequence[int]
    merges: Sequence[str]
    scores: Sequence[float]


def read_vocabulary(tokenizer: Any, rows: int, *, ids_only: bool) -> Vocabulary:
    """Of a tokenizer of transformers, for a model with embeddings of `rows` tokens. ModelError where llama.cpp would
    split texts otherwise, unless it is for ids only."""
    backend = tokenizer.backend_tokenizer
    model = json.loads(backend.to_str())["model"]
    why = _unlike(backend, model)
    form = "none" if model["type"] != "BPE" else "llama" if model["byte_fallback"] else "gpt2"
    splitter = splitter_name(backend) if why is None and form == "gpt2" else None
    if why is None and form == "gpt2" and splitter is None:
        why = "its way to split text before merging is none that llama.cpp knows"
    if why is None and form == "llama":
        why = _unlike_pieces(backend, model)
    if why is not None and not ids_only:
        raise ModelError(f"The tokenizer of this model cannot be written for llama.cpp: {why}. {_WAY_OUT}.")
    tokens, kinds = _tokens(tokenizer, model, rows)
    return Vocabulary(
        form=form,
        splitter=None if ids_only else splitter,
        tokens=tokens,
        kinds=kinds,
        merges=[" ".join(pair) for pair in _pairs(model)] if form == "gpt2" else [],
        scores=_scores(model, tokens) if form == "llama" else [],
    )


def _unlike(backend: Any, model: Any) -> str | None:
    """How a tokenizer is unlike all of llama.cpp's, whatever its splitter."""
    if model["type"] != "BPE":
        return f"it is of type {model['type']}, and only BPE is known here"
    odd = [key for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix") if model[key]]
    if odd:
        return f"it merges with {odd[0]}, which llama.cpp does not"
    for token in backend.get_added_tokens_decoder().values():
        if token.single_word or token.lstrip or token.rstrip:
            return f"its token {token.content!r} takes blanks or word ends beside it"
    return None


def _unlike_pieces(backend: Any, model: Any) -> str | None:
    """How a tokenizer of whole texts is unlike llama.cpp's, which finds a token by one score, however it is merged."""
    normalizer, splitter = backend.normalizer, backend.pre_tokenizer
    for text in hard_texts():
        normal = normalizer.normalize_str(text) if normalizer is not None else text
        if normal != text.replace(" ", _BLANK):
            return f"it makes {normal!r} of {text!r} before merging, and llama.cpp puts {_BLANK!r} for blanks only"
        if splitter is not None and len(splitter.pre_tokenize_str(normal)) != 1:
            return f"it splits {text!r} before merging"
    last = ""
    seen = set()
    for left, right in _pairs(model):
        if (merged := left + right) != last and merged in seen:
            return f"its merges into {merged!r} do not stand together, so no score orders them"
        seen.add(merged)
        last = merged
    return None


def _tokens(tokenizer: Any, model: Any, rows: int) -> tuple[list[str], list[int]]:
    from gguf import TokenType

    special = tokenizer.backend_tokenizer.get_added_tokens_decoder()
    named = {id: token for token, id in tokenizer.get_vocab().items()}
    tokens, kinds = [], []
    for id in range(rows):
        if id in special:
            tokens.append(special[id].content)
            kinds.append(TokenType.CONTROL if special[id].special else TokenType.USER_DEFINED)
        elif id in named:
            tokens.append(named[id])
            kinds.append(
                TokenType.BYTE if model.get("byte_fallback") and _BYTE.fullmatch(named[id]) else TokenType.NORMAL
            )
        else:
            tokens.append(f"[PAD{id}]")
            kinds.append(TokenType.UNUSED)
    return tokens, [int(kind) for kind in kinds]


def _scores(model: Any, tokens: Sequence[str]) -> list[float]:
    """The earlier a token is merged, the higher; what nothing merges into is never compared."""
    order = {token: -float(rank) for rank, token in enumerate(dict.fromkeys(a + b for a, b in _pairs(model)))}
    least = -float(len(order))
    return [order.get(token, least) for token in tokens]


def _pairs(model: Any) -> list[tuple[str, str]]:
    """Older files write a pair as one text."""
    pairs = (one.split(" ", 1) if isinstance(one, str) else one for one in model["merges"])
    return [(left, right) for left, right in pairs]
