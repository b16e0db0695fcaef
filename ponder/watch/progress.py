"""Live progress of a stage: a small table on a terminal, one plain line per report elsewhere.

`step` is called once per step with its metrics, `tick` as often as one likes within a step, `say` for a line that
stays.
"""

import time
from collections import deque
from collections.abc import Mapping

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from ponder.terminal import shown, terminal
from ponder.watch.pace import Pace, seconds_text
from ponder.watch.phases import seconds_spent

__all__ = ["Progress"]

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
_BAR = 20


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
        self._console = console or terminal()
        self._line_seconds, self._tick_seconds = line_seconds, tick_seconds
        self._last_line = float("-inf")
        self._work, self._work_done, self._work_pace = "", 0, Pace(0, 0.0)  # what goes on within a step
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

    def tick(self, doing: str, done: int | None = None, total: int | None = None, pace: str = "") -> None:
        """What goes on within the step; `pace` is told in place of the rate. Example: tick("generate", 120, 256)."""
        now = time.perf_counter()
        if doing != self._work or (done or 0) < self._work_done:
            self._work, self._work_pace = doing, Pace(done or 0, now)
        self._work_done = done or 0
        self._doing = doing if done is None else f"{doing} {done:,}" + ("" if total is None else f" of {total:,}")
        if self._live is not None:
            self._refresh()
        elif now - self._last_tick >= self._tick_seconds:
            self._last_tick = now
            self._print(f"{self._title}: {self._doing}{pace or self._work_pace.text(done or 0, total)}")

    def step(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """Step `step` of `steps` is finished and showed these metrics; keys not given keep their last value, but for
        seconds, which are those of this step."""
        self._done = step
        self._ends.append(time.perf_counter())
        kept = {key: value for key, value in self._shown.items() if not key.startswith("seconds/")}
        self._shown = kept | {key: value for key, value in metrics.items() if value is not None}
        self._doing = ""
        self._work, self._work_done = "", 0
        if self._live is not None:
            self._refresh()
            return
        now = self._last_tick = time.perf_counter()
        if now - self._last_line >= self._line_seconds or step >= self._steps:
            self._last_line = now
            self._print(self._line())

    def _print(self, line: str) -> None:
        wraps_itself = self._live is None  # rich must know how many lines there are above what it redraws
        self._console.print(shown(line), markup=False, soft_wrap=wraps_itself)

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
        spent = seconds_spent(self._shown)
        return ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent.items() if seconds >= 0.05)

    def _line(self) -> str:
        facts = [f"{label} {value}" for label, value in self._facts()]
        phases = self._phases()
        total = self._shown.get("seconds/step")
        if total is not None:
            facts.append(f"{total:.1f} s" + (f" ({phases})" if phases else ""))
        return "  ".join([f"{self._title} step {self._done}/{self._steps}", *facts, self._left()]).rstrip()

    def _render(self) -> RenderableType:
        """Each fact is whole, and as many stand beside each other as fit."""
        head: tuple[RenderableType, ...] = (
            _whole(self._title, style="bold"),
            ProgressBar(total=self._steps, completed=self._done, width=_BAR),
            _whole(f"{self._done}/{self._steps}"),
            *(_whole(text, style="dim") for text in (self._left(), self._doing) if text),
        )
        facts = [Group(_whole(label, style="dim"), _whole(value)) for label, value in self._facts()]
        phases = self._phases()
        return Group(
            Columns(head, padding=(0, 2)),
            *([Columns(facts, padding=(0, 3))] if facts else []),
            *([_whole(f"seconds: {phases}", style="dim")] if phases else []),
        )


def _whole(text: str, style: str = "") -> Text:
    return Text(text, style=style, overflow="fold")  # what is wider than the terminal goes on in the next line


def _number(value: float, form: str) -> str:
    if form == "share":
        return f"{100 * value:.0f} %"
    return f"{value:,.0f}" if form == "count" else f"{value:.3g}"
