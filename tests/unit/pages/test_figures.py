"""The figures that pages show are those of what they are made from: evaluations, comparisons and the report's tables."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.drift import SAME, put_hour
from dropsort.pages import comparison, dashboard, evaluation, report_tables, svg
from dropsort.pages.chart import Axis, Bars, Chart, Dots, Line, Rule, compact, nice_ticks, percent_axis
from dropsort.pages.formatting import count, percent, period, probability, span
from monitoring.aggregates.cells import Aggregate, Health
from monitoring.cloudwatch.dashboard import Dashboard, Panel
from monitoring.cloudwatch.widgets import MetricLine, Widget, WidgetMetric
from monitoring.drift.windows import hour_of
from monitoring.quality.measure import LabelledPrediction, measure
from monitoring.report.figures import build
from training.dataset import LabelledImage
from training.evaluation.compare import ComparedModel, Comparison
from training.evaluation.figures import Evaluation, Predictions

START = datetime(2026, 11, 2, tzinfo=UTC)


def predictions(*first: float, familiarity: float = 1.0) -> Predictions:
    """Of each image the probability of the first of two labels."""
    images = [LabelledImage(Path(f"image-{number}.png"), "a") for number in range(len(first))]
    probabilities = np.stack([np.array(first), 1 - np.array(first)], 1)
    return Predictions(images, probabilities, np.full(len(first), familiarity))


def an_evaluation(**changes: Any) -> Evaluation:
    """Images 0 and 4 of a, right; 1 and 2 wrong; 3 right: two of them at the threshold of 0.9 or above."""
    found = Evaluation(
        "m", ["a", "b"], predictions(0.95, 0.9, 0.6, 0.7, 0.2), np.array([0, 1, 1, 0, 1]), np.zeros(5, bool), 0.9, 0.05, "given"
    )  # fmt: skip
    return replace(found, **changes)


def order(page: str) -> list[int]:
    """The images of a page, in its order."""
    return list(dict.fromkeys(map(int, re.findall(r"image-(\d+)\.png", page))))


def test_an_evaluation_shows_the_surest_mistakes_first_and_then_the_least_sure_of_the_right() -> None:
    assert order(evaluation.render(an_evaluation())) == [1, 2, 3, 4]
    # AND of images of something else those that are classified all the same
    others = predictions(0.95, 0.5, 0.9)
    others = replace(others, images=[LabelledImage(Path(f"image-{n}.png"), "") for n in (7, 8, 9)])
    assert order(evaluation.render(an_evaluation(others=others))) == [1, 2, 3, 4, 7, 9]


def marks(chart: Chart, kind: type) -> list[Any]:
    return [mark for mark in chart.marks if isinstance(mark, kind)]


def test_the_threshold_of_an_evaluation_is_where_its_images_are_divided() -> None:
    _, risk, histogram = evaluation.charts(an_evaluation())
    assert [(rule.name, rule.value) for rule in marks(risk, Rule)] == [("threshold: 40.0%", 0.4)]
    images = {bars.name: sum(bar.y1 - bar.y0 for bar in bars.bars) for bars in marks(histogram, Bars)}
    assert images == {"above": 2, "below the threshold": 3}


def test_figures_of_something_else_and_of_near_duplicates_are_tiles() -> None:
    # GIVEN three images of something else: all sure, one familiar
    others = predictions(0.95, 0.95, 0.95)
    others = replace(others, familiarity=np.array([1.0, 0.01, 0.01]))
    found = {tile.name: tile for tile in evaluation.tiles(an_evaluation(others=others).summary())}
    assert found["of something else"].value == "33.3%"
    assert (found["classified"].value, found["near-duplicates"].value) == ("40.0%", "–")
    # AND where somebody searched for near-duplicates, accuracy is that of the others
    searched = an_evaluation(
        near_duplicate=np.array([False, True, True, False, False]), near_duplicates_from=["list"]
    )
    found = {tile.name: tile for tile in evaluation.tiles(searched.summary())}
    assert found["accuracy on new images"].value == "100.0%"
    assert found["accuracy"].value == "60.0%"
    assert "of something else" not in found


def test_an_evaluation_names_a_hundred_rejected_files_and_counts_all() -> None:
    rejected = [(Path(f"bad-{number}.png"), "why") for number in range(120)]
    page = evaluation.render(an_evaluation(rejected=rejected))
    assert len(set(re.findall(r"bad-\d+", page))) == 100
    assert "100 of 120." in page


def side(name: str, *first: float) -> ComparedModel:
    return ComparedModel(name, ["a", "b"], predictions(*first), 0.9, 0.0, 2.0)


def test_a_comparison_shows_what_becomes_wrong_what_right_and_what_stays_wrong_as_something_else() -> None:
    # GIVEN images of a: two become wrong, one right, two stay right; and two of c, wrong under both, one with another label
    current = side("old", 0.95, 0.95, 0.2, 0.95, 0.7, 0.95, 0.95)
    candidate = side("new", 0.3, 0.1, 0.95, 0.95, 0.7, 0.1, 0.95)
    made = Comparison(current, candidate, ["a"] * 5 + ["c"] * 2, np.zeros(7, bool), 0.9)
    page = comparison.render(made)
    # THEN the galleries are in this order, in each the surest predictions of the candidate first
    assert order(page) == [1, 0, 2, 5]
    found = {tile.name: tile.value for tile in comparison.tiles(made)}
    assert (found["newly right"], found["newly wrong"]) == ("1", "2")
    # AND the target's share of errors, a tenth, is a line within its chart
    (target,) = re.findall(r'<text x="[\d.]+" y="([\d.]+)"[^>]*>target<', page)
    assert 50 < float(target) < 250
    # AND what is not classified is marked
    assert "candidate: b 0.70, not classified" in page
    assert "candidate: b 0.90, not classified" not in page


@pytest.mark.parametrize(
    ("current", "candidate", "kind", "sign"),
    [((0.1,) * 40, (0.95,) * 40, "ok", "✓"), ((0.95,) * 40, (0.1,) * 40, "bad", "✗")],
)
def test_the_advice_of_a_comparison_has_its_sign(
    current: tuple[float, ...], candidate: tuple[float, ...], kind: str, sign: str
) -> None:
    made = Comparison(side("old", *current), side("new", *candidate), ["a"] * 40, np.zeros(40, bool), 0.9)
    page = comparison.render(made)
    assert re.search(rf'class="verdict {kind}"[^>]*><span[^>]*>{sign}<', page)


def a_signal(name: str, effect: float, alarm: bool = False) -> Any:
    return SimpleNamespace(name=name, effect=effect, alarm=alarm, sentence=f"{name}.", adjusted=0.2)


def test_a_test_alarms_where_either_window_does_and_images_are_tested_where_they_were_measured() -> None:
    day = [a_signal("LabelShares", 0.0), a_signal("ImageBrightness", 0.0), a_signal("ImageContrast", 0.1)]
    recent = [a_signal("LabelShares", 0.3, alarm=True)]
    silence = SimpleNamespace(alarm=False, sentence="none", p=1.0)
    check = SimpleNamespace(
        day=SimpleNamespace(signals=day, level=0.01), recent=SimpleNamespace(signals=recent), recent_hours=3, silence=silence
    )  # fmt: skip
    found = report_tables.tests(SimpleNamespace(check=check))  # type: ignore[arg-type]
    assert found is not None
    assert [(row.name, row.alarm, row.recent) for row in found.rows] == [
        ("Label shares", True, "LabelShares."), ("Image contrast", False, ""), ("Silence", False, ""),
    ]  # fmt: skip


def hours(*of: int) -> Aggregate:
    total = Aggregate()
    for hour in of:
        put_hour(total, hour_of(START + timedelta(hours=hour)), SAME, np.random.default_rng(1), 40)
    total.health = Health(files=1, records=40 * len(of), predictions=40 * len(of))
    return total


def test_hours_without_captures_are_counted_and_the_longest_gap_is_named() -> None:
    made = build(hours(0, 3, 5), threshold=0.93)
    rows = {row.name: row for row in report_tables.health(made)}
    missing = rows["hours without captures"]
    assert (missing.value, missing.note) == ("3", "of 6; the longest 2 h from 2026-11-02 01:00")


def test_the_load_of_reviews_is_that_of_a_day() -> None:
    made = build(hours(0), threshold=0.93)
    table = report_tables.what_if_table(made)
    assert table is not None
    for row in table.rows:
        # 40 captures an hour are 960 a day.
        assert row[3] == count(24 * int(row[2].replace(",", "")))
    assert "projected from 1 h" in table.about
    whole = report_tables.what_if_table(build(hours(*range(24)), threshold=0.93))
    assert whole is not None
    assert "projected" not in whole.about


def test_as_many_captures_as_results_need_no_explanation() -> None:
    made = build(hours(0), threshold=0.93, invoked=40)
    assert report_tables.captured_note(made) == "of 40 invocations with a result"


def test_the_confusion_has_true_labels_by_row_the_most_frequent_first() -> None:
    pairs = [("b", "a")] * 2 + [("a", "a")] * 3 + [("b", "b")] * 7
    table = report_tables.quality_table(
        measure([LabelledPrediction(one, 0.9, truth) for one, truth in pairs])
    )
    assert table is not None
    assert (table.names, table.confusion) == (["b", "a"], [("b", ["7", "0"]), ("a", ["2", "3"])])


def test_words_at_their_bounds() -> None:
    assert period(START, START + timedelta(hours=3)) == "02 November 2026 00:00 to 03:00 UTC"
    assert (
        period(START, START + timedelta(hours=30)) == "02 November 2026 00:00 to 03 November 2026 06:00 UTC"
    )
    assert [probability(p) for p in (0.05, 0.0095, 0.0094, 1e-15)] == ["0.05", "0.01", "9×10⁻³", "0"]
    assert (span(71), span(72)) == ("71 h", "3 days")
    assert [count(value) for value in (0, 0.04, 0.05, 9.94, 9.95, 1234)] == [
        "0",
        "< 0.1",
        "0.1",
        "9.9",
        "10",
        "1,234",
    ]
    assert (percent(math.nan), percent(None), percent(0.5)) == ("–", "–", "50.0%")
    assert (compact(-2500), compact(999), compact(1000)) == ("-2.5k", "999", "1k")


def test_a_line_without_values_is_described_as_that_and_texts_are_in_no_legend() -> None:
    empty = Line(((0.0, math.nan),), "median", "errors")
    chart = Chart("c", None, None, (empty, Dots((), "point", "dots"), Rule(1, "target"), Line((), "ideal")))  # type: ignore[arg-type]
    assert chart.description() == "errors: no values. dots: no values. target."
    assert [mark.name for mark in chart.named()] == ["errors", "dots"]


def drawn(
    *lines: tuple[WidgetMetric, dict[float, float]], stacked: bool = False
) -> list[list[tuple[float, float]]]:
    """Positions of each line or area of a chart over two and a half hours."""
    widget = Widget("metric", 0, 0, 12, 6, "chart", stacked=stacked)
    found = tuple(MetricLine(metric, "line", points) for metric, points in lines)
    made = Dashboard(START, START + timedelta(hours=2.5), (Panel(widget, found),))
    page = dashboard.render(made, title="d")
    style = "area series" if stacked else "series"
    paths = re.findall(rf'<path d="([^"]*)" class="{style}\d"', page)[
        : len(lines)
    ]  # those of the legend follow
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)] for path in paths]


def test_areas_stand_on_each_other_and_end_with_the_chart() -> None:
    # GIVEN two lines whose last period has not ended yet
    hours = [(START + timedelta(hours=hour)).timestamp() for hour in range(3)]
    metric = WidgetMetric(period=3600)
    lower, upper = drawn(*((metric, dict.fromkeys(hours, value)) for value in (4.0, 2.0)), stacked=True)
    # THEN the second begins where the first ends, and is half as high
    heights = [{y for _, y in area} for area in (lower, upper)]
    assert max(heights[1]) == min(heights[0])
    assert max(heights[0]) - min(heights[0]) == pytest.approx(
        2 * (max(heights[1]) - min(heights[1])), abs=0.3
    )
    assert max(x for x, _ in lower) == 46 * 12 - 14


def test_each_axis_is_that_of_its_own_lines() -> None:
    first = START.timestamp()
    points = {first: 1.0, first + 3600: 2.0}
    left, right = drawn(
        (WidgetMetric(), points), (WidgetMetric(right=True), {t: 1000 * value for t, value in points.items()})
    )
    assert [y for _, y in left] == [y for _, y in right]


def test_a_line_has_its_colour_a_rule_its_beginning_and_an_axis_in_percent_its_end() -> None:
    line, rule = Line(((0, 0), (1, 1)), "median", "line", "#112233"), Rule(0.5, "half", start=2.0)
    drawing = svg.draw(Chart("chart", Axis(0, 4), Axis(0, 1), (line, rule)))
    paths = {one.attributes["class"]: one.attributes for one in drawing.elements if one.tag == "path"}
    assert paths["median"]["style"] == "--color:#112233"
    assert paths["threshold"]["d"].startswith("M301 ")  # the middle of 56 to 546
    assert [(tick.name, tick.value) for tick in percent_axis(0.1, "share").ticks][-1] == ("10%", 0.1)
    assert nice_ticks(1, 1) == [1]


def test_charts_begin_with_the_first_value_where_an_hour_at_the_beginning_has_none() -> None:
    for minutes, begin in ((-10, -10), (30, 0), (60, 0), (61, 61), (170, 120)):
        points = {(START + timedelta(minutes=minutes)).timestamp(): 1.0}
        panel = Panel(Widget("metric", 0, 0, 12, 6, ""), (MetricLine(WidgetMetric(), "line", points),))
        found = dashboard.first_shown(Dashboard(START, START + timedelta(hours=3), (panel,)))
        assert found == (START + timedelta(minutes=begin)).timestamp()
