"""The rules on one response. Each says nothing, or a reason that is counted and a detail to read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from ponder.curate.candidate import Candidate, Rejected
from ponder.curate.readable import unreadable
from ponder.recipe.sample import Keep
from ponder.text.language import language_share
from ponder.text.think import Response

__all__ = ["MENDED", "RULES", "as_written", "why_not"]

_TAG = re.compile(r"</?(?:think|answer)>")

Rule = Callable[[Candidate, Keep], tuple[str, str] | None]


def _whole(candidate: Candidate, keep: Keep) -> tuple[str, str] | None:
    reply, response = candidate.reply, candidate.response
    if reply.failure:
        return "failed", reply.failure
    if reply.finish_reason == "length" and not keep.unfinished:
        limit = None if reply.talk is None else reply.talk.cut
        return "cut", "cut at the length limit" if limit in (None, "tokens") else f"cut at the limit of {limit}"
    if candidate.fault:
        return "not_well_formed", candidate.fault
    if not response.answer:
        return "no_answer", response.problem
    if keep.unfinished:
        return None
    return None if response.well_formed else ("not_well_formed", response.problem)


def _length(candidate: Candidate, keep: Keep) -> tuple[str, str] | None:
    if keep.min_tokens is None and keep.max_tokens is None:
        return None
    tokens = candidate.reply.completion_tokens
    if tokens is None:
        return "length_unknown", "the server did not count the tokens"
    if keep.min_tokens is not None and tokens < keep.min_tokens:
        return "too_short", f"{tokens} tokens, fewer than {keep.min_tokens}"
    if keep.max_tokens is not None and tokens > keep.max_tokens:
        return "too_long", f"{tokens} tokens, more than {keep.max_tokens}"
    return None


def _correct(candidate: Candidate, keep: Keep) -> tuple[str, str] | None:
    if not keep.correct:
        return None
    verdict = candidate.verdict
    if verdict is None:
        return "no_gold", "no answer to check against; keep.judged reads references, other rules need none"
    return None if verdict.outcome == "right" else (verdict.outcome, verdict.reason)


def _readable(candidate: Candidate, keep: Keep) -> tuple[str, str] | None:
    if keep.readable is None:
        return None
    judged = candidate.judged(max_tokens=1)
    for response in candidate.responses:
        fault = unreadable(replace(judged, response=response), keep.readable)
        if fault is not None:
            return "unreadable", fault
    return None


def _one_language(candidate: Candidate, keep: Keep) -> tuple[str, str] | None:
    if keep.one_language is None:
        return None
    for response in candidate.responses:
        share = language_share(response.thinking or "", candidate.problem.language)
        if share is not None and share < keep.one_language:
            return "mixed_language", f"{share:.0%} of the thinking is in {candidate.problem.language!r}"
    return None


def _own(candidate: Candidate, keep: Keep) -> tuple[str, str] | None:
    for name in keep.own:
        called = candidate.own[name]
        if called.failure is not None:
            return "own_failed", called.failure.reason
        if not called.value:
            return name, "your rule does not keep it"
    return None


RULES: Mapping[str, Rule] = {
    "whole": _whole,
    "length": _length,
    "correct": _correct,
    "readable": _readable,
    "one_language": _one_language,
    "own": _own,
}
"""The rules in the order in which they are asked."""

MENDED = frozenset({"readable", "one_language"})
"""Rules that rewriting can satisfy, so they are asked after it only."""


def as_written(response: Response, text: str) -> Response:
    """The response with what was written, tags left out, in place of the thought and the answer that are missing."""
    written = _TAG.sub("", text).strip()
    return replace(response, thinking=response.thinking or written, answer=response.answer or written)


def why_not(candidate: Candidate, keep: Keep, leave_out: frozenset[str] = frozenset()) -> Rejected | None:
    """The first rule that the candidate breaks, those in `leave_out` not asked; None if it is kept."""
    for name, rule in RULES.items():
        if name not in leave_out:
            fault = rule(candidate, keep)
            if fault is not None:
                return Rejected(id=candidate.id, reason=fault[0], detail=fault[1])
    return None
