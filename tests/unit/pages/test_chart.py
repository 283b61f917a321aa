"""One description of a chart, drawn as SVG and as PNG."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from PIL import Image

from dropsort.pages import png, svg
from dropsort.pages.chart import (
    Axis,
    Band,
    Bar,
    Bars,
    Chart,
    Dot,
    Dots,
    Hover,
    Line,
    Ranges,
    Rule,
    Texts,
    number_axis,
    quantity,
    tick_names,
    time_axis,
)
from dropsort.pages.dashboard import first_shown
from monitoring.cloudwatch.dashboard import Dashboard, Panel
from monitoring.cloudwatch.widgets import MetricLine as Series
from monitoring.cloudwatch.widgets import Widget, WidgetMetric

START = datetime(2026, 11, 2, tzinfo=UTC)
EVERYTHING = Chart(
    "Everything",
    number_axis(0, 10, "x"),
    number_axis(0, 4, "y"),
    (
        Band(((0, 1, 2), (5, 1, 3)), "band", "a band"),
        Bars((Bar(0, 1, 0, 3, "three"),), "high", "bars"),
        Line(((0, 1), (5, math.nan), (10, 2)), "median", "a line"),
        Line(((0, 100), (10, 200)), "series1", "on the right $x_1$", right=True),
        Dots((Dot(1, 1), Dot(2, 2)), "dot above", "dots"),
        Dots((Dot(3, 3, "a point", 5),), "point", "sized"),
        Dots((Dot(4, 3, "differs"),), "differs"),
        Rule(2, "a rule"),
        Rule(7, "upright", vertical=True),
    ),
    hovers=(Hover(0, 5, "the first half"),),
    right=number_axis(0, 250, "other"),
)


def test_the_name_of_a_rule_is_cut_to_its_chart() -> None:
    # GIVEN rules in the middle, with a short and a long name WHEN they are drawn THEN the long one is cut
    names = "threshold 0.8792", "model " + "W" * 300
    chart = Chart(
        "", number_axis(0, 10, "x"), number_axis(0, 1, "y"), tuple(Rule(5.5, n, vertical=True) for n in names)
    )
    texts = [
        element.text
        for element in svg.draw(chart).elements
        if "strong" in element.attributes.get("class", "")
    ]

    assert texts[0] == names[0]
    assert texts[1].startswith("model WWWW")
    assert texts[1].endswith("…")
    assert len(texts[1]) < 40


@pytest.mark.parametrize("width", [560, 1120])
def test_the_name_of_a_rule_is_not_over_the_titles_of_axes(width: int) -> None:
    # GIVEN a rule with a long name right of the middle
    rule = Rule(5.5, "model " + "W" * 300, vertical=True)
    chart = Chart("", number_axis(0, 10, "x"), number_axis(0, 1, "y"), (rule,), width=width)
    elements = svg.draw(chart).elements
    (name,) = [one for one in elements if "strong" in one.attributes.get("class", "")]
    (title,) = [one for one in elements if one.text == "y"]
    # THEN it begins right of the axis, and a line below its title, as large as a narrow screen has them
    begin = float(name.attributes["x"]) - len(name.text) * svg._STRONG
    assert begin >= svg.LEFT - svg._STRONG
    assert float(name.attributes["y"]) - float(title.attributes["y"]) >= (30 if width > svg.BROAD else 20)


def test_every_mark_is_in_the_svg_with_its_hover_text() -> None:
    drawing = svg.draw(EVERYTHING)

    classes = [e.attributes.get("class", "") for e in drawing.elements]
    for style in ("band", "high", "median", "series1", "dot above", "point", "differs", "threshold", "hover"):
        assert style in classes, style
    assert {e.text for e in drawing.elements if e.tag != "text"} >= {
        "three", "a point", "differs", "the first half",
    }  # fmt: skip
    texts = [e.text for e in drawing.elements if e.tag == "text"]
    assert {"x", "y", "other", "a rule", "upright", "250"} <= set(texts)
    for element in drawing.elements:
        for name in ("x", "cx"):
            assert -1 <= float(element.attributes.get(name, 0)) <= drawing.width


def test_a_right_axis_has_its_own_scale_and_ticks() -> None:
    drawing = svg.draw(EVERYTHING)

    (line,) = [e for e in drawing.elements if e.attributes.get("class") == "series1"]
    ys = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", line.attributes["d"])]
    ticks = {e.text: float(e.attributes["y"]) - 4 for e in drawing.elements if e.tag == "text"}
    assert ys == pytest.approx([ticks["100"], ticks["200"]], abs=0.2)


def test_a_gap_interrupts_a_line() -> None:
    (line,) = [e for e in svg.draw(EVERYTHING).elements if e.attributes.get("class") == "median"]

    assert line.attributes["d"].count("M") == 2
    assert "nan" not in line.attributes["d"]


def test_what_lies_outside_the_axes_is_not_drawn_over_other_charts() -> None:
    """GIVEN an axis whose end the dashboard's body sets WHEN values go beyond THEN lines end at the edge, dots are left out."""
    chart = Chart(
        "t",
        number_axis(0, 1),
        number_axis(0, 1),
        (Line(((0, 0.5), (1, 100)), "median"), Dots((Dot(0, 0.5), Dot(1, 100), Dot(1, -3)), "dot above")),
    )

    line, dots = svg.draw(chart).elements[-2:]
    assert [float(y) for y in re.findall(r"[ML][\d.]+ (-?[\d.]+)", line.attributes["d"])][1] == svg.TOP
    assert dots.attributes["d"].count("M") == 1


