"""Streams of tokens as thinking and answer: what is shown, put together, is what the template makes of the whole."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from ponder.serve.speech import Piece, Speech
from ponder.text import TEMPLATES
from ponder.text.think import Response

_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
_TAGS = ["<think>", "</think>", "<answer>", "</answer>"]
_WORDS = [*_BYTES, *_TAGS, "<|end|>"]
END = len(_WORDS) - 1


def _tokenizer() -> Tokenizer:
    """Every byte is a token, and each tag is one too."""
    plain = Tokenizer(models.BPE({word: i for i, word in enumerate(_WORDS)}, []))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    plain.decoder = decoders.ByteLevel()
    plain.add_tokens([*_TAGS, "<|end|>"])
    return plain


TOKENIZER = _tokenizer()


def decode(ids: Sequence[int]) -> str:
    return TOKENIZER.decode(list(ids), skip_special_tokens=False)


def spell(text: str, whole_tags: bool = True) -> list[int]:
    if whole_tags:
        return TOKENIZER.encode(text).ids
    alphabet = {one: i for i, one in enumerate(_BYTES)}
    plain = Tokenizer(models.BPE(alphabet, []))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return plain.encode(text).ids


def speak(
    ids: Sequence[int], template: str = "r1", stops: Sequence[str] = (), cuts: Sequence[int] = (), finished: bool = True
) -> tuple[list[Piece], Response, Speech]:
    speech = Speech(TEMPLATES[template], decode, frozenset({END}), stops)
    pieces: list[Piece] = []
    places = sorted({0, len(ids), *(cut % (len(ids) + 1) for cut in cuts)})
    for start, stop in itertools.pairwise(places):
        pieces += speech.feed(ids[start:stop])
    last, response = speech.close(finished=finished)
    return pieces + last, response, speech


def texts(pieces: Sequence[Piece]) -> tuple[str, str]:
    return tuple("".join(p.text for p in pieces if p.kind == kind) for kind in ("thinking", "answer"))  # type: ignore[return-value]


WORDS = st.lists(
    st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", " ", "\n", "世界", "5", "a<b", "<th", "é", "🙂"]),
    max_size=25,
)


@settings(max_examples=400, deadline=None)
@given(WORDS, st.lists(st.integers(0, 400)), st.booleans(), st.booleans(), st.sampled_from(["r1", "r1-zero"]))
def test_what_is_shown_is_what_was_said(
    words: list[str], cuts: list[int], whole_tags: bool, finished: bool, template: str
) -> None:
    text = "".join(words)
    pieces, response, _ = speak([*spell(text, whole_tags), END], template, (), cuts, finished)
    parser = TEMPLATES[template].parser(strict=False)
    parser.feed(text)
    assert response == parser.close(finished=finished)
    _, *rest = re.split("</think>|<answer>", text, maxsplit=1)
    if not any(tag in "".join(rest) for tag in _TAGS[:2]):
        expected = TEMPLATES[template].split(text, finished=finished)
        assert response == replace(expected, copied=()), "what only repeats the template's words is a matter of rewards"
    thinking, answer = texts(pieces)
    assert thinking == (response.thinking or "")
    if response.answer is not None:
        assert response.answer in answer
    if response.well_formed:
        assert answer == response.answer
    if template == "r1-zero":
        assert not any(tag in answer for tag in _TAGS[2:]), "none of the answer's own tags is ever shown"
    assert "\ufffd" not in thinking + answer


def test_tags_that_an_answer_mentions_are_shown() -> None:
    said = "It thinks between <think> and </think>, and then answers."
    assert texts(speak(spell(f"Tags.</think>{said}"))[0]) == ("Tags.", said)
    assert texts(speak(spell(said), "plain")[0]) == ("", said)


def test_a_character_of_several_tokens_comes_whole() -> None:
    speech = Speech(TEMPLATES["r1"], decode, frozenset({END}))
    shown = [speech.feed([one]) for one in spell("世界")]
    assert shown == [[], [], [Piece(kind="thinking", text="世")], [], [], [Piece(kind="thinking", text="界")]]


def test_half_a_character_at_the_end_is_shown_as_the_decoder_has_it() -> None:
    ids = spell("x</think>5世")[:-1]
    pieces, response, _ = speak(ids)
    assert texts(pieces) == ("x", decode(spell("5世")[:-1])) and response.answer == texts(pieces)[1]


@settings(max_examples=400, deadline=None)
@given(
    st.text("ab\n", max_size=12),
    st.text("ab\n世", max_size=20),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(0, 400)),
)
def test_stop_strings_count_in_the_answer_alone(thought: str, answer: str, stops: list[str], cuts: list[int]) -> None:
    pieces, response, speech = speak(spell(f"{thought}</think>{answer}"), "r1", stops, cuts)
    said = answer.strip()
    ends = [(said.index(stop) + len(stop), said.index(stop), stop) for stop in stops if stop in said]
    assert texts(pieces)[0] == thought.strip()
    if ends:
        _, start, stop = min(ends)
        assert texts(pieces)[1] == said[:start] and speech.stop == stop
        assert response.answer == (said[:start].strip() or None)
    else:
        assert texts(pieces)[1] == said and speech.stop is None


def test_nothing_comes_after_a_stop_string() -> None:
    speech = Speech(TEMPLATES["r1"], decode, frozenset({END}), ["Q:"])
    speech.feed(spell("</think>5 Q: 6"))
    assert speech.stop == "Q:" and speech.feed(spell("7")) == [] and speech.close(finished=True)[0] == []


def test_a_model_that_never_thinks_is_shown_before_its_end() -> None:
    text = "The sum of two and three is five, as anybody can see who counts the fingers of one hand."
    speech = Speech(TEMPLATES["r1-zero"], decode, frozenset({END}))
    early = texts(speech.feed(spell(text)))[1]
    late = texts(speech.close(finished=True)[0])[1]
    assert len(early) > 60 and early + late == text


@pytest.mark.parametrize(
    ("template", "text", "tokens"), [("r1", "abc</think>5", 4), ("r1-zero", "<think>abc</think>5", 4)]
)
def test_tokens_of_thinking(template: str, text: str, tokens: int) -> None:
    *_, speech = speak(spell(text), template)
    assert speech.thinking_tokens == tokens  # the closing tag is one of them, the opening one is not
