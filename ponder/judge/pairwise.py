"""Which of two answers is better? In the manner of Arena-Hard, as R1's helpfulness pairs were made (R1 v2, B.2): the
judge first answers by itself, then gives one of five verdicts. The wording is ours."""

import re

from ponder.records import Message, Problem

__all__ = ["VERDICTS", "ask_preference", "read_preference"]

VERDICTS = {"A>>B": 2, "A>B": 1, "A=B": 0, "B>A": -1, "B>>A": -2}
"""What a verdict counts for answer A. The paper states no numbers."""

_PROMPT = """\
Two assistants, A and B, answered the user's prompt below. Decide whose answer is better.

First write the answer that you would give to the prompt yourself. Then compare both answers with yours and name their \
mistakes. Then weigh, in this order: is the answer helpful (does it do what the prompt asks, or ask back where that is \
needed), relevant (nothing beside the point), concise (not longer than it needs to be); after that creativity, and \
information that is missing and would have been useful. Neither order nor length nor tone of the answers decides.

<prompt>
{prompt}
</prompt>

<answer_A>
{first}
</answer_A>

<answer_B>
{second}
</answer_B>

End with exactly one of these verdicts:
[[A>>B]] A is much better
[[A>B]] A is a little better
[[A=B]] they are about equal
[[B>A]] B is a little better
[[B>>A]] B is much better"""

_VERDICT = re.compile(r"\[\[\s*(A\s*>>\s*B|A\s*>\s*B|A\s*=\s*B|B\s*>\s*A|B\s*>>\s*A)\s*\]\]")


def ask_preference(problem: Problem, first: str, second: str) -> tuple[Message, ...]:
    """What the judge is asked: the conversation before the last turn stands with the prompt."""
    return (Message(role="user", content=_PROMPT.format(prompt=problem.conversation, first=first, second=second)),)


def read_preference(text: str) -> int | None:
    """From 2 to -2 for A; None where no verdict stands there, or different ones."""
    found = {"".join(match.split()) for match in _VERDICT.findall(text)}
    return VERDICTS[found.pop()] if len(found) == 1 else None
