"""Multiple choice: one letter A to J, however it is written.

Text and a ChoiceGold in, Verdict out. Read as a letter ("B", "(B)", "B. 60", "ANSWER: B", "选 B"), or as the text of
exactly one option. Two different letters are no answer.
"""

import re
import unicodedata

from ponder.records import ChoiceGold, Verdict
from ponder.verify.answer import Found, find_answers

__all__ = ["check_choice", "same_choice", "verify_choice"]

_SHORT = 40
_REFUSED_PHRASE = re.compile(
    r"\b(?:wrong|incorrect|second[- ]best|worst|other|previous|opposite|not the|bad|false)[ *]+"
    r"(?:\w+ +){0,2}?(?:answer|option|choice)\W+"
    r"(?:is|was)?[\s:*(]*$",
    re.IGNORECASE,
)
_LETTERS = "ABCDEFGHIJ"
_ALONE = re.compile(r"[\s(\[{<*_$.'\"`]*([A-Ja-j])[\s)\]}>*_$.'\"`。,:]*")
_MARKED = re.compile(r"^(?:(?:option|choice) )?[\s(\[{*_$]*([A-J])(?:[)\].:、]|\s*[*_]{2})\s*(.*)$", re.DOTALL)
_RESTATED = re.compile(
    r"^[\s(\[{*_$]*([A-J])[)\]}*_$]*(?: [-–—] |,? (?:i\.e\.|that is|namely),? | (?=\([^()]*\)\W*$))(.+)$"
)
"""A letter with its text behind a dash, in brackets, or as what it stands for."""
_AND_LETTERS = r"[A-J](?:(?:,|,? (?:and|or|nor)) [A-J])*\b"
_NAMES = re.compile(
    rf"^(?:Both|Neither|Either|Only|All of|None of) (?:(?:options?|statements?) )?{_AND_LETTERS}(?: only| alone)?"
    r"|\b(?:Plan|Vitamin|Type|Group|Class|Team|Figure|Graph|Point|Line|Company|Person|Hepatitis|Country|Method|Section"
    r"|Block|Model|Sample|Set|Part) [A-J]\b"
    r"|\b(?:I{1,3}|IV|VI{0,3})\b(?:(?:,|,? (?:and|or)) (?:I{1,3}|IV|VI{0,3})\b)+"
)
"""Letters in the text of an option that pick nothing: "Both A and C", "Plan B", "I and II"."""
_PICKED = re.compile(r"(?:选择?|选项|(?i:\b(?:option|choice|choose|is)\b))[\s:(*]*([A-J])(?![A-Za-z'])(?!\s+[a-z])")
_CALLED = re.compile(r"(?:^|,\s)\W*([A-J])\W+(?:is|was)\s+(?:correct|right|true|the)\b")
# "A" and "I" before a word in small letters are words themselves.
_WORD = re.compile(r"(?<![A-Za-z'])([B-HJ]|[AI](?!\s+(?!or\b|and\b|nor\b|is\b)[a-z]))(?![A-Za-z'])")


# What may stand around one letter in a short answer: "I think it is B", "B it is".
_AROUND_WORDS = (
    "answer option choice letter is it s i ll think believe choose pick go with select selected the correct right "
    "best my "
    "final would be should must definitely so therefore thus hence going for"
)
_AROUND = frozenset(_AROUND_WORDS.split())
_AROUND_CHINESE = re.compile(r"[选项择答案是为应故因此所以正确本题我最终的该了]*")
_DOUBTS = re.compile(
    r"\b(?:not|neither|nor|never|no|except|if|unless|wrong|incorrect|false|maybe|perhaps|without|cannot|opposite)\b"
    r"|n't\b|\b(?:students|people|others|everyone|someone|somebody)\s+(?:\w+\s+)?(?:choose|pick|select|answer|think|say)"
    "|不|错|非|除|没|如果|可能"
)
_TERM = re.compile(r"[\s$*(]*[A-J](?:\([a-z]|'\.?\s*$|\.[A-Z])")
"""D(x), B', B.Sc."""
_OPTION = re.compile(r"[\s(\[{*_$-]*[A-Ja-j]\s*[)\].:、]")
_NEXT_SENTENCE = re.compile(r"(?<=[A-Za-z)*\d][.!])\s+(?=[A-Z(\"“])|\n")
_INSTEAD = re.compile(
    r",?\s+(?:and |but )?(?:not|rather than|instead of)\s+(?:option\s+)?[(*]*[A-J]\b[)*]*", re.IGNORECASE
)
_FOREIGN = re.compile(r"(?<![A-Za-z'])[K-Z](?![A-Za-z'])")
_REASON = re.compile(r"\s*[,(]?\s*\b(?:because|since|as|which)\s|[，,(]?\s*因为")
_CALLED_OPTION = re.compile("option|choice")
_OF_IT = re.compile(r"^(?:it|this|that) ")
_VERB = re.compile(r"\s*(?:is|was|are|isn't|can|cannot|seems|不|是)")


def verify_choice(answer_text: str, gold: ChoiceGold) -> Verdict:
    """Right when the one letter picked is the gold's."""
    answers = list(find_answers(answer_text))
    found = answers[0]
    if found.text is None:
        return Verdict(outcome="wrong", reason=found.rule)
    letter, how = _said(found, gold)
    for other in answers[1:]:
        # A box may hold the value of the option instead; what is said of the letter then stands elsewhere.
        if letter is not None or found.rule != "boxed" or _WORD.search(found.text) or other.rule == "last line":
            break
        if other.text is not None:
            found, (letter, how) = other, _said(other, gold)
    if letter is None:
        return Verdict(outcome="wrong", reason=f"{found.rule}: {how}")
    expected = _gold_letter(gold)
    if letter == expected:
        return Verdict(outcome="right", reason=f"{found.rule}: {how}", answer=letter, score=1.0)
    return Verdict(outcome="wrong", reason=f"{found.rule}: {how}, expected {expected}", answer=letter)


