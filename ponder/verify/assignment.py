"""Logic assignments: who is what, or who stands where.

Text and an AssignmentGold in, Verdict out. An assignment is read as "Ann is a knight", "Ann: knight", "Ann = knight",
one per clause; an order (the names of the gold are 1, 2, 3, ...) also as a plain list, "Ann, Bob, Cid" or "Ann > Bob".
Every name must be given exactly one value.
"""

import re
import unicodedata

from ponder.records import AssignmentGold, Verdict
from ponder.verify.answer import find_answer

__all__ = ["check_assignment", "same_assignment", "verify_assignment"]

_MAX_CHARS = 4_000
_SPLIT = re.compile(r"\s*(?:[,;>，、；\n]|<|->|→|\band\b|(?<=\w)\s+then\b)\s*")


def verify_assignment(answer_text: str, gold: AssignmentGold) -> Verdict:
    """Right when every name has its value, once."""
    found = find_answer(answer_text)
    if found.text is None:
        return Verdict(outcome="wrong", reason=found.rule)
    given = _read(found.text, gold)
    if found.rule not in ("answer tag", "boxed") and len(given) < len(gold.values):
        # An assignment may take several lines, unlike other answers.
        given = _read(answer_text.rpartition("</think>")[2][-_MAX_CHARS:], gold)
    answer = ", ".join(f"{name}={value}" for name, value in given.items())
    expected = {_key(name): _key(value) for name, value in gold.values.items()}
    missing = sorted(set(expected) - set(given))
    several = sorted(name for name, value in given.items() if value is None)
    if several:
        return Verdict(outcome="wrong", reason=f"no answer: several values for {', '.join(several)}", answer=answer)
    if missing:
        return Verdict(outcome="wrong", reason=f"no value for {', '.join(missing)}", answer=answer or None)
    different = sorted(name for name in expected if given[name] != expected[name])
    if different:
        return Verdict(outcome="wrong", reason=f"another value for {', '.join(different)}", answer=answer)
    return Verdict(outcome="right", reason="every name has its value", answer=answer, score=1.0)


def check_assignment(gold: AssignmentGold) -> str | None:
    """Why this gold is unusable, or None."""
    if not gold.values:
        return "the assignment gold is empty"
    empty = [name for name, value in gold.values.items() if not _key(name) or not _key(value)]
    if empty:
        return f"the assignment gold has an empty name or value at {empty[0]!r}"
    if len({_key(name) for name in gold.values}) != len(gold.values):
        return "two names of the assignment gold differ only in case or spacing"
    return None


def same_assignment(a: str, b: str, gold: AssignmentGold) -> bool:
    """Whether two answers assign alike."""
    first = _read(a, gold)
    return bool(first) and first == _read(b, gold)


def _key(text: str) -> str:
    return re.sub(r"[\s_*`'\"]+", " ", unicodedata.normalize("NFKC", text)).strip(" .。").casefold()


def _read(text: str, gold: AssignmentGold) -> dict[str, str | None]:
    """Name -> value as written, None where one name got two values."""
    names = {_key(name) for name in gold.values}
    values = {_key(value) for value in gold.values.values()}
    given: dict[str, str | None] = {}
    text = unicodedata.normalize("NFKC", text)
    name_pattern = "|".join(re.escape(n) for n in sorted(names, key=len, reverse=True))
    value_pattern = "|".join(re.escape(v) for v in sorted(values, key=len, reverse=True))
    pair = re.compile(
        rf"(?<!\w)({name_pattern})\s*(?:is|=|:|->|→|是|为|\.|\))\s*(?:an?\s+|the\s+)?({value_pattern})(?!\w)"
    )
    for name, value in pair.findall(_clauses(text)):
        if given.get(name, value) != value:
            given[name] = None
        else:
            given.setdefault(name, value)
    if given or not _is_order(names):
        return given
    items = [_key(item) for item in _SPLIT.split(text.strip().strip("[](){}$."))]
    items = [re.sub(r"^\d+[.):]\s*", "", item).strip("'\" ") for item in items if item]
    if len(items) == len(names) and set(items) <= values:
        return {str(i): item for i, item in enumerate(items, 1)}
    return {}


def _clauses(text: str) -> str:
    return re.sub(r"[*_`'\"{}\[\]]", " ", text).casefold()


def _is_order(names: set[str]) -> bool:
    return names == {str(i) for i in range(1, len(names) + 1)}
