"""Answer extraction: which part of the text after the thinking is the answer.

Text in, `Found` out: the answer as written and the name of the rule that found it, or no answer and why. The rules in
their order: "answer tag" (<answer>...</answer>), "boxed", "hash mark" (#### n), "answer phrase" ("Answer: X", "the
answer is X", "答案是 X"); where none applies, "whole text" for one line and "last line" for more. Within a rule the
last answer counts; a "final answer" that is stated after the last box counts before the box. Only what stands after the
thinking is looked at, up to the mark that ends a turn. Every step takes time linear in the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ponder.maths.notation import with_backslashes
from ponder.verify.later import comes_back, correction, doubts_itself, is_replaced, is_taken_back
from ponder.verify.surroundings import modulus_of, why_no_answer

__all__ = ["MAX_ANSWER_CHARS", "MAX_TEXT_CHARS", "Found", "find_answer", "find_answers", "on_one_line"]

MAX_TEXT_CHARS = 50_000
"""Only the end of a longer text is searched: an answer stands at the end."""
MAX_ANSWER_CHARS = 4_000
"""A longer answer is not read at all; of a longer last line only the end."""

_MAX_BOXES = 60
"""Boxes looked at, from the end."""
_MAX_PHRASES = 20
"""Phrases looked at, from the end, for one that something follows."""
_NEAR_CHARS = 1_500
"""A phrase in a sentence further from the end is one of the steps."""
_NEAR_WORDS = 60
"""Characters before a phrase that may say whose answer it is."""
_MAX_LIST_CHARS = 2 * MAX_ANSWER_CHARS
"""Before the last box, where the boxes of its list stand."""
_FINAL_CHARS = 8
"""Before a phrase, where "final" may stand."""
_MAX_JOIN_CHARS = 60
"""Text between two boxes of one list."""
_END_OF_TURN = re.compile(
    r"<\|(?:im_start|im_end|endoftext|end_of_text|end_of_turn|eot_id|eom_id|end|user|assistant|return)\|>"
    r"|<｜(?:end▁of▁sentence|User|Assistant)｜>|</s>|<eos>|<end_of_turn>|\[/?INST\]"
)
_CALCULATOR = re.compile(r"<<[^<>\n]*>>")
"""Notes that GSM8K's solutions carry: "40/2 = <<40/2=20>>20"."""
_DISPLAY = re.compile(r"\\[][](?<!\\\\.)|\$\$|\\(?:begin|end)\{(?:align|equation|gather|multline|eqnarray)\*?\}")
_CLOSING = {"$$": "$$", "\\[": "\\]"}
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BOX = re.compile(r"(?:\\\\?(?:boxed|fbox|framebox)|b(?<![\\A-Za-z]b)oxed)\s*(?=\{)")
_BARE_BOX = re.compile(r"\\boxed\s+([^\s{}$]+)")
_DOZEN = re.compile(r"[\s$)\\]*dozens?\b")
_HASH = re.compile(r"####(?!#)[ \t]*((?:[^\n#]|#(?!###))*)")
_HEADING = re.compile(r"[\s*_]*(?:\d{1,2}[.)][ \t]+\D|(?!\d)[^\W\d_]{3,}|[\u3400-\u9fff]{2,}).*|.*[:：][\s*_]*")
_PHRASE = re.compile(
    r"(?:(?<!check our )(?<!check my )(?<!check the )(?<!check this )(?<!verify the )(?<!verify our )"
    r"\banswer(?:s(?=[ \t]+are\b))?[ \t*_]{0,8}(?:(?:is|are|would be|will be|must be)\b[ \t]{0,4}:?|\"?[:=：])"
    r"|【答案】|\banswer[ \t*_]{0,8}[-–—][ \t](?=[(*]{0,3}[A-J][)*.]{0,3}[ \t]*(?:\n|\Z))"
    r"|\bfinal answer[ \t*_]{0,8}(?:[-–—>][ \t]|\n\s{0,8})"
    r"|答案(?:应该|应)?[ \t*_]{0,8}(?:是|为|[:：=])[:：]?)[ \t*_]{0,8}(?:\n\s{0,8})?",
    re.IGNORECASE,
)
_PHRASE_WORDS = ("nswer", "NSWER", "答案")
"""One of them is in every phrase."""
_VALUE = re.compile(r"[\d\\$]|^[\s*_(]*[A-J][\s*_).]*(?:$|\n)")
_STRUCK = re.compile(r"~~[^~\n]{1,200}~~")
_LEAD = re.compile(
    r"\A(?:#{1,6}[ \t]+|={1,2}>[ \t]*|->[ \t]*|>[ \t]+(?=\*\*)|(?:[∴⇒→➜➡✅✔✓☑\U0001f300-\U0001faff]\ufe0f?)[ \t]*)+"
)
_TICK = re.compile(r"[ \t]*(?:[✅✔✓☑]\ufe0f?)+$|!?[ \t]*(?:[\U0001f300-\U0001faff✨⭐❤]\ufe0f?[ \t]*)+$")
"""Marks that lead to an answer or tick it off."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_FINAL = re.compile(r"\bfinal\b|最终", re.IGNORECASE)
_UNSTATED = re.compile(
    r"(?:\b(?:suppos\w+|assum\w+|imagin\w+|pretend\w*|if|unless|whether|doubt\w*|for the sake of argument)(?:,"
    r"| that)*\s+"
    r"|\b(?:wonder\w*|ask(?:s|ed|ing)?|claim\w*|argu(?:es?|ed|ing)|den(?:y|ies|ied)|refut\w+|reject\w*|nobody|no one"
    r"|(?:would|might|may|could|will) (?:say|think|guess|claim|answer|believe|argue)|(?:false|untrue|impossible"
    r"|unlikely) that"
    r"|(?:wrong|incorrect) (?:to \w+ )?that|not true|question is)\b[^.,;:!?\n]{0,30}?\s)"
    r"(?:(?:the|its|my|our|this)\s+)?(?:(?:final|correct|right)\s+)?$"
    r"|\b(?:people|students|many|some|others|most)(?: often| usually| commonly)?"
    r" (?:say|think|guess|believe|claim)(?: that)?\s+(?:the\s+)?$"
    r"|\b(?:says|thinks|believes|guesses|(?<!\bi )(?<!\bwe )(?:said|thought|guessed|believed))(?: that)?\s+(?:the\s+)?$"
    r"|n['’]t true that\s+(?:the\s+)?$|\b(?:of|half|twice|double|triple)\s+(?:the|its|our)\s+$"
    r"|\b(?:(?:each|every|per) (?:correct|right|wrong)|naive|wrong|incorrect|false|mistaken|tempting|each|every"
    r"|previous|initial|earlier|student['’]s|common)\s+$"
    r"|\bclaims?\b[^.\n]{0,25}$|(?:假设|假如|如果|若|设)[^。，\n]{0,4}$",
    re.IGNORECASE,
)
"""What before a phrase says that its answer is supposed, or somebody else's."""
_JSON = re.compile(r"\s*(?:\"([^\"]*)\"|([^\",{}]*))\s*[,}]")
_REMARK = re.compile(
    r"[\s*]*(?:also |indeed |therefore |thus |now )?(?:correct|right|reasonable|verified|confirmed|consistent|valid"
    r"|clear|unique|plausible|as follows|given|found|the same|below|above|in the box|boxed)\b[^\d$\\]*",
    re.IGNORECASE,
)
_LETTER_A = re.compile(r"^A[:：][ \t]*([^\n]*)$")
_JOIN = re.compile(
    r"(?:[\s$.;,，、;]|[-+*=_~]{3,}|\\(?:quad|qquad)(?![a-z])|\\[,;()])*"
    r"(?:(?:[A-Za-z]{1,15}[\s,]+){0,3}(?=and\b|or\b))?"
    r"(?:\\text\s*\{[^{}]{0,30}\b(?:and|or)\s*\}|\band\b|\bor\b|和|或|及|与)?"
    r"(?:[\s$,，、]|\\(?:quad|qquad)(?![a-z])|\\[,;()])*(?:(?:[A-Za-z](?:_\{?\w\}?)?\s*="
    r"|[A-Z][a-z]{0,12}(?:\s\([a-z]\))?\s*:)\s*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Example: Found(text="42", rule="boxed"). Where `text` is None, `rule` says why there is no answer."""

    text: str | None
    rule: str
    before: str = ""
    """What stands before the answer, where it may stand in a sentence."""
    behind: str = ""
    """What follows the answer."""
    modulus: str = ""
    """The modulus of the congruence whose last side the answer is, as written."""


def find_answer(text: str, *, trusted: bool = False) -> Found:
    """The answer in `text`, which is what stands after the thinking (an unsplit completion is split here). In a text
    that is `trusted`, a solution that comes with its problem, the box is the answer whatever stands around it."""
    if trusted and (box := _boxes(text)) is not None:
        return _checked(Found(text=box[0], rule="boxed"))
    if trusted and len(said := _final_answers(text)) == 1:
        return Found(text=said.pop(), rule="answer phrase")
    return next(find_answers(text))


def _final_answers(text: str) -> set[str]:
    """What the phrases of a text say, each up to the end of its sentence."""
    answers = (_SENTENCE_END.split(found.text or "", maxsplit=1)[0].rstrip(" .") for _, found in _phrases(text))
    return {answer for answer in answers if _PHRASE.search(answer) is None}  # "Final answer: The answer is 5"


def find_answers(text: str) -> Iterator[Found]:
    """The answer, then what the later rules find, for kinds of answers that the first cannot be."""
    text = text[-MAX_TEXT_CHARS:]
    tagged = "<" in text
    if tagged and "</think>" in text:
        text = text.rpartition("</think>")[2]
    elif tagged and "<think>" in text:
        yield Found(text=None, rule="no answer: the thinking never ends")
        return
    text = _as_written(text)
    before, closing, behind = text.rpartition("</answer>") if tagged else ("", "", text)
    if closing and "<answer>" in before:
        outside, _, inside = before.rpartition("<answer>")
        explicit = [*_explicit(inside)] or [Found(text=inside, rule="answer tag", before=outside, behind=behind)]
        other = next(
            (found for found in _explicit(behind) if found.text is not None and _VALUE.search(found.text)), None
        )
        if other is not None and (other.text or "").strip(" .*$") != (explicit[0].text or "").strip(" .*$\n"):
            yield Found(text=None, rule="no answer: something else is stated behind the answer tag")
            return
        yield from map(_checked, explicit)
        return
    if closing:
        text = before
    if tagged and "<answer>" in text:
        text = text.rpartition("<answer>")[2]
    yield from map(_checked, _explicit(text))
    lines = _last_lines(text)
    if not lines:
        yield Found(text=None, rule="no answer: nothing stands after the thinking")
        return
    rule = "whole text" if len(lines) == 1 else "last line"
    yield _checked(Found(text=lines[-1].strip()[-MAX_ANSWER_CHARS:], rule=rule, before="\n".join(lines[:-1])))


def _last_lines(text: str) -> list[str]:
    """The lines that say something, as many as are looked at before the last."""
    lines: list[str] = []
    chars = 0
    for line in reversed(text.splitlines()):
        if line[:1].isalpha() or _SAYS.search(line):
            lines.append(line)
            chars += len(line) if len(lines) > 1 else 0
            if chars > MAX_ANSWER_CHARS:
                break
    return lines[::-1]


def _as_written(text: str) -> str:
    """A text up to the end of its turn, without what a reader does not see. What cannot be in it is not looked for."""
    text = with_backslashes(text)
    tagged = "<" in text
    if tagged or "INST]" in text:
        text = _END_OF_TURN.split(text, maxsplit=1)[0]
    if tagged and "<<" in text:
        text = _CALCULATOR.sub("", text)
    text = on_one_line(text)
    if tagged and "<!--" in text:
        text = _without_comments(text)
    if "~~" in text:
        text = _STRUCK.sub("", text)
    return text.replace('\\"', '"') if '\\"' in text else text


def _without_comments(text: str) -> str:
    """A text without what stands between <!-- and -->."""
    pieces: list[str] = []
    start = 0
    while (opened := text.find("<!--", start)) >= 0 and (closed := text.find("-->", opened + len("<!--"))) >= 0:
        pieces.append(text[start:opened])
        start = closed + len("-->")
    return "".join(pieces) + text[start:]


_SAYS = re.compile(r"[^\W_]|[∅∞π?]|\\\{")
"""A line without a letter or a digit is a rule, a fence or the end of a formula."""


def on_one_line(text: str) -> str:
    """Displayed formulas without line breaks."""
    if "\n" not in text:
        return text
    if "$$" not in text and "\\begin{" not in text:
        return _between_brackets(text) if "\\[" in text else text
    pieces: list[str] = []
    start, opened, closing = 0, 0, ""
    for found in _DISPLAY.finditer(text):
        mark = found[0]
        if mark == closing:
            pieces += [text[start:opened], " ".join(text[opened : found.end()].split())]
            start, closing = found.end(), ""
        elif closing != "\\]" and mark != "\\]" and not mark.startswith("\\end"):
            opened, closing = found.start(), _CLOSING.get(mark) or mark.replace("begin", "end")
    return "".join(pieces) + text[start:]


def _between_brackets(text: str) -> str:
    """The same where all that is displayed stands between \\[ and \\]."""
    pieces: list[str] = []
    start = 0
    while (opened := text.find("\\[", start)) >= 0:
        while opened > 0 and text[opened - 1] == "\\":  # the end of a row
            opened = text.find("\\[", opened + 1)
        closed = text.find("\\]", opened) if opened >= 0 else -1
        while closed >= 0 and text[closed - 1] == "\\":
            closed = text.find("\\]", closed + 1)
        if closed < 0:
            break
        pieces += (text[start:opened], " ".join(text[opened : closed + 2].split()))
        start = closed + 2
    return "".join(pieces) + text[start:]


def _explicit(text: str) -> Iterator[Found]:
    """What the rules find that the writer points at, in their order."""
    box = _boxes(text) if "box" in text else None
    if box is not None:
        content, start, end = box
        yield from _later(text, end)
        reason = why_no_answer(text[:start], content, text[end:])
        content += " dozen" if _DOZEN.match(text, end) else ""
        if reason is None:
            yield Found(text=content, rule="boxed", behind=text[end:], modulus=modulus_of(text[:start], text[end:]))
        else:
            yield Found(text=None, rule=f"no answer: {reason}")
    for match in reversed(list(_HASH.finditer(text)) if "####" in text else []):
        more = text[match.end() :].strip()
        if match[1].strip(" *_") and not (more and _HEADING.fullmatch(match[1])):
            yield from _later(text, match.end())
            yield Found(text=match[1], rule="hash mark", behind=more)
            break
    yield from (found for _, found in _phrases(text))


def _later(text: str, end: int) -> Iterator[Found]:
    """The last statement of a value behind an answer that ends at `end`, whatever its form."""
    for match in reversed(list(_HASH.finditer(text, end)) if text.find("####", end) >= 0 else []):
        if re.fullmatch(r"[\s*_$]*[-\d.,/]+[\s*_$]*|[\s*_]*[A-J][\s*_.]*", match[1]):
            yield Found(text=match[1], rule="hash mark", behind=text[match.end() :])
            return
    for _, found in _phrases(text, end):
        if found.text and _VALUE.search(found.text):
            yield found
            return


def _phrases(text: str, start: int = 0) -> Iterator[tuple[int, Found]]:
    """The answers behind phrases from `start` on, the last first, with where the phrase begins."""
    for match in islice(_from_the_end(text, start), _MAX_PHRASES):
        rest, _, more = text[match.end() : match.end() + MAX_ANSWER_CHARS].partition("\n")
        rest = rest.strip()
        if _is_passed_over(text, match, rest, more):
            continue
        field = _JSON.match(text, match.end()) if '"' in match[0] else None  # {"answer": 15}
        rest = (field[1] or field[2] or "").strip() if field else rest
        if rest.strip(" *_.$：:}") and not _REMARK.fullmatch(rest):
            display = re.fullmatch(r"(?:\\\[|\$\$)(.*?)(?:\\\]|\$\$)[.\s]*", rest)
            rest = display[1] if display else rest
            answer, behind = rest.lstrip("} "), text[match.end() + len(rest) :]
            yield match.start(), Found(text=answer, rule="answer phrase", before=text[: match.end()], behind=behind)
    letter = _LETTER_A.match(_last_line(text)) if "A:" in text or "A：" in text else None
    if letter:
        yield 0, Found(text=letter.group(1), rule="answer phrase")


def _last_line(text: str) -> str:
    text = text.rstrip()
    return "".join(text[text.rfind("\n") + 1 :].splitlines()[-1:]).strip()


def _from_the_end(text: str, start: int) -> Iterator[re.Match[str]]:
    """The phrases from `start` on, the last first."""
    places = {word: text.rfind(word, start) for word in _PHRASE_WORDS}
    end = len(text)
    while (place := max(places.values())) >= 0:
        places = {word: text.rfind(word, start, at) if at == place else at for word, at in places.items()}
        for begin in (place - len("final a"), place - len("a"), place):
            match = _PHRASE.match(text, begin) if begin >= start else None
            if match is not None and match.start() < end:
                end = match.start()
                yield match
                break


def _is_passed_over(text: str, match: re.Match[str], rest: str, more: str) -> bool:
    """Whether a phrase is the heading of a solution, or a sentence in the middle of one."""
    heading = match[0].endswith("\n") and len(rest.split()) > 4 and re.search(r"\d", more) is not None
    starts_line = not re.search(
        r"\w", text[text.rfind("\n", 0, match.start()) + 1 : match.start()].replace("final", "")
    )
    final = _FINAL.search(text, max(0, match.start() - _FINAL_CHARS), match.end())
    far = len(text) - match.end() > _NEAR_CHARS and not starts_line
    far = far and (final is None or is_taken_back("", text[match.end() + len(rest) :]))
    return heading or far or _UNSTATED.search(text, max(0, match.start() - _NEAR_WORDS), match.start()) is not None


def _checked(found: Found) -> Found:
    if found.text is None:
        return found
    text = found.text.strip()
    lead = _LEAD.match(text)
    text = text[lead.end() :].strip() if lead else text
    text = text if text.isascii() else _TICK.sub("", text).strip()
    if not text:
        return Found(text=None, rule=f"no answer: the {found.rule} is empty")
    if len(text) > MAX_ANSWER_CHARS:
        return Found(text=None, rule=f"no answer: the {found.rule} holds more than {MAX_ANSWER_CHARS} characters")
    if _is_taken_back(text, found):
        corrected = correction(text if found.rule == "answer phrase" else "", found.behind)
        if corrected is not None:
            return Found(text=corrected, rule=found.rule, before=found.before)
        return Found(text=None, rule=f"no answer: the {found.rule} is taken back by what follows it")
    if found.rule == "answer phrase":
        said, *more = _SENTENCE_END.split(text, maxsplit=1)
        if more and (doubts_itself(more[0]) or comes_back(said, found.behind)):
            text = said
    if is_replaced(text, found.behind):
        return Found(text=None, rule=f"no answer: the {found.rule} is followed by another value")
    if text == found.text and not found.behind:
        return found
    return Found(text=text, rule=found.rule, before=found.before, modulus=found.modulus)


def _is_taken_back(text: str, found: Found) -> bool:
    if found.rule != "answer phrase":
        return is_taken_back(text, found.behind)
    said, *more = _SENTENCE_END.split(text, maxsplit=1)
    return is_taken_back("", said) or is_taken_back(said, f"{''.join(more)} {found.behind}")


def _boxes(text: str) -> tuple[str, int, int] | None:
    """The content of the last box, joined by commas with the boxes right before it in the same list; where they begin
    and end."""
    spans: list[tuple[int, int, str]] = []
    first = max(text.find("box") - _FINAL_CHARS, text.rfind("box") - _MAX_LIST_CHARS, 0)
    for match in list(_BOX.finditer(text, first))[-_MAX_BOXES:]:
        if spans and match.start() < spans[-1][1]:
            continue  # a box inside a box is part of it
        end = _closing(text, match.end())
        if end is not None:
            spans.append((match.start(), end, text[match.end() + 1 : end - 1]))
    if not spans:
        bare = list(_BARE_BOX.finditer(text))
        return (bare[-1][1], bare[-1].start(), bare[-1].end()) if bare else None
    start, last_end, last = spans[-1]
    answers = [last]
    for previous_start, previous_end, content in reversed(spans[:-1]):
        between = text[previous_end:start]
        if len(between) > _MAX_JOIN_CHARS or not _JOIN.fullmatch(between):
            break
        if content not in answers:
            answers.append(content)
        start = previous_start
    return ", ".join(reversed(answers)), start, last_end


def _closing(text: str, opening: int) -> int | None:
    """The index after the brace that closes the one at `opening`, where it closes soon enough."""
    depth = 0
    for match in _BRACE.finditer(text, opening, opening + MAX_ANSWER_CHARS + 2):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return None
