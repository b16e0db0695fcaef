"""Live progress of a stage: a small table on a terminal, one plain line per report elsewhere.

`step` is called once per step with its metrics, `tick` as often as one likes within a step, `say` for a line that
stays.
"""

import time
from collections import deque
from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = ["Progress", "seconds_text"]

_SHOWN = (
    ("accuracy", "rollout/accuracy", "share"),
    ("held-out", "evaluation/pass@1", "share"),
    ("length", "rollout/mean_tokens", "count"),
    ("truncated", "rollout/truncated", "share"),
    ("useful groups", "groups/useful", "share"),
    ("entropy", "policy/entropy", "number"),
    ("KL", "policy/kl", "number"),
    ("loss", "loss/next_token", "number"),
    ("validation", "loss/validation", "number"),
    ("loss", "loss/scorer", "number"),
    ("right", "scorer/train_accuracy", "share"),
    ("tokens/s", "speed/tokens_per_second", "count"),
)
_PACE_STEPS = 20  # the pace of these last steps tells the time left
_PHASES = ("generate", "verify", "score", "reference", "update", "save", "evaluate")


def seconds_text(seconds: float) -> str:
    """Example: 7.4 s, 4m 07s, 2h 05m."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60}m {whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h {whole % 3600 // 60:02d}m"


class Progress:
    """Shows how a stage of `steps` steps goes on; a context manager.

    Give a `console` of your own to choose where it is shown. On a terminal the table is redrawn in place; elsewhere
    lines are at least `line_seconds` apart, so that thousands of fast steps do not flood a log; the first and the last
    step always have theirs, and what goes on within a step has one every `tick_seconds`.
    """

    def __init__(
        self,
        title: str,
        steps: int,
        *,
        done: int = 0,
        console: Console | None = None,
        line_seconds: float = 2.0,
        tick_seconds: float = 60.0,
    ) -> None:
        self._title = title
        self._steps = steps
        self._done = done
        self._console = console or Console(highlight=False)
        self._line_seconds, self._tick_seconds = line_seconds, tick_seconds
        self._last_line = float("-inf")
        self._work: tuple[str, int, float] = ("", 0, 0.0)  # what goes on, what of it was done when it began, and when
        self._last_tick = time.perf_counter()
        self._ends = deque([time.perf_counter()], maxlen=_PACE_STEPS + 1)
        self._shown: dict[str, float] = {}
        self._doing = ""
        self._live: Live | None = None

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live = Live(self._render(), console=self._console, refresh_per_second=4, transient=False)
            self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._doing = ""
            self._live.update(self._render())
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """A line that stays, above the table where there is one."""
        self._print(text)

    def begin(self) -> None:
        """The first step begins now: what was done before it says nothing about the pace."""
        self._ends = deque([time.perf_counter()], maxlen=_PACE_STEPS + 1)

    def tick(self, doing: str, done: int | None = None, total: int | None = None) -> None:
        """What goes on within the step. Example: tick("generate", 120, 256)."""
        now = time.perf_counter()
        if doing != self._work[0] or (done or 0) < self._work[1]:
            self._work = doing, done or 0, now
        self._doing = doing if done is None else f"{doing} {done:,}" + ("" if total is None else f" of {total:,}")
        if self._live is not None:
            self._refresh()
        elif now - self._last_tick >= self._tick_seconds:
            self._last_tick = now
            self._print(f"{self._title}: {self._doing}{self._rate(done, total, now)}")

    def step(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """Step `step` of `steps` is finished and showed these metrics; keys not given keep their last value, but for
        seconds, which are those of this step."""
        self._done = step
        self._ends.append(time.perf_counter())
        kept = {key: value for key, value in self._shown.items() if not key.startswith("seconds/")}
        self._shown = kept | {key: value for key, value in metrics.items() if value is not None}
        self._doing = ""
        self._work = "", 0, 0.0
        if self._live is not None:
            self._refresh()
            return
        now = self._last_tick = time.perf_counter()
        if now - self._last_line >= self._line_seconds or step >= self._steps:
            self._last_line = now
            self._print(self._line())

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def _rate(self, done: int | None, total: int | None, now: float) -> str:
        """How fast what goes on within a step does, and how long it will take."""
        _, before, began = self._work
        if done is None or done <= before or now <= began:
            return ""
        rate = (done - before) / (now - began)
        left = "" if total is None else f", {seconds_text((total - done) / rate)} left"
        return f", {rate:.3g} a second{left}"

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._render())

    def _pace(self) -> float | None:
        """Seconds per step over the last steps."""
        passed = len(self._ends) - 1
        return (self._ends[-1] - self._ends[0]) / passed if passed else None

    def _left(self) -> str:
        pace = self._pace()
        return "" if pace is None else f"{seconds_text(pace * (self._steps - self._done))} left"

    def _facts(self) -> list[tuple[str, str]]:
        return [(label, _number(self._shown[key], form)) for label, key, form in _SHOWN if key in self._shown]

    def _phases(self) -> str:
        spent = [(name, self._shown.get(f"seconds/{name}", 0.0)) for name in _PHASES]
        return ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent if seconds >= 0.05)

    def _line(self) -> str:
        facts = [f"{label} {value}" for label, value in self._facts()]
        phases = self._phases()
        total = self._shown.get("seconds/step")
        if total is not None:
            facts.append(f"{total:.1f} s" + (f" ({phases})" if phases else ""))
        return "  ".join([f"{self._title} step {self._done}/{self._steps}", *facts, self._left()]).rstrip()

    def _render(self) -> RenderableType:
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(self._title, style="bold"),
            ProgressBar(total=self._steps, completed=self._done, width=30),
            Text(f"{self._done}/{self._steps}"),
            Text(self._left(), style="dim"),
            Text(self._doing, style="dim"),
        )
        facts = Table.grid(padding=(0, 3))
        cells = self._facts()
        if not cells:
            return head
        facts.add_row(*(Text(label, style="dim") for label, _ in cells))
        facts.add_row(*(Text(value) for _, value in cells))
        phases = self._phases()
        return Group(head, facts, *([Text(f"seconds: {phases}", style="dim")] if phases else []))


def _number(value: float, form: str) -> str:
    if form == "share":
        return f"{100 * value:.0f} %"
    return f"{value:,.0f}" if form == "count" else f"{value:.3g}"
