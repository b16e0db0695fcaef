"""Mathematical answers: text and a MathGold in, Verdict out.

The answer is found (`answer`), in a sentence told from what else stands there (`prose`), read (`maths.reader`) and
compared (`maths.equality`); whole numbers, decimals and equal spellings take a short way. An answer that cannot be read
equals nothing: the verdict is "cannot tell" and says where the reading stopped. Plain text golds ("Evelyn", "east") are
compared as words. `MathGold.strictness` says what becomes of an answer in doubt.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import islice

from ponder.maths.equality import equal, nearly_equal
from ponder.maths.finished import is_finished
from ponder.maths.notation import clean, text_key
from ponder.maths.opening import stopping_word
from ponder.maths.reader import MAX_READ_CHARS, integers_of, read, read_measure
from ponder.maths.samevalue import is_constant
from ponder.maths.tree import Apply, Measure, TooLarge, Unreadable, contains, free_symbols
from ponder.maths.units import read_unit
from ponder.maths.values import Undefined, exact, numeric
from ponder.records import ChoiceGold, MathGold, Verdict
from ponder.verify.answer import MAX_ANSWER_CHARS, Found, find_answer
from ponder.verify.choice import same_choice
from ponder.verify.placeholder import is_placeholder
from ponder.verify.prose import first_sentence, is_one_of_two, sentences, stated

__all__ = ["check_math", "same_math", "verify_math"]

_PLAIN = re.compile(r"\s*\$?\s*([-+]?)([1-9]\d{0,2}(?:,\d{3})+|\d{1,60})(\.\d{1,60})?\s*\$?\.?\s*")
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_SHORT = 30
"""Characters up to which an answer is read whatever it holds."""
_MOST_OF_A_GOLD = 300
"""A longer gold is a whole solution."""
_PROSE_WORDS = 7
"""A longer text with more words than this is a sentence: what it states is read, not the whole."""
_PLAIN_WORDS = 6
"""The same without a sign of equality or a label."""
_PROSE = re.compile(r"(?<![\\A-Za-z])(?!(?:sqrt|frac|sin|cos|tan|log|ln|pi)\b)[A-Za-z]{2,}|[\u3400-\u9fff]")
_WORD_FIRST = re.compile(r"[A-Z][a-z]+[ ,]")
_GROUP = re.compile(r"\\[A-Za-z]+\s*\{[^{}]*\}")
_WRAPPED = re.compile(r"\s*[\"'“‘`]([^\"'“”‘’`]+)[\"'”’`]\.?\s*")
_CLAUSE = re.compile(
    r"[.。!！?？](?:\s|$)|[;；]|,?\s*\b(?:so|thus|hence|therefore)[\s,]|[，,]\s*所以"
    r"|,?\s*\b(?:or|and|but)\s+(?=(?:it|this|that|the answer)\b)"
)
_REASON = re.compile(r"(?:,|\s\()?\s*\b(?:because|since|as|which|where|when)\s|[，,（(]\s*(?:因为|其中)")
_OF_THE_ANSWER = re.compile(r"\b(?:it|this|that|answer|result)\b|\*\*|答案|它|这", re.IGNORECASE)
"""What a clause is of that states the answer, rather than a step towards it."""
_UNIT_LETTER = re.compile(r"(?<=\d)\s*(?:m|g|s|h|L|l)(?:[²³]|\^[23])?(?![A-Za-z])")
_LETTER = re.compile(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])")
_OPTION = re.compile(r"\s*(?:\\text(?:bf)?\s*\{\s*)?\(?[A-J]\)[:.]?\s*\}?[\s\\]*(\S.*)")
"""The letter of an option before its value."""
_IS = re.compile(r"(?:\b(?:is|are|be|equals|was)|\b(?:[Ii]t|[Tt]hat)['’]s)\s*:?\s+|(?:是|为|等于)\s*[:：]?")
_MODULUS = re.compile(r"mod\s*\{?\s*(\w+)")
_DECIMAL_COMMA = re.compile(r"(-?\d+),(\d+)\s*([A-Za-z]+\.?)?")
_SPAN = re.compile(r"[\s$]*(\d{1,60})[-–]\$?(\d{1,60})[\s$]*")
_YES_OR_NO = re.compile(r"\W*(yes|no|true|false)\b[*\s]*[,.;:!—–-]", re.IGNORECASE)
_OPPOSITES = {"yes": "no", "no": "yes", "true": "false", "false": "true"}
_RESTATED = re.compile(r"([^()=]*?[^()=\s])\s+\((?:or |=\s*)?([^()=]+)\)\.?")
"""A value with its other spelling behind it: "3/4 (0.75)"."""
_NAME = re.compile(r"\s*[A-Za-z]\s*")
_OPEN_BOX = re.compile(r"\\boxed\s*\{((?:(?!boxed).){1,200})\Z")
"""A box that is cut off before it closes."""
_DOUBTFUL = re.compile(
    r"\b(?:could|might|may|cannot) be\b|\b(?:false|untrue|not true|wrong|incorrect) that\b|n['’]t true\b"
)
_NO_SUBJECT = re.compile(r"\b(?:or|nor|not|than|wrong|false|incorrect|less|fewer)\b|n['’]t\b", re.IGNORECASE)
_POINT = r"(?:north|south)[- ]?(?:east|west)|north|south|east|west"
_COMPASS = re.compile(rf"\b(?:{_POINT})\b")
_DIRECTION = re.compile(
    rf"\b(?:fac(?:es?|ing)|head(?:s|ed|ing)?|point(?:s|ed|ing)?|look(?:s|ing)?|turned|towards?|travel(?:s|l?ing)|going"
    rf"|moving)\s+(?:to\s+the\s+|towards?\s+the\s+|towards?\s+|due\s+)?({_POINT})[*\s]*[.!]?[*\s]*$",
    re.IGNORECASE,
)
"""Where somebody faces or goes in the end."""
_NO_SOLUTION = re.compile(
    r"\bno (?:real |integer |such )?solutions?\b[^,]*$|\b(?:does|do) not exist\b\W*$|无(?:实数)?解\W*$|不存在\W*$",
    re.IGNORECASE,
)
_IN_NO_SOLUTION = ("olution", "OLUTION", "exist", "EXIST", "解", "存在")
_NOT_ONLY = re.compile(
    r"\d|\b(?:if|unless|when|but|or|not that|except|other|only|whether|find|for)\b|[?？如若]", re.IGNORECASE
)
_LOSS = re.compile(r"\s*\(\s*\\?\$\s*[\d.,]+\s*\)[\s.]*")
_LETTER_GOLD = re.compile(r"\s*\\?(?:\\text(?:bf)?\s*\{)?\s*(\()?([A-J])(?(1)\))\s*\}?\s*")
_OPTION_GOLD = re.compile(r"\s*\\(?:text|math)(?:bf|rm)?\s*\{\s*\(([A-J])\)\s*\}(?:\\[ ,;:]|\\q?quad|[\s~:])+(\S.*)")
"""The letter of an option and its value."""
_OPTION_ANSWER = re.compile(
    r"\s*(?:\\text(?:bf)?\s*\{)?\s*"
    r"(?:\([A-J]\)\s*\}?(?:\s*$|(?:\\[ ,;]|\\q?quad|[\s~:])+[\w$\\(])|[Oo]ption\s+\(?[A-J]\b)"
)
"""What is an option rather than a term of a variable."""


def verify_math(answer_text: str, gold: MathGold) -> Verdict:
    """Right when the answer equals the gold; cannot tell when the answer, or the gold, is not understood."""
    found = find_answer(answer_text)
    if found.text is None:
        return Verdict(outcome="wrong", reason=found.rule)
    unusable = check_math(gold)
    if unusable is not None:
        return Verdict(outcome="cannot_tell", reason=f"{found.rule}: {unusable}", answer=found.text)
    if found.rule == "last line" and is_one_of_two(found.text, found.before):
        return Verdict(outcome="wrong", reason=f"{found.rule}: another thing's value stands above it")
    wanted, lenient = _gold_text(gold), gold.strictness == "lenient"
    problem, different = "", None
    modulus = found.modulus if _MODULUS.search(wanted) else ""
    # Beside the letter of another option the value is no answer.
    for text in (found.text,) if _OPTION_GOLD.fullmatch(wanted) else _candidates(found, lenient):
        text = text.strip() + modulus
        try:
            counted = lenient or (("dozen" in text or "打" in text) and answer_text.count("dozen") > 1)
            same = _equal(wanted, text, lenient and not _is_span(text, found.text), counted)
        except (Unreadable, Undefined, TooLarge) as stopped:
            problem = problem or str(stopped)
            continue
        if same:
            return Verdict(outcome="right", reason=f"{found.rule}: equals the gold", answer=text, score=1.0)
        different = different or text
    if different is not None:
        return Verdict(outcome="wrong", reason=f"{found.rule}: {_difference(different)}", answer=different)
    if _is_text(found.text) and not re.search(r"\d", found.text):
        return Verdict(outcome="wrong", reason=f"{found.rule}: no answer, words where a value was asked for")
    return Verdict(
        outcome="cannot_tell", reason=f"{found.rule}: {found.text[:60]!r} is not understood, {_short(problem)}"
    )


def _is_span(text: str, found: str) -> bool:
    """Whether a text is a score or a range rather than a difference: "21-14" in a sentence, "40-50" anywhere."""
    span = _SPAN.fullmatch(text)
    return span is not None and (len(found) > len(text) + 1 or Fraction(span[1]) < Fraction(span[2]))


def _says_the_same(text: str, again: str) -> bool:
    try:
        return _equal(text, again, True)
    except (Unreadable, TooLarge, Undefined):
        return False


def _short(reason: str) -> str:
    """A reason without the end of what could not be read, which may be long."""
    return reason if len(reason) <= 160 else f"{reason[:160]}... ({len(reason)} characters)"


@lru_cache(maxsize=8192)
def check_math(gold: MathGold) -> str | None:
    """Why this gold is unusable, or None."""
    text = _gold_text(gold)
    if _plain(text) is not None:
        return None
    if not text.strip():
        return "the math gold is empty"
    if is_placeholder(text):
        return f"the math gold {gold.answer.strip()[:80]!r} is a placeholder: it stands for no answer"
    if _is_text(text) or _OPTION_GOLD.fullmatch(text):
        return None
    try:
        tree = read(text)
        if isinstance(tree, Apply) and is_constant(tree) and not contains(tree, "inf") and exact(tree, {}) is None:
            numeric(tree, {}, 30, True)
        return None
    except (Unreadable, TooLarge, Undefined) as stopped:
        return f"the math gold {gold.answer[:80]!r} is not understood: {stopped}"


def _gold_text(gold: MathGold) -> str:
    """The answer of a gold; of a whole solution what it boxes, or says to be its final answer."""
    if "boxed" not in gold.answer and len(gold.answer) <= _MOST_OF_A_GOLD:
        return _end_of_chain(gold.answer) if gold.strictness == "lenient" else gold.answer
    found = find_answer(gold.answer, trusted=True)
    if found.text is None or found.rule not in ("boxed", "answer phrase"):
        cut_off = _OPEN_BOX.search(gold.answer) if gold.strictness == "lenient" else None
        return cut_off[1] if cut_off else gold.answer
    return found.text if found.rule == "boxed" else next(stated(first_sentence(found.text), leading=True), gold.answer)


def _end_of_chain(text: str) -> str:
    """A gold, of a chain whose beginning is not understood the last equation."""
    *beginning, name, value = ["", *text.strip(" $").split("=")]
    if len(beginning) < 2 or not _NAME.fullmatch(name):
        return text
    try:
        read(text)
    except (Unreadable, TooLarge):
        return f"{name}={value}"
    return text


def same_math(a: str, b: str, gold: MathGold) -> bool:
    """Whether two answers are equal, each as the gold of the other; an unreadable answer equals nothing but itself."""
    try:
        return a.strip() == b.strip() or (_equal(a, b) and _equal(b, a))
    except (Unreadable, TooLarge, Undefined):
        return False


def _equal(gold: str, answer: str, lenient: bool = False, counted: bool = True) -> bool:
    """Whether an answer equals a gold. "2 dozen" is 24; where dozens were `counted`, it may also be 2."""
    plain_gold, plain_answer = _plain_gold(gold), _plain(answer)
    if plain_gold is not None and plain_answer is not None and "." not in gold:
        return plain_gold == plain_answer
    if gold.strip() == answer.strip():
        return True
    if _LOSS.fullmatch(answer):
        raise Unreadable("money in brackets may be a loss")
    if plain_gold is None:
        option = _OPTION_GOLD.fullmatch(gold)
        if option:
            return _is_option(answer, option[1], option[2], lenient)
        letter = _LETTER_GOLD.fullmatch(gold)
        if letter and (letter[1] or _OPTION_ANSWER.match(answer)):
            return same_choice(answer, letter[2], ChoiceGold(answer=letter[2]))
        if _is_text(gold):
            return _same_text(gold, answer, lenient)
    if len(answer) > MAX_READ_CHARS:
        raise TooLarge(f"it has more than {MAX_READ_CHARS} characters")
    if _is_prose(answer):
        raise Unreadable("it is prose")
    stopped = stopping_word(answer) if plain_gold is not None else None
    if stopped is not None:
        raise Unreadable(f"{stopped!r} stands where a value should")
    if clean(gold) == clean(answer):
        return True
    letters = (integers_of(gold), integers_of(answer)) if "in" in gold or "∈" in gold else (None, None)
    if letters[0] is not None and letters[1] is not None and letters[0] != letters[1]:
        if letters[0][1] != letters[1][1]:
            return False
        answer = re.sub(rf"(?<![\\A-Za-z]){letters[1][0]}(?![A-Za-z])", letters[0][0], answer)
    moduli = (_MODULUS.findall(clean(gold)), _MODULUS.findall(clean(answer))) if "mod" in gold else ()
    if moduli and all(moduli) and moduli[0] != moduli[1]:
        return False
    tree, read_answer = read(gold), read(answer)
    if not lenient and not is_finished(read_answer) and is_finished(tree):
        return False
    if isinstance(read_answer, Measure) and read_answer.unit.dimension == "count" and not counted:
        read_answer = replace(read_answer, larger=None)
    if equal(tree, read_answer) or _decimal_comma(gold, answer):
        return True
    if lenient and (_decimal_comma(answer, gold) or nearly_equal(tree, read_answer)):
        return True
    # "5 m" is read as a product, unless the other side makes clear that m is a unit.
    if isinstance(read_answer, Measure) or not free_symbols(tree):
        measures = read_measure(gold) or tree, read_measure(answer) or read_answer
        return measures != (tree, read_answer) and equal(*measures)
    return False


def _is_option(answer: str, letter: str, value: str, lenient: bool) -> bool:
    """Whether an answer is the letter of an option, its value, or both."""
    both = _OPTION.fullmatch(answer)
    if same_choice(answer, letter, ChoiceGold(answer=letter)):
        return both is None or _equal(value, both[1], lenient)
    return both is None and _equal(value, answer, lenient)


def _is_prose(answer: str) -> bool:
    """Whether an answer is a sentence, which is not worth reading as a formula."""
    if len(answer) <= _SHORT:
        return False
    most = _PROSE_WORDS if "=" in answer or ":" in answer else _PLAIN_WORDS
    words = _PROSE.finditer(_GROUP.sub("", answer) if "{" in answer else answer)
    return next(islice(words, most, None), None) is not None


def _difference(answer: str) -> str:
    """Why an answer that was compared is not the gold."""
    if _plain(answer) is not None:
        return "differs from the gold"
    try:
        return "differs from the gold" if is_finished(read(answer)) else "a calculation, not its result"
    except (Unreadable, TooLarge, Undefined):
        return "differs from the gold"


@lru_cache(maxsize=8192)
def _is_text(text: str) -> bool:
    """Whether an answer is plain words: no digits or signs, and not a term."""
    if len(text) > 200:
        return False
    key = text_key(text)
    if not re.fullmatch(r"[^\W_](?:[^\W_]|[ \-'.:,&])*", key) or not re.search(r"[^\W\d_]{2}|[\u3400-\u9fff]", key):
        return False
    try:
        read(text)
    except Unreadable:
        return True
    except TooLarge:
        return False
    return False


def _same_text(gold: str, answer: str, lenient: bool) -> bool:
    """Whether an answer in words is the gold's, or a sentence that ends with it after "is" or sets it in bold."""
    wanted = text_key(gold)
    if text_key(answer) == wanted:
        return True
    if _DOUBTFUL.search(answer):
        return False
    sentence = sentences(answer)[-1] if sentences(answer) else answer
    if wanted in _OPPOSITES and _OPPOSITES[wanted] in re.findall(r"\w+", answer.casefold()):
        return False
    said = _YES_OR_NO.match(answer)
    if said and said[1].casefold() == wanted:
        return True
    clauses = [clause for clause in _CLAUSE.split(sentence) if clause.strip(" *")]
    said_of_it = [text for clause in clauses[:-1] if _OF_THE_ANSWER.search(clause) and (text := _stated_by(clause))]
    keys = {text_key(text) for text in (*said_of_it, *map(_stated_by, clauses[-1:])) if text}
    if wanted in keys:
        return len(keys) == 1
    direction = _DIRECTION.search(sentence)
    if direction and text_key(direction[1]) == wanted and len(set(_COMPASS.findall(sentence.lower()))) == 1:
        return _NO_SUBJECT.search(sentence) is None
    subject = re.match(rf"(?:(?:so|thus|therefore|hence),?\s+)?{re.escape(wanted)}\s+[a-z]", text_key(sentence))
    return lenient and subject is not None and len(clauses) == 1 and not _NO_SUBJECT.search(sentence)


