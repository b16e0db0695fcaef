"""Mathematical answers: text and a MathGold in, Verdict out."""

import re
import unicodedata
from fractions import Fraction

from ponder.records import MathGold, Verdict
from ponder.verify.answer import find_answer

__all__ = ["check_math", "same_math", "verify_math"]

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?")
_LAST_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?")
_ASSIGNED = re.compile(r"^[A-Za-z]\w{0,3}\s*=(?!=)")


def verify_math(answer_text: str, gold: MathGold) -> Verdict:
    """Right when the answer equals the gold."""
    found = find_answer(answer_text)
    if found.text is None:
        return Verdict(outcome="wrong", reason=found.rule)
    text = found.text
    if _value(gold.answer) is not None and _value(text) is None and found.rule in ("whole text", "last line"):
        numbers = _LAST_NUMBER.findall(text)
        text = numbers[-1] if numbers else text
    same = _equal(text, gold.answer)
    if same is None:
        return Verdict(outcome="cannot_tell", reason=f"{found.rule}: the answer was not understood", answer=text)
    if same:
        return Verdict(outcome="right", reason=f"{found.rule}: equals the gold", answer=text, score=1.0)
    return Verdict(outcome="wrong", reason=f"{found.rule}: differs from the gold", answer=text)


def check_math(gold: MathGold) -> str | None:
    """Why this gold is unusable, or None."""
    return None if _text(gold.answer) else "the math gold is empty"


def same_math(a: str, b: str, gold: MathGold) -> bool:
    """Whether two answers are equal."""
    return _equal(a, b) is True


def _equal(a: str, b: str) -> bool | None:
    value_a, value_b = _value(a), _value(b)
    if value_a is not None and value_b is not None:
        return value_a == value_b
    if _text(a) == _text(b):
        return bool(_text(b))
    if value_b is not None and re.search(r"\d", a):
        return None
    return False


def _text(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\(?:left|right|,|;|!| )|[$*`]", "", text).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return re.sub(r"\s+", " ", text).strip(" .。").casefold()


def _value(text: str) -> Fraction | None:
    text = _text(text).replace("−", "-")
    text = _ASSIGNED.sub("", text).strip()
    text = re.sub(r"^(-?)\\frac\s*(?:\{(\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))$", r"\1\2\3/\4\5", text).replace("{,}", ",")
    text = text.removesuffix("\\%").removesuffix("%").strip()
    top, slash, bottom = text.partition("/")
    if len(text) > 200 or (slash and not re.fullmatch(r"\s*\d+\s*", bottom)):
        return None
    top = top.strip()
    if not _NUMBER.fullmatch(top) or not re.search(r"\d", top):
        return None
    value = Fraction(top.replace(",", ""))
    if slash:
        return value / int(bottom) if int(bottom) else None
    return value
