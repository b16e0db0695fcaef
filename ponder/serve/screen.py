"""What `ponder chat` shows: a thought that runs dim and folds to one line, the answer as it comes, votes, badge, meter.

Whatever a model or a server says is text: control characters are written out, so that a terminal obeys nobody.
"""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ponder.serve.said import Said
from ponder.terminal import shown

__all__ = ["Screen"]

_PAINTS = 12
"""A second, at most."""
_BAR = 24
_BADGES = {
    "right": ("checked: right", "green"),
    "wrong": ("checked: wrong", "red"),
    "cannot_tell": ("could not be checked", "dim"),
}


class Screen:
    """One reply at a time: `begin`, `show` as often as something comes, `end`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._written = 0
        self._painted = 0.0

    def begin(self) -> None:
        """A reply is waited for."""
        self._written = 0
        self._live = None
        if self.console.is_terminal:
            self._live = Live(Text("...", "dim"), console=self.console, refresh_per_second=_PAINTS, transient=True)
            self._live.start()

    def show(self, said: Said) -> None:
        """Something came."""
        if said.node.content.strip():
            self._fold(said)
            self._write(said.node.content)
        elif self._live is not None and time.monotonic() - self._painted > 1 / _PAINTS:
            self._painted = time.monotonic()
            self._live.update(self._running(said))

    def end(self, said: Said) -> None:
        """It is over, however it went."""
        self._fold(said)
        self._write(said.node.content)
        if self._written:
            self.console.print()
        own = said.node.ponder or {}
        if isinstance(vote := own.get("vote"), Mapping):
            counts = dict(vote.get("counts") or {})
            most = max(counts.values(), default=0)
            of = vote.get("of") or max(sum(counts.values()), len(own.get("samples") or ()))  # some have no answer
            self.console.print(_bars(counts, f"{most} of {of} samples agree; agreement is no check"))
        if isinstance(check := own.get("check"), Mapping):
            words, style = _BADGES.get(str(check.get("outcome")), _BADGES["cannot_tell"])
            reason = f": {check['reason']}" if check.get("reason") else ""
            self.say(f"({words}{reason})", style)
        for note in own.get("notes") or ():
            self.say(f"({note})")
        self.say(f"({', '.join(_meter(said))})")

    def say(self, text: str, style: str = "dim") -> None:
        """A line that is no part of the reply."""
        self.console.print(Text(shown(text), style), soft_wrap=True)

    def thought(self, text: str) -> None:
        """A whole thought."""
        self.console.print(Text(shown(text.strip()), "dim"), soft_wrap=True)

    def _running(self, said: Said) -> Group:
        """The end of the thought, as much as the screen holds, or how the vote goes."""
        if said.vote is not None:
            return Group(_bars(said.vote.counts, f"Voting: {said.vote.done} of {said.vote.of} samples"))
        height = max(3, self.console.height // 3)
        end = (said.node.reasoning_content or "")[-height * self.console.width :]
        lines = Text(shown(end), "dim").wrap(self.console, self.console.width)[-height:]
        head = f"Thinking for {_thinking(said)} (Ctrl-\\ answers now)"
        return Group(Text(head if said.thinks else "...", "dim italic"), *lines)

    def _fold(self, said: Said) -> None:
        """The thought becomes one line, once."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        elif self.console.is_terminal or self._written:
            return
        if said.node.reasoning_content and not self._written:
            self.say(f"Thought for {_thinking(said)} (/thought shows it)", "dim italic")

    def _write(self, answer: str) -> None:
        """What is new of the answer; blanks before it are none of it."""
        if not self._written:
            self._written = len(answer) - len(answer.lstrip())
            if self._written == len(answer):
                self._written = 0
                return
        self.console.print(Text(shown(answer[self._written :])), end="", soft_wrap=True)
        self._written = len(answer)


def _thinking(said: Said) -> str:
    tokens = "" if said.thinking_tokens is None else f", {said.thinking_tokens} tokens"
    return f"{said.thinking_seconds:.1f} s{tokens}"


def _bars(counts: Mapping[str, int], title: str) -> Text:
    """A line for each answer, the most frequent first."""
    most = max(counts.values(), default=1)
    found = Text(shown(title), "dim")
    for answer, count in sorted(counts.items(), key=lambda one: -one[1]):
        name = shown(answer).replace("\n", " ")[:24] or "(no answer)"
        found.append(f"\n  {name:24} {'#' * max(1, round(_BAR * count / most)):{_BAR}} {count}", "not dim")
    return found


def _meter(said: Said) -> list[str]:
    """How it ended and what it took."""
    usage: Mapping[str, Any] = said.node.usage or {}
    parts = [said.node.ended or "no reason given"]
    if usage:
        hit = usage.get("prompt_cache_hit_tokens") or 0
        parts += [f"{usage.get('completion_tokens')} tokens", f"prompt {usage.get('prompt_tokens')} ({hit} cached)"]
    if cost := (said.node.ponder or {}).get("cost"):
        parts.append(f"{cost['amount']:g} {cost['currency']}")
    return parts
