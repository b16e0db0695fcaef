"""What an audit says of the equations of a thought."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["audit", "audit_note"]


def audit(claims: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The counts of each outcome, and the claims themselves with their places in the thinking."""
    counts = Counter(claim["outcome"] for claim in claims)
    return {name: counts[name] for name in ("right", "wrong", "cannot_tell")} | {"claims": [dict(c) for c in claims]}


def audit_note(claims: Sequence[Mapping[str, Any]]) -> str | None:
    """The first wrong equation in words, or None where none is wrong."""
    wrong = [claim for claim in claims if claim["outcome"] == "wrong"]
    if not wrong:
        return None
    some = f"{len(wrong)} of {len(claims)} equations in the thinking {'is' if len(wrong) == 1 else 'are'} wrong"
    return f"{some}: {wrong[0]['text']} ({wrong[0]['reason']})"