def _stated_by(clause: str) -> str | None:
    """What a clause says that something is, by its last "is", or sets in bold there or with nothing else said."""
    clause = without if _IS.search(without := _REASON.split(clause, maxsplit=1)[0]) else clause
    *before, piece = _IS.split(clause)
    subject = before[0] if before and before[0].lstrip().startswith("**") and ":" not in before[0] else ""
    bold = _BOLD.findall(piece) or _BOLD.findall(subject)
    if len(bold) == 1:
        return str(bold[0])
    return piece if before else None


def _plain(text: str) -> Fraction | int | None:
    match = _PLAIN.fullmatch(text)
    if match is None:
        return None
    digits = match[1] + match[2].replace(",", "")
    return Fraction(digits + match[3]) if match[3] else int(digits)


_plain_gold = lru_cache(maxsize=8192)(_plain)


def _decimal_comma(gold: str, answer: str) -> bool:
    """Whether the answer is the gold's decimal with a comma for its point: 3,14 for 3.14."""
    point = gold.strip(" $")
    comma = _DECIMAL_COMMA.fullmatch(answer.strip(" $€£¥"))
    if comma is None or re.fullmatch(r"-?\d+\.(?!\d{3}$)\d+|-?0\.\d+", point) is None:
        return False
    return f"{comma[1]}.{comma[2]}" == point and (not comma[3] or read_unit(comma[3]) is not None)


