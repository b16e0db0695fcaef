"""Line and area charts as SVG text. Colours come from the page's style sheet (classes c0, c1, ...), so that one chart
serves light and dark pages; axes carry units; long series are averaged down to what a screen can show."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

__all__ = ["Chart", "Point", "Series", "draw", "nice_ticks", "number_text", "thin"]

Point = tuple[float, float]
Form = Literal["share", "number"]

_WIDTH, _HEIGHT = 520, 232
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 12, 26, 34
_MAX_POINTS = 300
_COLOURS = 8
_SMOOTHED_FROM = 24  # points; shorter series are shown as they are


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A line of (step, value) points, in order of step. `colour` counts the lines of a chart: eight colours, then the
    same ones with dashed lines. `low` and `high`, aligned with the points, make a band around
    it; `marks` puts a dot on each point; `smooth` draws a running mean over the faint raw line."""

    label: str
    points: Sequence[Point]
    colour: int = 0
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    marks: bool = False
    smooth: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One figure. `unit` stands on the vertical axis; `stacked` piles the series up as areas, the first at the
    bottom."""

    title: str
    unit: str
    series: Sequence[Series]
    form: Form = "number"
    note: str = ""
    stacked: bool = False


def number_text(value: float, form: Form = "number") -> str:
    """Example: 0.25 as a share is 25 %; 12345 is 12,345; 0.00031 is 0.00031; what is no number is -."""
    if not math.isfinite(value):
        return "-"
    if form == "share":
        percent = 100 * value
        return f"{percent:.0f} %" if abs(percent - round(percent)) < 0.05 else f"{percent:.1f} %"
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.1e}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` + 1 round numbers (1, 2 or 5 times a power of ten apart) from one at or below `low` to one at or
    above `high`."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10, 20) if _count(low, high, size * power) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _count(low: float, high: float, step: float) -> int:
    return math.ceil(high / step - 1e-9) - math.floor(low / step + 1e-9)


def thin(points: Sequence[Point], most: int = _MAX_POINTS) -> list[Point]:
    """The points, neighbours averaged where there are more than `most`."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / most)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _running_mean(points: Sequence[Point]) -> list[Point]:
    widest = max(1, len(points) // 20)
    found = []
    for i, (x, _) in enumerate(points):
        half = min(widest, i, len(points) - 1 - i)  # as many on either side, so that the ends do not bend
        near = points[i - half : i + half + 1]
        found.append((x, sum(y for _, y in near) / len(near)))
    return found


def draw(chart: Chart) -> str:
    """The chart as a `<figure>`."""
    series = [s for s in chart.series if s.points]
    if chart.stacked:
        series = _stack(series)
    scale = _Scale(series, chart)
    legend = "".join(f'<span class="key {_look(s)}">{escape(s.label)}</span>' for s in series)
    parts = [*scale.grid(), *(shape for s in series for shape in _shapes(s, chart, scale))]
    note = f"<small>{escape(chart.note)}</small>" if chart.note else ""
    return (
        f"<figure><figcaption><b>{escape(chart.title)}</b>{note}</figcaption>"
        f'<div class="legend">{legend if len(series) > 1 else ""}</div>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(_spoken(chart))}" '
        f'data-hover="{escape(_hover(series, chart, scale))}">{"".join(parts)}</svg></figure>'
    )


class _Scale:
    """From steps and values to places in the picture."""

    def __init__(self, series: Sequence[Series], chart: Chart) -> None:
        self._chart = chart
        steps = [x for s in series for x, _ in s.points]
        values = [y for s in series for _, y in s.points]
        values += [y for s in series for y in (*(s.low or ()), *(s.high or ()))]
        low, high = min(values), max(values)
        # A curve is read against zero unless it lives far from it.
        if low >= 0 and (low < 0.6 * high or low == high or chart.stacked):
            low = 0.0
        if chart.form == "share":
            high = min(1.0, max(high, 0.05))
        self.y_ticks = nice_ticks(low, high)
        self.x_ticks = [x for x in nice_ticks(min(steps), max(steps), 7) if x == round(x)]
        self._x0, self._x1 = min(steps), max(max(steps), min(steps) + 1)
        self._y0, self._y1 = self.y_ticks[0], self.y_ticks[-1]

    def x(self, step: float) -> float:
        return round(_LEFT + (step - self._x0) / (self._x1 - self._x0) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        inside = min(max(value, self._y0), self._y1)
        return round(_HEIGHT - _BOTTOM - (inside - self._y0) / (self._y1 - self._y0) * (_HEIGHT - _TOP - _BOTTOM), 1)

    def grid(self) -> list[str]:
        bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
        parts = []
        for tick in self.y_ticks:
            y, kind = self.y(tick), "axis" if tick == self.y_ticks[0] else "grid"
            parts.append(f'<line class="{kind}" x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}"/>')
            parts.append(
                f'<text class="tick" x="{_LEFT - 7}" y="{y + 3.5}" text-anchor="end">'
                f"{number_text(tick, self._chart.form)}</text>"
            )
        for tick in self.x_ticks:
            if self._x0 <= tick <= self._x1:
                parts.append(
                    f'<text class="tick" x="{self.x(tick)}" y="{bottom + 15}" text-anchor="middle">{tick:,.0f}</text>'
                )
        parts.append(
            f'<text class="unit" x="{right}" y="{_HEIGHT - 3}" text-anchor="end">step</text>'
            f'<text class="unit" x="{_LEFT - 7}" y="11" text-anchor="start">{escape(self._chart.unit)}</text>'
        )
        return parts


def _look(series: Series) -> str:
    """The classes of a series in the page's style sheet."""
    return f"c{series.colour % _COLOURS}" + (" dashed" if series.colour >= _COLOURS else "")


def _shapes(series: Series, chart: Chart, scale: _Scale) -> list[str]:
    colour = _look(series)
    parts = []
    if series.low is not None and series.high is not None:
        steps = [x for x, _ in series.points]
        upper = _path(list(zip(steps, series.high, strict=True)), scale)
        lower = _path(list(zip(steps, series.low, strict=True))[::-1], scale).replace("M", "L", 1)
        kind = "area" if chart.stacked else "band"
        parts.append(f'<path class="{kind} {colour}" d="{upper}{lower}Z"/>')
        if chart.stacked:
            return parts
    points = thin(series.points)
    if series.smooth and len(points) >= _SMOOTHED_FROM:
        parts.append(f'<path class="line faint {colour}" d="{_path(points, scale)}"/>')
        points = _running_mean(points)
    if len(points) > 1:
        parts.append(f'<path class="line {colour}" d="{_path(points, scale)}"/>')
    if series.marks or len(points) == 1:
        parts += [f'<circle class="{colour}" cx="{scale.x(x)}" cy="{scale.y(y)}" r="3"/>' for x, y in points]
    return parts


def _path(points: Sequence[Point], scale: _Scale) -> str:
    return "M" + "L".join(f"{scale.x(x)} {scale.y(y)}" for x, y in points)


def _stack(series: Sequence[Series]) -> list[Series]:
    """Each series as the area between the sum of those below it and that sum with it; missing steps count 0."""
    steps = sorted({x for s in series for x, _ in s.points})
    below = [0.0] * len(steps)
    found = []
    for one in series:
        values = dict(one.points)
        points = thin([(x, values.get(x, 0.0)) for x in steps])
        if len(below) != len(points):
            below = [0.0] * len(points)
        top = [base + y for base, (_, y) in zip(below, points, strict=True)]
        found.append(Series(label=one.label, points=points, colour=one.colour, low=below, high=top))
        below = top
    return found


def _spoken(chart: Chart) -> str:
    """The chart in words, for those who do not see it."""
    spans = [
        f"{s.label} from {number_text(s.points[0][1], chart.form)} to {number_text(s.points[-1][1], chart.form)}"
        for s in chart.series
        if s.points
    ]
    return f"{chart.title}: {', '.join(spans)}"


def _hover(series: Sequence[Series], chart: Chart, scale: _Scale) -> str:
    """What the page's script needs to tell the values under the pointer."""
    lines = []
    for one in series:
        points = thin(one.points)
        lines.append(
            {
                "label": one.label,
                "x": [scale.x(x) for x, _ in points],
                "step": [round(x) for x, _ in points],
                "text": [number_text(y, chart.form) for _, y in points],
            }
        )
    return json.dumps(lines, separators=(",", ":"))
