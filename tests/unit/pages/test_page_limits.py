"""Bounds of what pages show: each value at its limit, one below and one above it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from jinja2 import DictLoader, Environment
from PIL import Image

from benchmarks.drift import SAME, put_hour, sample
from dropsort.pages import dashboard, html, images, report, report_tables, svg
from dropsort.pages.chart import Axis, Bars, Chart, Dots, Line
from dropsort.pages.formatting import decimal, percent, period, short, size
from dropsort.pages.images import GalleryImage, captured_images, showable
from dropsort.pages.report_charts import charts
from monitoring.aggregates.cells import Aggregate, BadLine, Cell, CellKey, Health, Series, Uncertain
from monitoring.cloudwatch.dashboard import Dashboard, Panel
from monitoring.cloudwatch.widgets import MetricLine, Widget, WidgetMetric
from monitoring.drift.windows import hour_of
from monitoring.quality.measure import LabelledPrediction, measure
from monitoring.report.figures import Report, build
from tests.unit.handlers.sample_images import encoded
from tests.unit.pages.test_images import a_line

START = datetime(2026, 11, 2, tzinfo=UTC)


def test_half_a_surrogate_pair_is_written_as_a_question_mark(tmp_path: Path) -> None:
    html.save(tmp_path / "a.html", "a\ud800b")
    assert (tmp_path / "a.html").read_bytes() == b"a?b"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1234, "1.23 kB"), (999_000, "999 kB"), (1e6, "1 MB"), (1e9, "1 GB"),
     (1e12, "1 TB"), (5e15, "5e+03 TB")],
)  # fmt: skip
def test_bytes_have_their_unit_from_a_thousand_on(value: float, words: str) -> None:
    assert size(value) == words


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a" * 32, "a" * 32), ("a" * 33, "a" * 31 + "…"), ("W" * 16, "W" * 16), ("W" * 17, "W" * 15 + "…"), ("M@%" * 6, "M@%" * 5 + "…"),
     ("車" * 16, "車" * 16), ("車" * 17, "車" * 15 + "…"), ("Ａ" * 17, "Ａ" * 15 + "…"), ("ｱ" * 32, "ｱ" * 32), ("", "''"), (" ", "' '"),
     ("\ud800", "?")],
)  # fmt: skip
def test_a_label_is_as_wide_as_32_letters(name: str, shown: str) -> None:
    assert short(name) == shown
    assert short("abc", 3) == "abc"
    assert short("abcd", 3) == "ab…"


def test_the_end_of_a_period_has_its_day_unless_it_is_the_same() -> None:
    for days, until in ((0, "03:00"), (1, "03 November 2026 03:00"), (30, "02 December 2026 03:00")):
        assert period(START, START + timedelta(days=days, hours=3)).endswith(f" to {until} UTC")


def test_what_is_no_number_is_a_dash() -> None:
    assert (decimal(None), decimal(math.nan), decimal(0.12345)) == ("–", "–", "0.123")
    assert (percent(0.12345, 2), percent(None)) == ("12.35%", "–")


def test_an_image_has_its_confidence_and_its_description() -> None:
    series = Series("2026-11-02T09:00:00Z", "e", "v")
    found = [(series, Uncertain(1, "d", 0, "f", 1, 0, "a", 512_345_678, "event", ""))]
    (shown,) = captured_images(found, lambda *_: a_line(encoded(Image.effect_noise((40, 30), 50), "PNG")))
    assert (shown.title, shown.score, shown.alt) == ("a", "0.512", "input classified as a")


def test_24_images_are_shown_the_first_of_those_that_are_the_same() -> None:
    many = [GalleryImage(str(number), "", str(number // 2)) for number in range(60)]
    assert [one.title for one in showable(iter(many))] == [str(2 * number) for number in range(24)]


def test_a_larger_thumbnail_is_a_jpeg_of_some_kilobytes(monkeypatch: pytest.MonkeyPatch) -> None:
    saved, save = list[Any](), Image.Image.save
    original = encoded(Image.effect_noise((300, 200), 50), "PNG")

    def recorded(image: Image.Image, out: Any, *given: Any, **options: Any) -> None:
        saved.append((given, options))
        save(image, out, *given, **options)

    monkeypatch.setattr(Image.Image, "save", recorded)
    images.thumbnail(original)
    assert saved[-1] == (("JPEG",), {"quality": 78})


def an_hour(**members: Any) -> Aggregate:
    """An hour with so many captures of each confidence in thousandths."""
    total = Aggregate()
    histogram = members.pop("histogram", {900: 30, 500: 10})
    many = sum(histogram.values())
    total.cells[CellKey(hour_of(START), "e", "v", "a")] = Cell(
        count=many, confidence=sum(bin_ * 10**6 * n for bin_, n in histogram.items()), histogram=histogram
    )
    total.volume(Series(hour_of(START), "e", "v")).records = many
    total.health = Health(files=1, records=many, predictions=many, **members)
    return total


def tiles(found: Report, quality: Any = None) -> dict[str, str]:
    return {tile.name: tile.value for tile in report.tiles(found, quality)}


def test_the_share_below_the_threshold_is_of_all() -> None:
    assert tiles(build(an_hour(), threshold=0.8))["below the threshold"] == "25.0%"


def test_twenty_bad_lines_are_named() -> None:
    bad = [BadLine(f"file-{number:02}.jsonl", number, "cut") for number in range(25)]
    page = report.render(build(an_hour(bad_lines=25, bad=bad), threshold=0.8), title="t", source="s")
    assert sorted(set(re.findall(r"file-(\d\d)", page))) == [f"{number:02}" for number in range(20)]


def test_accuracy_is_measured_where_there_is_ground_truth_for_it() -> None:
    found = build(an_hour(), threshold=0.8)
    measured = measure([LabelledPrediction("a", 0.9, "a"), LabelledPrediction("a", 0.9, "b")])
    assert tiles(found, measured)["measured accuracy"] == "50.0%"
    assert "measured accuracy" not in tiles(found, measure([]))
    assert "measured accuracy" not in tiles(found)


@pytest.mark.parametrize(("hours", "shown"), [(24, False), (25, True)])
def test_accuracy_is_estimated_where_a_day_is_another_figure_than_all(hours: int, shown: bool) -> None:
    total = Aggregate()
    for hour in range(hours):
        put_hour(total, hour_of(START + timedelta(hours=hour)), SAME, np.random.default_rng(hour), 40)
    total.health = Health(files=1, records=40 * hours, predictions=40 * hours)
    reference = sample(SAME, np.random.default_rng(3), 200)
    found = build(total, threshold=0.93, reference=reference, now=START + timedelta(hours=hours))
    assert ("estimated accuracy" in tiles(found)) is shown


def marks(chart: Chart | None, kind: type) -> dict[str, Any]:
    assert chart
    return {mark.name: mark for mark in chart.marks if isinstance(mark, kind)}


def test_a_capture_at_the_threshold_is_above_it() -> None:
    found = build(an_hour(), threshold=0.8)
    found = replace(found, dots=np.array([[0.0, 0.8], [1.0, 0.79], [2.0, 0.81]]))
    dots = marks(charts(found)["confidence-over-time"], Dots)
    assert [dot.y for dot in dots["above"].points] == [0.8, 0.81]
    assert [dot.y for dot in dots["below the threshold"].points] == [0.79]


def test_the_threshold_cuts_the_bar_that_it_is_in() -> None:
    # GIVEN captures of whole thousandths, and a threshold between two of them
    found = build(an_hour(histogram={280: 3, 289: 5, 290: 7, 295: 11}), threshold=0.2896)
    bars = marks(charts(found)["histogram"], Bars)
    below, above = bars["below"].bars, bars["above"].bars
    assert [(bar.x0, bar.y0, bar.y1) for bar in below] == [(0.28, 0, 8)]
    assert [(bar.x0, bar.y0, bar.y1) for bar in above] == [(0.28, 8, 26)]


def test_the_reference_is_scaled_to_the_captures() -> None:
    reference = sample(SAME, np.random.default_rng(3), 160)
    found = build(an_hour(), threshold=0.8, reference=reference, now=START + timedelta(hours=1))
    outline = marks(charts(found)["histogram"], Line)["reference, scaled"]
    # Each bar has two ends
    assert sum(value for _, value in outline.points) / 2 == pytest.approx(40, rel=0.05)


@pytest.mark.parametrize(("low", "rooted"), [(7, True), (8, False)])
def test_few_below_the_threshold_are_drawn_on_a_square_root_scale(low: int, rooted: bool) -> None:
    chart = charts(build(an_hour(histogram={100: low, 900: 100}), threshold=0.5))["histogram"]
    assert chart
    assert (chart.y.square_root, chart.y.high) == (rooted, pytest.approx(110 if rooted else 105))


def test_the_tallest_bar_leaves_space_above_it() -> None:
    chart = charts(build(an_hour(), threshold=0.8))["above-and-below"]
    assert chart
    assert chart.y.high == pytest.approx(40 * 1.08)


def test_what_is_outside_a_chart_ends_at_its_edge() -> None:
    area = svg._PlotArea(Chart("c", Axis(0, 1), Axis(10, 20), ()))
    assert area.y(5) == area.y(10) == area.base
    assert area.y(25) == area.y(20) == svg.TOP
    assert svg.TOP < area.y(15) < area.base
    rooted = Axis(0, 100, square_root=True)
    assert [svg._share(rooted, value) for value in (-1, 0, 25, 100)] == [0, 0, 0.5, 1]
    assert svg._share(Axis(-4, 4, square_root=True), 1) == 0.5
    assert svg._share(Axis(3, 3), 5) == 2  # an axis of one value


def a_chart(points: int, color: str = "") -> Chart:
    values = {(START + timedelta(minutes=number)).timestamp(): 1.0 for number in range(points)}
    line = MetricLine(WidgetMetric(color=color, period=60), "line", values)
    panel = Panel(Widget("metric", 0, 0, 12, 6, ""), (line,))
    found = Dashboard(START, START + timedelta(hours=3), (panel,))
    return dashboard._chart(panel, dashboard._Span(found, START.timestamp(), UTC))


@pytest.mark.parametrize(("points", "dots"), [(1, True), (30, True), (31, False)])
def test_few_points_of_a_line_are_dots_too(points: int, dots: bool) -> None:
    assert bool(marks(a_chart(points), Dots)) is dots


@pytest.mark.parametrize(
    ("given", "color"),
    [("#123", "#123"), ("#12345678", "#12345678"), ("#aAfF09", "#aAfF09"), ("#12", ""), ("#123456789", ""), ("red", ""),
     ("#12g", ""), ("x#123", ""), ("#123;}", ""), ("#123\n", "")],
)  # fmt: skip
def test_a_colour_is_hexadecimal_and_nothing_else(given: str, color: str) -> None:
    (line,) = marks(a_chart(2, given), Line).values()
    assert line.color == color


def test_the_confusion_has_twelve_labels() -> None:
    pairs = [
        LabelledPrediction(f"{number:02}", 0.9, f"{number:02}")
        for number in range(13)
        for _ in range(20 - number)
    ]
    table = report_tables.quality_table(measure(pairs))
    assert table
    assert table.names == [f"{number:02}" for number in range(12)]
    assert table.about.endswith("; the 12 most frequent of 13 labels.")
    whole = report_tables.quality_table(measure([one for one in pairs if one.truth != "12"]))
    assert whole
    assert whole.about.endswith("by column.")


def test_values_of_scripts_are_json_without_spaces() -> None:
    found = html.environment().from_string("{{ value|tojson }}").render(value={"a": [1, "</script>\u2028"]})
    assert found == '{"a":[1,"\\u003c/script\\u003e\\u2028"]}'
    assert json.loads(found) == {"a": [1, "</script>\u2028"]}


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a\nb", "a\nb"), ("a\x1b\u202eb", "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"), ("<b>&\"'", "&lt;b&gt;&amp;&#34;&#39;"),
     (5, "5"), (None, "None")],
)  # fmt: skip
def test_values_are_texts_without_control_characters(value: Any, shown: str) -> None:
    template = html.environment().from_string('{{ value }}|<i title="{{ value }}">')
    assert template.render(value=value) == f'{shown}|<i title="{shown}">'


def test_what_somebody_calls_html_is_escaped_by_its_own_method_only() -> None:
    """Jinja takes it for markup: no value of ours has this method, which a page must not lose."""
    value = SimpleNamespace(__html__=lambda: "<i>")
    assert html._without_control_characters(value) is value


def test_lines_of_a_template_that_only_have_statements_are_not_on_the_page() -> None:
    template = html.environment().from_string("<p>\n  {% if true %}\n  a\n  {% endif %}\n</p>")
    assert template.render() == "<p>\n  a\n</p>"


def test_a_page_ends_with_a_line_feed() -> None:
    assert html.render("a", env=Environment(loader=DictLoader({"a": "<p>"}))) == "<p>\n"


@pytest.mark.parametrize(
    ("name", "page"),
    [("a.html", True), ("a.htm", True), ("a.HTM", True), ("a.Html", True), ("a.ht", False), ("a", False)],
)
def test_a_folder_is_a_page_where_it_is_named_like_one(tmp_path: Path, name: str, page: bool) -> None:
    out = tmp_path / name
    out.mkdir()
    assert html.page_file(out, "report.html") == (out if page else out / "report.html")
