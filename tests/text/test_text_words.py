"""Language share and reflection words by tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.text.language import language_share
from ponder.text.reflection import REFLECTION_WORDS, count_reflection


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        ("", 0, 0),
        ("12 + 34 = 46, x = y, f(x)", 0, 0),
        ("the answer is five", 4, 0),
        ("答案是五", 0, 4),
        ("the answer 是五", 2, 2),
        ("we know 我们有x个apple吧", 3, 5),
        ("don't stop, it’s fine", 4, 0),
        ("I have a cat", 2, 0),  # single letters are left out
        ("so $\\frac{1}{2} apples$ remain", 2, 0),
        ("so $$\nmany words\n$$ remain", 2, 0),
        ("so \\(many words\\) and \\[more\nwords\\] remain", 3, 0),
        ("so \\begin{align} many \\begin{array} x words \\end{array} words \\end{align} remain", 2, 0),
        ("so \\boxed{\\text{many words}} remain \\sqrt{two}", 2, 0),
        ("it costs $5 and then $6 more", 5, 0),
        ("look ```python\nfor word in words: pass\n``` done", 2, 0),
        ("look ```python\nfor word in words", 1, 0),
        ("use `some code` here", 2, 0),
        ("<think> so <answer> it is </answer>", 3, 0),
        ("if a < b and c > d", 2, 0),
        ("see https://example.org/some/page now", 2, 0),
        ("看https://example.org/页now", 1 + 0, 2),
        ("x1 3rd some_name 5cm real", 1, 0),
        ("sin of x, max of y", 2, 0),
        ("ＡＮＤ ｓｏ", 2, 0),
        ("café Straße", 2, 0),
    ],
)
def test_words_are_counted_by_script(text: str, english: int, chinese: int) -> None:
    total = english + chinese
    assert language_share(text, "en") == (english / total if total else None)
    assert language_share(text, "zh") == (chinese / total if total else None)


def test_other_scripts_belong_to_neither() -> None:
    assert language_share("the ответ 是", "en") == pytest.approx(1 / 3)
    assert language_share("ответ", "en") == 0.0
    assert language_share("これは words", "en") == 0.5


@given(st.text(alphabet="ab $`\\[](){}begin<think>/的等1_.\n", max_size=80))
def test_share_is_a_share(text: str) -> None:
    english, chinese = language_share(text, "en"), language_share(text, "zh")
    if english is None or chinese is None:
        assert english is None and chinese is None
    else:
        assert english + chinese == pytest.approx(1.0)


@pytest.mark.parametrize(
    "unit", ["$", "$a ", "```a`", "\\[", "\\(a", "\\begin{a}", "<a", "\\a{", "$$a", "a'", "`", "等等"]
)
def test_long_texts_take_no_time(unit: str) -> None:
    language_share(unit * 50_000, "en")
    count_reflection(unit * 50_000)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("Wait, that is a MISTAKE. However, but retry: error. Verify, wrong; evaluate -- check!", 10),
        ("waiting, butter, mistaken, checked, errors, wrongly, await, error_code, check2", 0),
        ("但是wait一下", 2),
        ("re-check (wait)", 2),
        ("等等，我算错了。不对，重新检查一下，再试一次，验证。", 7),
        ("等等，有错误。", 2),
        ("但是等等，有错误。", 3),
        ("苹果、梨等等。", 0),
        ("1,2,3等等", 0),
        ("没错，不错，对不对，不但，只不过", 0),
        ("不过，然而", 2),
        ("这里错了", 1),
    ],
)
def test_reflection_words(text: str, count: int) -> None:
    assert count_reflection(text) == count


@pytest.mark.parametrize("word", [word for words in REFLECTION_WORDS.values() for word in words])
def test_every_word_counts_once(word: str) -> None:
    assert count_reflection(word) == 1
    assert count_reflection(f"so. {word} ok") == 1