def test_the_png_has_the_same_marks_axes_and_legend(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    png.draw(EVERYTHING, axes)

    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert {"a band", "bars", "a line", "on the right $x_1$", "dots", "sized", "a rule"} <= set(names)
    assert axes.get_xlim() == (0, 10)
    assert axes.get_ylim() == (0, 4)
    assert [a.get_ylim() for a in figure.axes if a is not axes] == [(0, 250)]
    (path,) = png.write_pngs({"everything": EVERYTHING, "nothing": None}, tmp_path)
    with Image.open(path) as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


def test_rows_are_drawn_from_top_to_bottom_with_their_names_and_values() -> None:
    from matplotlib.figure import Figure

    rows = ("first", "second", "third")
    chart = Chart(
        "Rows",
        number_axis(0, 1),
        Axis(0, 1, rows=rows),
        (
            Bars(tuple(Bar(0, 0.5, i - 0.3, i + 0.3, name) for i, name in enumerate(rows)), "high", "share"),
            Ranges(((0.4, 0.6, 0),)),
            Texts(tuple((i, f"{i}%") for i in range(3))),
        ),
    )

    drawing = svg.draw(chart)
    bars = [float(e.attributes["y"]) for e in drawing.elements if e.tag == "rect"]
    assert bars == sorted(bars)
    assert max(bars) < drawing.height
    figure = Figure()
    axes = figure.add_subplot()
    png.draw(chart, axes)
    assert [t.get_text() for t in axes.get_yticklabels()] == list(rows)
    low, high = axes.get_ylim()
    assert low > high  # the first on top


def test_a_description_says_what_the_marks_hold() -> None:
    text = EVERYTHING.description()

    assert "a line: 2 values from 1 to 2, the last 2." in text
    assert "bars: 1 bar." in text
    assert "a rule." in text
    assert "nan" not in text


def test_tick_names_share_unit_and_decimals() -> None:
    assert tick_names([0, 500, 1000, 1500]) == ["0", "0.5k", "1.0k", "1.5k"]
    assert tick_names([0, 0.25, 0.5]) == ["0", "0.25", "0.50"]
    assert tick_names([0, 10, 20]) == ["0", "10", "20"]
    assert tick_names([]) == []


@pytest.mark.parametrize(
    ("largest", "unit", "title", "last"),
    [
        (900, "ms", "ms", "800"),
        (62_000, "ms", "s", "60"),
        (5_000_000, "ms", "min", "80"),
        (500_000, "s", "days", "5"),
        (0.4, "s", "ms", "400"),
        (0.999, "s", "ms", "800"),
        (1.0, "s", "s", "1.0"),
        (119, "s", "s", "100"),
        (120, "s", "min", "2.0"),
        (0.0004, "s", "s", "0.0004"),
        (31_000_000, "bytes", "MB", "30"),
        (62_000, "%", "%", "60k"),
        (62_000, "", "", "60k"),
    ],
)
def test_an_axis_changes_its_unit_with_its_values(largest: float, unit: str, title: str, last: str) -> None:
    axis = number_axis(0, largest, unit)
    assert (axis.title, axis.ticks[-1].name) == (title, last)
    assert axis.high == largest  # positions stay in the unit of the values
    assert axis.ticks[-1].value <= largest
    assert quantity(largest, unit).endswith(f" {title}") == (unit in ("ms", "s", "bytes"))


def test_a_time_axis_is_in_the_time_zone_that_is_wanted() -> None:
    berlin = time_axis(START, START + timedelta(hours=6), ZoneInfo("Europe/Berlin"))

    assert time_axis(START, START + timedelta(hours=6)).ticks[0].name == "00:00"
    assert berlin.ticks[0].name == "01:00"
    assert berlin.ticks[0].value == START.timestamp()


@pytest.mark.parametrize(
    ("hours", "begin"),
    [((), 0.0), ((0, 5), 0.0), ((20, 23), 20.0), ((23.9,), 23.0)],
    ids=["no data", "the whole day", "the last hours", "minutes: an hour is shown"],
)
def test_a_young_service_fills_its_charts(hours: tuple[float, ...], begin: float) -> None:
    points = {START.timestamp() + 3600 * hour: 1.0 for hour in hours}
    panel = Panel(Widget("metric", 0, 0, 6, 6, "t"), (Series(WidgetMetric(), "l", points),))
    day = Dashboard(START, START + timedelta(days=1), (panel,))

    assert first_shown(day) == pytest.approx(START.timestamp() + 3600 * begin)
