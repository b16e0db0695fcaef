"""Keywords in texts that are still being written, against looking through the whole text."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import DataError
from ponder.judge.keywords import Keywords, Rule, read_rules

RULES = [
    Rule(id="a", words=("aba", "b b", "ca")),
    Rule(id="b", words=("abab", "bomb")),
    Rule(id="zh", words=("炸弹",)),
]
WORDS = {word: rule.id for rule in RULES for word in rule.words}


def brute(text: str) -> set[str]:
    return {rule for word, rule in WORDS.items() if word in " ".join(text.split())}


@given(text=st.text("abc ", max_size=30).map(str.strip), cuts=st.sets(st.integers(0, 30), max_size=6))
def test_found_however_the_text_is_cut_and_nothing_of_a_word_is_settled(text: str, cuts: set[int]) -> None:
    watch = Keywords(RULES).watch()
    settled = ""
    places = sorted({cut for cut in cuts if cut < len(text)} | {0, len(text)})
    for start, stop in pairwise(places):
        settled += watch.feed(text[start:stop])
        assert not brute(settled), "a word has gone out"
    assert watch.found == brute(text) == set(Keywords(RULES).found(text))
    assert watch.matched == bool(watch.found)
    assert settled + watch.release() == text and not watch.matched
    if not watch.found:
        longest = max(len(word) for word in WORDS)
        assert len(text) - len(settled) < longest + text.count("  ") + 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A BOMB", {"b"}),
        ("bómb", {"b"}),
        ("ｂｏｍｂ", {"b"}),
        ("b\u200bo\u00admb", {"b"}),
        ("bo\u0301mb", {"b"}),
        ("bombastic", {"b"}),
        ("炸弹", {"zh"}),
        ("b \n\t b", {"a"}),
        ("b-omb", set()),
        ("", set()),
    ],
)
def test_what_counts_as_the_same(text: str, found: set[str]) -> None:
    assert set(Keywords(RULES).found(text)) == found


def test_after_release_the_same_rule_holds_nothing_up() -> None:
    watch = Keywords(RULES).watch()
    assert watch.feed("xx bomb yy") == "xx " and watch.matched
    assert watch.release() == "bomb yy"
    assert watch.feed(" bomb zz") == " bomb zz" and not watch.matched and watch.found == {"b"}
    watch.feed("炸弹")
    assert watch.matched


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "wrong at the top"),
        ("[]", "one at least"),
        ("- {id: a}", "words"),
        ("- {id: a, words: []}", "words"),
        ("- {id: 'a b', words: [x]}", "id"),
        ("- {id: a, words: [x]}\n- {id: a, words: [y]}", "ids that differ"),
        ("- {id: a, words: ['\u200b']}", "without letters"),
        ("- {id: a, words: [bomb], examples: [a bom]}", "does not select its example"),
        ("- {id: a, words: [x], action: y}", "action"),
        ("- {id: a, word: [x]}", "at 0.word: a rule has no 'word', but id, words, examples"),
        ("- [", "cannot be read"),
        ("- {id: a, words: [2020-01-01]}", "no text"),
    ],
)
def test_rules_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_rules(str(file))
    with pytest.raises(DataError, match="cannot be read"):
        read_rules(str(tmp_path / "none.yaml"))
