"""The rewards themselves. R1's rule reward is accuracy + format, its language reward Nature eq. 7."""

import re
import unicodedata

from ponder.records import ChoiceGold, ExpressionGold, JsonGold, MathGold, OwnGold
from ponder.reward.judged import Judged, RewardFunction
from ponder.seeds import derive_seed
from ponder.text.copied import is_copy, words_of
from ponder.text.language import language_share

__all__ = [
    "accuracy",
    "by_judge",
    "chance",
    "format_reward",
    "language",
    "length",
    "overlong_penalty",
    "preference",
    "repetition",
    "says_something",
]

_BUFFER_RATIO = 0.2
"""DAPO's zone: 4,096 of 20,480 tokens."""
_NGRAM = 10
"""Words in a row that, seen a second time, count as repetition; sums that are checked again repeat shorter ones."""
_EITHER = re.compile(r"\bor\b|或", re.IGNORECASE)
_LETTERS_ONLY = re.compile(r"\(?[A-J]\)?(?:(?:\s|[,/;|&、，]|or|and|和|或)+\(?[A-J]\)?)+[\s.。]*")
_TAG = re.compile(r"</?[A-Za-z]+>")
_PIECE = re.compile(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+")


def accuracy(judged: Judged) -> float | None:
    """1 for a right answer, 0 for a wrong one and for one that cannot be told; None for a problem without gold, for
    one that a reward model judges (Nature eq. 8-10), and where a verifier of the user's own cannot tell.

    The question once more is no answer, whatever a verifier finds in it (often the number it ends with).
    """
    if judged.problem.gold is None or judged.problem.route != "reasoning":
        return None
    if isinstance(judged.problem.gold, OwnGold) and judged.verdict.outcome == "cannot_tell":
        return None
    return 1.0 if judged.verdict.outcome == "right" and says_something(judged) else 0.0


def chance(judged: Judged) -> float:
    """A number from 0 to 1 drawn from the text: noise, as a control for what other rewards teach."""
    response = judged.response
    text = (response.thinking or "", response.answer or "", judged.completion_tokens)
    return derive_seed("chance", judged.problem.id, *text) / 2**63


def format_reward(judged: Judged) -> float:
    """1 where the response is well formed, ended by itself, and holds an answer that can be read; else 0.

    Tags alone, an empty answer, the question once more, or all the options are not answers; the prompt's own words are
    no thought.
    """
    if not judged.response.well_formed or judged.finish_reason != "stop" or not says_something(judged):
        return 0.0
    if _repeats_the_prompt(judged):
        return 0.0
    return 1.0 if judged.verdict.outcome == "right" or _is_one_answer(judged) else 0.0


def says_something(judged: Judged) -> bool:
    """Whether the answer holds a letter, digit or sign besides tags, the template's example and the question. `{}` and
    `[]` do where they are known to be the values."""
    gold = judged.problem.gold
    if "answer" in judged.response.copied:
        return False
    if isinstance(gold, JsonGold) and gold.values is not None and judged.verdict.outcome == "right":
        return True
    own = (judged.response.answer or "").replace(judged.problem.prompt.strip(), "")
    return any(unicodedata.category(char)[0] in "LNS" for char in _TAG.sub("", own))


def _repeats_the_prompt(judged: Judged) -> bool:
    """Whether the thinking is only the template's words or the question once more."""
    thinking = judged.response.thinking
    if not thinking:
        return False
    return "thinking" in judged.response.copied or is_copy(thinking, words_of(judged.problem.prompt))


def _is_one_answer(judged: Judged) -> bool:
    """Whether a verifier could read one answer, not several to choose from."""
    gold, found = judged.problem.gold, judged.verdict.answer
    if _LETTERS_ONLY.fullmatch(judged.response.answer or ""):
        return False
    if gold is None or judged.problem.route != "reasoning":
        return True
    if found is None or not found.strip():
        return False
    return not (isinstance(gold, MathGold | ChoiceGold | ExpressionGold) and _EITHER.search(found))


def language(judged: Judged) -> float | None:
    """Share of the words of the thinking that are in the problem's language; None where it has no words, 0 where they
    are the prompt's own."""
    thinking = judged.response.thinking
    if _repeats_the_prompt(judged):
        return 0.0
    return None if thinking is None else language_share(thinking, judged.problem.language)


def preference(judged: Judged) -> float | None:
    """What the reward model of the problem's route makes of the response (Nature eq. 10); None for reasoning, which no
    reward model judges."""
    return None if judged.problem.route == "reasoning" else judged.preference


def by_judge(name: str) -> RewardFunction:
    """What the judge of this name gives; None where it has nothing to say of such a problem."""
    return lambda judged: judged.grades.get(name)


def length(judged: Judged) -> float:
    """DAPO's soft penalty over the last fifth of the length limit."""
    return overlong_penalty(judged.completion_tokens, judged.max_tokens, _BUFFER_RATIO)


def overlong_penalty(tokens: int, max_tokens: int, buffer_ratio: float) -> float:
    """DAPO eq. 13 (arXiv 2503.14476): 0 up to max_tokens minus the buffer, then linear to -1 at max_tokens, where the
    buffer is `buffer_ratio` of max_tokens."""
    buffer = buffer_ratio * max_tokens
    return -min(1.0, max(0.0, (tokens - (max_tokens - buffer)) / buffer))


def repetition(judged: Judged) -> float:
    """Minus the share of runs of 10 words (Chinese: characters) that occurred before: 0 for none, nearly -1 for a
    loop."""
    response = judged.response
    pieces = _PIECE.findall(f"{response.thinking or ''}\n{response.answer or ''}")
    runs = [tuple(pieces[start : start + _NGRAM]) for start in range(len(pieces) - _NGRAM + 1)]
    return (len(set(runs)) - len(runs)) / len(runs) if runs else 0.0
