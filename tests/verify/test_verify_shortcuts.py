"""What is looked at first, so that a slower look can be left out, never changes what the slower look would find."""

import itertools
import json
import re
from pathlib import Path

import pytest

from ponder.maths import reader
from ponder.maths.opening import stopping_word
from ponder.maths.tree import Unreadable
from ponder.verify import answer, doubts, mentions, numerals, prose

CASES = Path(__file__).parent / "cases"
ROWS = [
    json.loads(line)
    for name in ("prose", "choices")
    for line in (CASES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
]
TEXTS = sorted(
    {piece.strip() for row in ROWS for text in [row["text"]] for piece in (text, *re.split(r"\n|\. ", text))}
)
LOOKS = {
    "doubts._BEFORE": (doubts._BEFORE, doubts._ENDS_BEFORE, ""),
    "doubts._CUT_OFF": (doubts._CUT_OFF, doubts._ENDS_CUT_OFF, "$ "),
    "prose._CUE": (prose._CUE, prose._ENDS_CUE, "* "),
    "prose._ADJUNCT": (prose._ADJUNCT, prose._ENDS_ADJUNCT, "* "),
    "prose._GIVEN": (prose._GIVEN, prose._ENDS_GIVEN, ""),
    "mentions._DENIED": (mentions._DENIED, mentions._DENIALS, ""),
    "mentions._NEGATIVE": (mentions._NEGATIVE, mentions._NEGATIVES, ""),
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_a_pattern_finds_at_the_end_ends_in_one_of_its_words(name: str) -> None:
    pattern, ends, stripped = LOOKS[name]
    words = sorted(
        {*re.findall(r"[a-zà-ÿ]+|[\u3400-\u9fff]+|[,:：=×÷+*^(-]", pattern.pattern), "who", "x", "wasn't", "don’t"}
    )
    found = 0
    for said in itertools.chain(itertools.product(words), itertools.product(words, words)):
        text = f"there {' '.join(said)} "
        for tail in (text, text.replace(", ", ","), text.rstrip()):
            if pattern.search(tail) and (pattern is not doubts._BEFORE or tail.isascii()):  # its Chinese is looked for
                found += 1
                assert doubts.may_end(tail.rstrip(stripped) if stripped else tail, ends), tail
    assert found > 3


def test_a_sentence_that_is_not_read_would_stop_at_the_same_word(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = {text: word for text in TEXTS if (word := stopping_word(text)) is not None}
    assert len(stopped) > 200
    monkeypatch.setattr(reader, "stopping_word", lambda text: None)
    for text, word in stopped.items():
        with pytest.raises(Unreadable, match=f"^{word!r} stands where a value should$"):
            reader.read.__wrapped__(text)


@pytest.mark.parametrize(
    "text",
    ["No solution.", "Seven", "The answer is 5", "Half", "Total cost = 5", "All real numbers", "Negative 5", "It is 5"],
)
def test_answers_that_begin_with_a_word_are_read(text: str) -> None:
    word = stopping_word(text)
    assert word is None or word == "It"


def test_phrases_are_found_from_the_end_as_from_the_beginning() -> None:
    several = 0
    for text in ("\n".join(three) for three in zip(TEXTS, TEXTS[1:], TEXTS[2:], strict=False)):
        forwards = [match.span() for match in answer._PHRASE.finditer(text)]
        assert [match.span() for match in answer._from_the_end(text, 0)] == forwards[::-1]
        several += len(forwards) > 1
    assert several > 20


def test_every_numeral_holds_one_of_the_parts() -> None:
    words = [*sorted(set(re.findall(r"[a-z]{2,}", numerals._FIRST))), "a hundred", "a million"]
    for word in words:
        if numerals._NUMERAL.fullmatch(word):
            assert any(part in word for part in numerals._IN_EACH), word
