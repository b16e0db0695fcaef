"""Charts by value: ticks, scales, averaging, what is drawn."""

import json
import re
from html import unescape
from itertools import pairwise
from math import inf, nan
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.report.chart import Chart, Form, Point, Series, draw, nice_ticks, number_text, thin


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 0.034, [0, 0.01, 0.02, 0.03, 0.04]),
        (0, 257, [0, 100, 200, 300]),
        (94.5, 96.6, [94.5, 95, 95.5, 96, 96.5, 97]),
        (3, 3, [3, 4, 5, 6]),
        (-0.3, 0.4, [-0.4, -0.2, 0, 0.2, 0.4]),
    ],
)
def test_nice_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


@given(low=st.floats(-1e6, 1e6, allow_nan=False), width=st.floats(1e-3, 1e6, allow_nan=False), most=st.integers(2, 8))
def test_ticks_cover_the_range_and_are_few(low: float, width: float, most: int) -> None:
    ticks = nice_ticks(low, low + width, most)
    assert ticks[0] <= low + 1e-6 * width
    assert ticks[-1] >= low + width - 1e-6 * width
    assert 2 <= len(ticks) <= most + 1
    gaps = [b - a for a, b in pairwise(ticks)]
    assert max(gaps) == pytest.approx(min(gaps), rel=1e-3, abs=1e-9)


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.25, "share", "25 %"),
        (0.254, "share", "25.4 %"),
        (1.0, "share", "100 %"),
        (12345.6, "number", "12,346"),
        (0.00031, "number", "0.00031"),
        (2.5e-6, "number", "2.5e-06"),
        (0, "number", "0"),
        (nan, "share", "-"),
        (nan, "number", "-"),
        (inf, "number", "-"),
    ],
)
def test_number_text(value: float, form: Form, text: str) -> None:
    assert number_text(value, form) == text


def test_thin_keeps_the_mean() -> None:
    points: list[Point] = [(float(i), float(i % 7)) for i in range(10_000)]
    few = thin(points, 300)
    assert 250 < len(few) <= 300
    assert sum(y for _, y in few) / len(few) == pytest.approx(sum(y for _, y in points) / len(points), abs=0.02)
    assert thin(points[:300], 300) == points[:300]


def svg(chart: Chart) -> ElementTree.Element:
    found = ElementTree.fromstring(draw(chart)).find("svg")
    assert found is not None
    return found


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def test_a_line_stands_where_its_values_are() -> None:
    line = Series(
        label="a", points=[(0, 0.0), (5, 0.5), (10, 1.0)], low=[0, 0.4, 0.9], high=[0.1, 0.6, 1.0], marks=True
    )
    picture = svg(Chart(title="T", unit="share", series=[line], form="share"))
    band, path = (e.attrib for e in picture.findall("path"))
    (x0, y0), (x1, y1), (x2, y2) = places(path["d"])
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert x0 < x2 and y0 > y2
    assert band["class"] == "band c0"
    assert len(places(band["d"])) == 6
    assert len(picture.findall("circle")) == 3
    ticks = [e.text for e in picture.findall("text")]
    assert {"0 %", "20 %", "100 %", "step", "share"} <= set(ticks)


def test_stacked_areas_lie_on_each_other() -> None:
    first = Series(label="generate", points=[(1, 2.0), (2, 2.0)])
    second = Series(label="update", points=[(2, 1.0)], colour=1)  # nothing at step 1
    picture = svg(Chart(title="T", unit="s", series=[first, second], stacked=True))
    below, above = (places(e.attrib["d"]) for e in picture.findall("path"))
    assert below[:2] == [above[3], above[2]]  # the top of the first is the bottom of the second
    assert above[0] == below[0]
    assert above[1][1] < below[1][1]


def test_from_the_ninth_on_lines_have_the_same_colours_and_dashes() -> None:
    series = [Series(label=f"r{i}", points=[(0, i), (1, i)], colour=i) for i in range(10)]
    figure = draw(Chart(title="Rewards", unit="mean", series=series))
    assert 'class="line c7"' in figure and 'class="line c0 dashed"' in figure and 'class="key c1 dashed"' in figure
    assert "c8" not in figure and "c9" not in figure


def test_texts_are_escaped_and_the_hover_data_can_be_read() -> None:
    line = Series(label='<b>"x"</b>', points=[(0, 1.0), (4, 3.0)])
    text = draw(Chart(title="a < b & c", unit="u", series=[line, Series(label="none", points=[])]))
    assert "<b>&quot;" not in text and "a &lt; b &amp; c" in text
    hover = re.search(r'data-hover="([^"]*)"', text)
    assert hover is not None
    (data,) = json.loads(unescape(hover.group(1)))
    assert (data["label"], data["step"], data["text"]) == ('<b>"x"</b>', [0, 4], ["1", "3"])


def test_a_smoothed_line_starts_and_ends_on_its_values() -> None:
    points = [(float(i), float(i)) for i in range(100)]
    line = Series(label="a", points=points, smooth=True)
    faint, smooth = (places(e.attrib["d"]) for e in svg(Chart(title="T", unit="u", series=[line])).findall("path"))
    assert smooth == faint  # the running mean of a straight line is that line
