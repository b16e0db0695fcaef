"""What the user of `ponder chat` wants of replies beside their text: a vote, a budget, a check. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ponder.compute.check_words import check_said
from ponder.errors import DataError

__all__ = ["Wish"]

_MOST_VOTES = 256
_MOST_RETRIES = 64
_MOST_TOKENS = 10**9


@dataclass(slots=True)
class Wish:
    """Each `set_...` takes what was typed after its command and gives the line that says what holds now."""

    vote: int | None = None
    budget: int | None = None
    thinking: bool = True
    check: Mapping[str, Any] | None = None
    retries: int | None = None
    audit: bool = False

    def set_vote(self, text: str) -> str:
        """`/vote 16`"""
        if text and not _is_count(text, 2, _MOST_VOTES):
            return f"/vote N takes 2 to {_MOST_VOTES} samples; /vote alone ends it."
        self.vote = int(text) if text else None
        if self.vote is None:
            return self._sampled()
        ended, self.retries = self.retries, None
        return f"{self._sampled()}{' /retries has ended.' if ended else ''}"

    def set_budget(self, text: str) -> str:
        """`/budget 200`"""
        if text and not _is_count(text, 1, _MOST_TOKENS):
            return (
                f"/budget N takes 1 to {_MOST_TOKENS} tokens; /think off leaves the thinking out, /budget alone ends "
                f"the budget."
            )
        self.budget = int(text) if text else None
        return "Thinking is unlimited." if self.budget is None else f"Thinking ends after {self.budget} tokens."

    def set_thinking(self, text: str) -> str:
        """`/think off`"""
        if text not in ("on", "off"):
            return "/think on or /think off."
        self.thinking = text == "on"
        return f"Thinking is {text}."

    def set_check(self, text: str) -> str:
        """`/check math 42`"""
        if not text:
            ended = " No more samples are asked for after a check that fails." if self.retries else ""
            self.check = self.retries = None
            return f"Answers are not checked.{ended}"
        try:
            self.check = check_said(text)
        except DataError as error:
            return f"{error} /check alone ends it."
        return f"Answers are checked: {text}."

    def set_retries(self, text: str) -> str:
        """`/retries 4`"""
        if text and not _is_count(text, 1, _MOST_RETRIES):
            return f"/retries N takes 1 to {_MOST_RETRIES}; /retries alone ends it."
        if text and self.check is None:
            return "/retries asks again after a check that fails: say with /check what the answer is checked against."
        self.retries = int(text) if text else None
        if self.retries is None:
            return self._sampled()
        ended, self.vote = self.vote, None
        return f"{self._sampled()}{' /vote has ended.' if ended else ''}"

    def set_audit(self, text: str) -> str:
        """`/audit on`"""
        if text not in ("on", "off"):
            return "/audit on or /audit off."
        self.audit = text == "on"
        return f"The equations of the thinking are {'' if self.audit else 'not '}looked at."

    def _sampled(self) -> str:
        if self.vote is not None:
            return f"{self.vote} samples vote."
        return (
            "One sample answers." if self.retries is None else f"Up to {self.retries} more samples until one is right."
        )

    def body(self) -> dict[str, Any]:
        """The fields of a request. What is not wished for is not sent, so that any server takes it."""
        own: dict[str, Any] = {} if self.vote is None else {"vote": self.vote, "samples": True}
        if self.check is not None:
            own["check"] = dict(self.check)
            if self.retries is not None:
                own |= {"retries": self.retries, "samples": True}
        if self.audit:
            own["audit"] = True
        fields: dict[str, Any] = {"ponder": own} if own else {}
        if self.budget is not None:
            fields["thinking_token_budget"] = self.budget
        if not self.thinking:
            fields["thinking"] = {"type": "disabled"}
        return fields

    def missed(self, own: Mapping[str, Any]) -> list[str]:
        """What was wished for and is not in the reply's `ponder`."""
        found = []
        if self.vote is not None and "vote" not in own:
            found.append("the server did not vote: the answer is of one sample")
        if self.check is not None and "check" not in own:
            found.append("the server did not check the answer")
        if self.audit and "audit" not in own:
            found.append("the server did not look at the equations of the thinking")
        return found


def _is_count(text: str, least: int, most: int) -> bool:
    return text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most