def _candidates(found: Found, lenient: bool) -> Iterator[str]:
    """The answer as found, then, where it stands in prose, what the prose states."""
    text = found.text
    assert text is not None
    yield text
    if _plain(text) is not None:
        return
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped:
        yield wrapped[1]
    restated = _RESTATED.fullmatch(text) if text.endswith((")", ").")) else None
    if restated and _says_the_same(restated[1], restated[2]):
        yield restated[1]
    option = _OPTION.fullmatch(text)
    if option:
        yield option[1]
    if _WORD_FIRST.match(text) is None:
        bare = _GROUP.sub("", text) if "{" in text else text
        if (
            _PROSE.search(bare) is None
            and text.count("=") < 2
            and ("=" not in text or _LETTER.search(_UNIT_LETTER.sub("", bare)))
        ):
            return
    if any(map(text.__contains__, _IN_NO_SOLUTION)) and _NO_SOLUTION.search(text) and not _NOT_ONLY.search(text):
        yield "no solution"
    if found.rule == "boxed" and not re.search(r"[A-Za-z]{3}|[\u3400-\u9fff]", text):
        return  # "ab = 12" is a formula
    if found.rule == "last line":
        yield from stated(f"{found.before}\n{text}"[-MAX_ANSWER_CHARS:], lenient=lenient)
    elif found.rule == "answer phrase" and not found.before.rstrip(" *_$\n").endswith((":", "：", "=")):
        yield from stated(first_sentence(text), found.before, leading=True, lenient=lenient)
    else:
        yield from stated(text, found.before, lenient=lenient)
