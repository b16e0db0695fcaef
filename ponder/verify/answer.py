"""Answer extraction: which part of the text after the thinking is the answer.

Text in, `Found` out: the answer as written and the name of the rule that found it, or no answer and why. The rules in
their order: "answer tag" (<answer>...</answer>), "boxed", "hash mark" (#### n), "answer phrase" ("Answer: X", "the
answer is X", "答案是 X"); where none applies, "whole text" for one line and "last line" for more. Within a rule the
last answer counts. Only what stands after the thinking is looked at.
"""

import re
from dataclasses import dataclass

from ponder.maths.notation import with_backslashes

__all__ = ["MAX_ANSWER_CHARS", "MAX_TEXT_CHARS", "Found", "find_answer"]

MAX_TEXT_CHARS = 50_000
"""Only the end of a longer text is searched: an answer stands at the end."""
MAX_ANSWER_CHARS = 4_000
"""A longer answer is not read at all."""

_MAX_BOXES = 30
"""Boxes looked at, from the end."""
_MAX_PHRASES = 20
"""Phrases looked at, from the end, for one that something follows."""
_MAX_JOIN_CHARS = 40
"""Text between two boxes of one list."""
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BOX = re.compile(r"(?:\\(?:boxed|fbox|framebox)|(?<![\\A-Za-z])boxed)\s*(?=\{)")
_BARE_BOX = re.compile(r"\\boxed\s+([^\s{}$]+)")
_HASH = re.compile(r"####[ \t]*([^\n]*)")
_PHRASE = re.compile(
    r"(?:\banswer[ \t*_]{0,8}(?:(?:is|are)[ \t]{0,4}:?|[:=：])"
    r"|答案(?:应该|应)?[ \t*_]{0,8}(?:是|为|[:：=])[:：]?)[ \t*_]{0,8}(?:\n\s{0,8})?(?:(?:\\\[|\$\$)[ \t]*\n\s{0,8})?",
    re.IGNORECASE,
)
_LETTER_A = re.compile(r"^A[:：][ \t]*([^\n]*)$")
_JOIN = re.compile(
    r"[\s$.;,，、;]*(?:(?:[A-Za-z]{1,15}[\s,]+){0,3}(?=and\b|or\b))?(?:\\text\{\s*(?:and|or)\s*\}|\\(?:quad|qquad|,|;)|and|or|和|或|及|与)?[\s$,，、]*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Example: Found(text="42", rule="boxed"). Where `text` is None, `rule` says why there is no answer."""

    text: str | None
    rule: str


def find_answer(text: str) -> Found:
    """The answer in `text`, which is what stands after the thinking (an unsplit completion is split here)."""
    text = with_backslashes(text[-MAX_TEXT_CHARS:])
    if "</think>" in text:
        text = text.rpartition("</think>")[2]
    elif "<think>" in text:
        return Found(text=None, rule="no answer: the thinking never ends")
    before, closing, _ = text.rpartition("</answer>")
    if closing and "<answer>" in before:
        inside = before.rpartition("<answer>")[2]
        return _checked(_explicit(inside) or Found(text=inside, rule="answer tag"))
    if closing:
        text = before
    if "<answer>" in text:
        text = text.rpartition("<answer>")[2]
    found_or_none = _explicit(text)
    if found_or_none is not None:
        return _checked(found_or_none)
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return Found(text=None, rule="no answer: nothing stands after the thinking")
    return _checked(Found(text=lines[-1], rule="whole text" if len(lines) == 1 else "last line"))


def _explicit(text: str) -> Found | None:
    boxes = _boxes(text)
    if boxes is not None:
        return Found(text=boxes, rule="boxed")
    hashes = _HASH.findall(text)
    if hashes:
        return Found(text=hashes[-1], rule="hash mark")
    for match in reversed(list(_PHRASE.finditer(text))[-_MAX_PHRASES:]):
        rest = text[match.end() : match.end() + MAX_ANSWER_CHARS].partition("\n")[0]
        if rest.strip(" *_.$：:}"):
            return Found(text=rest.lstrip("} "), rule="answer phrase")
    lines = text.strip().splitlines()
    letter = _LETTER_A.match(lines[-1].strip()) if lines else None
    return Found(text=letter.group(1), rule="answer phrase") if letter else None


def _checked(found: Found) -> Found:
    assert found.text is not None
    text = found.text.strip()
    if not text:
        return Found(text=None, rule=f"no answer: the {found.rule} is empty")
    if len(text) > MAX_ANSWER_CHARS:
        return Found(text=None, rule=f"no answer: the {found.rule} holds more than {MAX_ANSWER_CHARS} characters")
    return Found(text=text, rule=found.rule)


def _boxes(text: str) -> str | None:
    """The content of the last box, joined by commas with the boxes right before it in the same list."""
    spans: list[tuple[int, int, str]] = []
    for match in list(_BOX.finditer(text))[-_MAX_BOXES:]:
        if spans and match.start() < spans[-1][1]:
            continue  # a box inside a box is part of it
        end = _closing(text, match.end())
        if end is not None:
            spans.append((match.start(), end, text[match.end() + 1 : end - 1]))
    if not spans:
        bare = _BARE_BOX.findall(text)
        return bare[-1] if bare else None
    start, _, last = spans[-1]
    answers = [last]
    for previous_start, previous_end, content in reversed(spans[:-1]):
        between = text[previous_end:start]
        if len(between) > _MAX_JOIN_CHARS or not _JOIN.fullmatch(between):
            break
        answers.append(content)
        start = previous_start
    return ", ".join(reversed(answers))


def _closing(text: str, opening: int) -> int | None:
    """The index after the brace that closes the one at `opening`, where it closes soon enough."""
    depth = 0
    for match in _BRACE.finditer(text, opening, opening + MAX_ANSWER_CHARS + 2):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return None
