"""JSON schemas as what may come next, token by token: the only place that knows llguidance.

    schema -> grammar (Lark, in which each schema stands as itself)    Vocabulary: what a model's tokens spell
    Matcher: one sample's state in a grammar, token by token

Grammars are made of what must be written word for word and of values that a schema describes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ponder.errors import DataError
from ponder.serve.schemas import plain

__all__ = ["Matcher", "Vocabulary", "alternatives", "check_schema", "compiled", "value", "vocabulary"]

_WHITESPACE = r"(\n {0,16}| )?"
"""Between tokens of JSON: as people and programs print it. Without a bound small models write blanks for ever."""
_LONGEST_TOLD = 200
_OPTIONS = {"whitespace_pattern": _WHITESPACE}
_OVERLAPS = "coerce_one_of"
"""In llguidance's words on a oneOf: an option of its own."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raises DataError, with the reason, for a schema that cannot be compiled."""
    from llguidance import LLMatcher

    try:
        grammar = LLMatcher.grammar_from_json_schema(plain(schema))
        wrong, told = LLMatcher.validate_grammar_with_warnings(grammar)
    except ValueError as error:  # integers of more than 64 bits, and what `plain` refuses
        wrong, told = True, [str(error)[:_LONGEST_TOLD]]
    if wrong:
        overlaps = "branches of a oneOf may overlap, as far as can be told: use anyOf in its place"
        reason = overlaps if _OVERLAPS in told[0] else told[0].strip()
        raise DataError(
            f"The JSON schema cannot be compiled: {reason}. Expected one without what is named there; "
            f"docs/serve.md says what is supported."
        )


def value(schema: Mapping[str, Any]) -> str:
    """The grammar of the JSON values that a schema describes."""
    return alternatives([("", schema, "")])


def alternatives(parts: Sequence[tuple[str, Mapping[str, Any], str]]) -> str:
    """The grammar of texts before, values of a schema, and texts behind, one of several such triples."""
    lines = ["%llguidance {}", "start: " + " | ".join(f"part_{i}" for i in range(len(parts)))]
    for i, (before, schema, behind) in enumerate(parts):
        words = [json.dumps(text) for text in (before, behind)]
        lines += [
            f"part_{i}: {words[0] if before else ''} value_{i} {words[1] if behind else ''}",
            f"value_{i}: %json {json.dumps({**plain(schema), 'x-guidance': _OPTIONS})}",
        ]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """What each token spells, b"" for those that say nothing, and llguidance's own form of it. One is equal to itself
    alone, so that it can be looked up at once."""

    spelled: tuple[bytes, ...]
    own: Any


@lru_cache(maxsize=2)
def vocabulary(tokenizer: PreTrainedTokenizerBase, silent: frozenset[int]) -> Vocabulary:
    """Of a tokenizer, `silent` tokens being no part of any text; seconds where there are hundreds of thousands. Raises
    DataError for one that cannot be read."""
    from llguidance.hf import from_tokenizer

    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise DataError(
            f"The model has a tokenizer of the slow kind ({type(tokenizer).__name__}), whose tokens cannot be read one "
            f"by one, so that neither JSON nor calls can be guided. Leave response_format and tool_choice out."
        )
    own = from_tokenizer(tokenizer)
    spelled = tuple(b"" if one in silent else own.decode_bytes([one]) for one in range(own.vocab_size))
    return Vocabulary(spelled, own)


@lru_cache(maxsize=8)
def compiled(known: Vocabulary, grammar: str) -> Any:
    """llguidance's matcher at the beginning, to be copied for each sample; DataError for a grammar that cannot be
    used."""
    from llguidance import LLMatcher

    matcher = LLMatcher(known.own, grammar)
    if reason := matcher.get_error():
        raise DataError(f"The JSON schema cannot be compiled: {reason.strip()}")
    return matcher


class Matcher:
    """A grammar at one place of one sample; DataError for a grammar that cannot be used."""

    def __init__(self, known: Vocabulary, grammar: str) -> None:
        self._matcher = compiled(known, grammar).deep_copy()

    @property
    def may_end(self) -> bool:
        """Whether what has been written is whole."""
        return bool(self._matcher.is_accepting())

    @property
    def ended(self) -> bool:
        """Whether nothing more can be written."""
        return bool(self._matcher.is_stopped())

    def allowed(self, size: int) -> npt.NDArray[np.bool_]:
        """Which of `size` tokens may come next, ends left out; none where it has met a limit."""
        allowed = np.zeros(size, np.bool_)
        if not self.ended:
            bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
            flags = np.unpackbits(bits, bitorder="little", count=min(size, len(bits) * 8))
            allowed[: len(flags)] = flags
        return allowed

    def take(self, token: int) -> None:
        """This token came."""
        self._matcher.consume_token(token)