def _said(found: Found, gold: ChoiceGold) -> tuple[str | None, str]:
    """The letter of an answer, or None and why there is none."""
    assert found.text is not None
    if found.rule == "answer phrase" and _REFUSED_PHRASE.search(found.before[-80:]):
        return None, "no answer: it says which answer is not the right one"
    lines = found.before.splitlines()
    if found.rule == "last line" and _OPTION.match(found.text) and lines and _OPTION.match(lines[-1]):
        return None, "no answer: the last line of a list of options"
    text = found.text
    if found.rule in ("answer phrase", "last line", "whole text"):
        first = _NEXT_SENTENCE.split(text, maxsplit=1)
        text = first[0] if len(first) > 1 and _letter(first[0], gold)[0] is not None else text
    return _letter(text, gold)


def check_choice(gold: ChoiceGold) -> str | None:
    """Why this gold is unusable, or None."""
    letter = _gold_letter(gold)
    if letter is None:
        return f"the choice gold {gold.answer!r} is not one letter from A to J"
    if gold.options and _LETTERS.index(letter) >= len(gold.options):
        return f"the choice gold {gold.answer!r} lies outside the {len(gold.options)} options"
    return None


def same_choice(a: str, b: str, gold: ChoiceGold) -> bool:
    """Whether two answers pick the same letter."""
    letter = _letter(a, gold)[0]
    return letter is not None and letter == _letter(b, gold)[0]


def _gold_letter(gold: ChoiceGold) -> str | None:
    match = _ALONE.fullmatch(_plain(gold.answer))
    return match.group(1).upper() if match else None


def _letter(text: str, gold: ChoiceGold) -> tuple[str | None, str]:
    """The letter that `text` picks and how it was read, or None and why not."""
    text = _plain(text)
    if _TERM.match(text):
        return None, "no answer: a letter in a term"
    alone = _ALONE.fullmatch(text)
    if alone:
        return alone.group(1).upper(), f"the letter {alone.group(1).upper()}"
    option = _option(text, gold)
    if option is not None:
        return option, f"the text of option {option}"
    letters = set(_WORD.findall(text))
    marked = _MARKED.match(text)
    said, called = marked.group(2) if marked else "", _CALLED_OPTION.match(text)
    said = _OF_IT.sub("", said) if called else said  # "option B: it is wrong", but an option may begin with "It is not"
    if marked and _DOUBTS.search(said) and (_VERB.match(said) or (called and _DOUBTS.match(said))):
        return None, f"no answer: it says what {marked.group(1)} is not"
    if marked:
        rest = _option(marked.group(2), gold)
        if rest is not None and rest != marked.group(1):
            return None, f"no answer: the letter {marked.group(1)} with the text of option {rest}"
        named = _NAMES.sub("", marked.group(2))
        in_names = named != marked.group(2) and not _WORD.search(named) and not _DOUBTS.search(named.lower())
        if rest == marked.group(1) or letters == {marked.group(1)} or in_names:
            return marked.group(1), f"the letter {marked.group(1)} with its text"
    restated = _RESTATED.match(text)
    if restated and letters == {restated[1]} and not _DOUBTS.search(restated[2].lower()):
        rest = _option(restated[2].strip("() "), gold)
        if rest in (None, restated[1]):
            return restated[1], f"the letter {restated[1]} with its text"
    text = _REASON.split(text, maxsplit=1)[0]
    contrast = _INSTEAD.search(text)
    if contrast:  # "C, not B"
        said, rest = text[: contrast.start()], text[contrast.end() :]
        text = said if _WORD.search(said) and not _WORD.search(rest) and not _DOUBTS.search(said) else text
    if _FOREIGN.search(text):
        return None, "no answer: letters that are no options"
    if _DOUBTS.search(text):
        return None, "no answer: it says what is not, or may be"
    letters = set(_WORD.findall(text))
    # A letter by itself in a longer sentence may be any word: "vitamin B".
    picked = set(_PICKED.findall(text) + _CALLED.findall(text)) or (letters if _is_bare(text) else set())
    if len(picked) == 1 and letters <= picked:
        letter = picked.pop()
        return letter, f"the letter {letter}"
    if len(letters) > 1:
        return None, f"no answer: several letters, {', '.join(sorted(letters))}"
    return None, "no answer: no letter"


def _is_bare(text: str) -> bool:
    """Whether a short text says nothing beside a letter."""
    words = [word.casefold() for word in re.findall(r"[A-Za-z]{2,}|(?<=')s|\bI(?=\s)", text)]
    chinese = "".join(re.findall(r"[\u3400-\u9fff]", text))
    others = re.search(r"[^\sA-Za-z\u3400-\u9fff.,:;!'\"()\[\]{}*_$。，：；！（）]", text)
    return (
        len(text) <= _SHORT
        and others is None
        and _AROUND.issuperset(words)
        and bool(_AROUND_CHINESE.fullmatch(chinese))
    )


def _option(text: str, gold: ChoiceGold) -> str | None:
    """The letter of the one option whose text this is."""
    wanted = _key(text)
    hits = [letter for letter, option in zip(_LETTERS, gold.options, strict=False) if _key(option) == wanted]
    return hits[0] if wanted and len(hits) == 1 else None


def _key(text: str) -> str:
    return re.sub(r"[\s$.。]+", " ", _plain(text)).strip().casefold()


def _plain(text: str) -> str:
    text = re.sub(r"\\[()\[\]]", "", unicodedata.normalize("NFKC", text))
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", r"\1", text)
    return " ".join(text.split())  # patterns that begin with blanks try each of a run
