"""What follows a value: multipliers and units of measure, or the things that are counted.

The tokens behind a term in, the value with its multiplier or the unit out.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from ponder.maths.terms import Terms
from ponder.maths.tree import Apply, Measure, Number, Tree, Unreadable
from ponder.maths.units import Unit, read_unit
from ponder.maths.words import CHINESE_SENSE, MULTIPLIERS, SENSE_CHANGING, number_word

__all__ = ["compound", "scaled", "tail"]

_ORDINALS = ("st", "nd", "rd", "th")
_PLACES = (("place",), ("floor",), ("grade",), ("position",))
"""Of which one in a row is as good as its number."""
_MAX_TAIL = 6
"""Words after a number that may say what is counted."""


def scaled(terms: Terms, value: Tree) -> Tree:
    """A value times the multiplier after it: 5 million."""
    while terms.peek().kind == "word" and terms.peek().text.casefold().rstrip("s") in MULTIPLIERS:
        if terms.peek().text.casefold().startswith("dozen"):
            break  # a unit: "2 dozen" is 24, or 2 of what was asked for in dozens
        factor = MULTIPLIERS[terms.next().text.casefold().rstrip("s")]
        match value:
            case Number(written):
                value = Number(written * factor)
            case Apply("/", (Number(written), bottom)):
                value = Apply("/", (Number(written * factor), bottom))
            case _:
                value = Apply("*", (value, Number(Fraction(factor))))
    return value


def tail(terms: Terms) -> Unit | None:
    """The unit after a value, or None where nothing or only a thing counted stands there ("18 eggs per day")."""
    words: list[str] = []
    while True:
        token, after = terms.peek(), terms.peek(1)
        inches = token.text.casefold() == "in" and (after.kind == "end" or after.text in ("^", ".", "/"))
        if (token.kind == "word" and (inches or token.text.casefold() != "in")) or (
            words
            and (
                (token.text in ("/", "-") and after.kind in ("word", "name"))
                or (token.kind == "name" and (words[-1] in ("/", "per", "a", "-") or token.text == "a"))
            )
        ):
            words.append(token.text)
        elif words and token.text == "^" and re.fullmatch(r"[23]", after.text):
            words.append("^" + terms.next().text.replace("^", after.text))
        elif words and token.text == "^" and after.text == "{" and terms.peek(3).text == "}":
            words.append("^" + terms.peek(2).text)
            terms.position += 3
        elif token.text in ("¢", "℃", "℉") or (words and token.text == "."):
            words.append(token.text)
        else:
            break
        terms.next()
    if not words:
        return None
    text = re.sub(r"\s*\^\s*", "^", re.sub(r"\s*/\s*", "/", " ".join(words)))
    unit = read_unit(text)
    if unit is not None:
        return unit
    first = read_unit(words[0])
    lowered = {w.casefold() for w in words}
    lowered -= set() if "than" in lowered else {"more"}  # "10 more years"
    if len(words) > _MAX_TAIL or lowered & SENSE_CHANGING or set("".join(words)) & CHINESE_SENSE:
        raise Unreadable(f"the words {' '.join(words)!r} after a value are not understood")
    if any(re.search(r"(?:teen|ie|en|dred|and)ths$", w) for w in lowered):
        raise Unreadable(f"the words {' '.join(words)!r} after a value are a fraction")
    if words[0] in _ORDINALS and len(words) > 1 and tuple(words[1:]) not in _PLACES:
        raise Unreadable(f"the words {' '.join(words)!r} are said of one of a row")
    if any(number_word(w) is not None or w.casefold() in MULTIPLIERS for w in words):
        raise Unreadable(f"the words {' '.join(words)!r} after a value are not understood")
    return first if first is not None and (len(words) == 1 or words[1] not in ("/", "per", "^2", "^3")) else None


def compound(items: Sequence[Tree]) -> Measure | None:
    """One measure of what is given in several units of one kind, from large to small: "5 feet 3 inches"."""
    measures = [i for i in items if isinstance(i, Measure)]
    if len(measures) < len(items):
        return None
    units = [m.unit for m in measures]
    if len({u.dimension for u in units}) > 1 or any(a.factor <= b.factor for a, b in pairwise(units)):
        return None
    smallest = units[-1]
    total = measures[-1].value
    for measure in measures[:-1]:
        part = Apply("*", (measure.value, Number(measure.unit.factor / smallest.factor)))
        total = Apply("+", (part, total))
    return Measure(total, smallest, units[0].factor / smallest.factor if len(units) > 1 else None)
