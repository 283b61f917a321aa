"""The report of little, of nothing, and of labels that nobody would choose: every page and image still shows something true."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from benchmarks.drift import SAME, put_hour, sample
from dropsort.contract.keys import CLASSIFIED
from dropsort.contract.statistics import Stratum
from dropsort.pages import evaluation, svg
from dropsort.pages.chart import Axis, Chart, Rule, time_axis
from dropsort.pages.evaluation import confusion
from dropsort.pages.formatting import short
from dropsort.pages.html import environment
from dropsort.pages.png import draw, write_pngs
from dropsort.pages.report import tiles, verdict, write
from dropsort.pages.report_charts import charts
from dropsort.pages.report_tables import audit_table, quality_table
from monitoring.aggregates.cells import UNKNOWN, Aggregate, Cell, CellKey, Health, Series
from monitoring.drift.windows import hour_of
from monitoring.quality.audit import OutcomeStrata, assess
from monitoring.quality.measure import LabelledPrediction, measure
from monitoring.report.figures import Report, build
from tests.unit.pages import cases
from training.dataset import LabelledImage
from training.evaluation.figures import Evaluation, Predictions

START = datetime(2026, 11, 2, tzinfo=UTC)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def an_hour(count: int = 40) -> Aggregate:
    total = Aggregate()
    put_hour(total, hour_of(START), SAME, np.random.default_rng(1), count)
    total.health = Health(files=1, records=count, predictions=count)
    return total


def labelled(*labels: str, hour: str = "") -> Aggregate:
    total = Aggregate()
    for label in labels:
        key = CellKey(hour or hour_of(START), "bikes", "main", label)
        total.cells[key] = Cell(count=5, confidence=4 * 10**9, histogram={800: 5})
    total.volume(Series(hour or hour_of(START), "bikes", "main")).records = 5 * len(labels)
    total.health = Health(files=1, records=5 * len(labels), predictions=5 * len(labels))
    return total


def page(aggregate: Aggregate, folder: Path, **given: object) -> str:
    return write(aggregate, folder, threshold=0.93, **given).read_text(encoding="utf-8")  # type: ignore[arg-type]


def test_without_captures_there_is_no_empty_chart(tmp_path: Path) -> None:
    """GIVEN nothing WHEN the page is written THEN it says so, and draws no axis of a time that never was."""
    (tmp_path / "histogram.png").write_bytes(b"of an earlier report")

    text = page(Aggregate(), tmp_path, png=True)

    assert "No captures" in text
    assert "Confidence over time" not in text
    assert 'id="counts"' not in text
    assert not list(tmp_path.glob("*.png"))


def test_what_is_not_right_besides_drift_is_named_at_the_top() -> None:
    # GIVEN captures of an hour, no reference, nothing since, and files that could not be read wholly
    total = an_hour()
    assert verdict(build(total, threshold=0.93)).note.endswith("once it holds 1,000.")
    total.health = Health(files=3, records=40, predictions=40, bad_lines=1, unreadable_files=2)
    found = verdict(build(total, threshold=0.93, now=START + timedelta(hours=6)))
    assert found.note.endswith(
        "once it holds 1,000. No captures for 5 h; fewer than 7 earlier days to compare with. "
        "Not counted: 1 bad line and 2 unreadable files (see capture health)."
    )


def test_an_alarm_does_not_hide_that_nothing_was_compared() -> None:
    # GIVEN a week with captures at noon, and none on the day after, with and without a reference
    total = Aggregate()
    for day in range(9):
        put_hour(total, hour_of(START + timedelta(days=day, hours=12)), SAME, np.random.default_rng(1), 100)
    now = START + timedelta(days=9, hours=23)
    reference = sample(SAME, np.random.default_rng(3), 200)
    for given, words in ((reference, "The last day has 0 captures: too few to test for drift."), (None, "")):
        report = build(total, threshold=0.93, reference=given, now=now)
        assert report.check is not None
        assert report.check.silence.alarm
        found = verdict(report)
        assert found.title == "1 alarm"
        assert found.note.endswith(words)
    assert found.note == "There is no reference yet, so the captures were not compared with one."


def test_captures_without_a_time_are_no_absent_captures(tmp_path: Path) -> None:
    """GIVEN captures of which none has a time WHEN the page is written THEN they count, and nothing is projected."""
    text = page(labelled("cat", hour=UNKNOWN), tmp_path, png=True)

    assert "No dated captures" in text
    assert "Histogram of confidences" in text
    assert "Confidence over time" not in text
    assert '"perDay":null' in text
    assert "projected" not in text
    assert {p.stem for p in tmp_path.glob("*.png")} == {"histogram", "label-shares", "threshold-what-if"}


def test_unfamiliar_images_are_counted_in_addition_to_those_below_the_threshold(tmp_path: Path) -> None:
    """GIVEN captures with familiarity WHEN the page is written THEN those are counted that the filter sends to low-confidence."""
    total = an_hour()
    strange = sum(n for c in total.cells.values() for bin_, n in c.familiarity_histogram.items() if bin_ < 5)
    assert strange

    text = page(total, tmp_path, familiarity_threshold=0.05)

    assert f"<b>{strange / 40:.1%}</b><span>{strange} capture" in text
    assert f"In addition, unfamiliar images ({strange}) are to review, at any threshold." in text


def test_images_are_there_before_anybody_scrolls_or_prints(tmp_path: Path) -> None:
    assert "loading=" not in page(an_hour(), tmp_path)


def as_svg(chart: Chart | None) -> str:
    assert chart
    template = environment().from_string('{% import "parts.html" as parts %}{{ parts.svg(drawing) }}')
    return template.render(drawing=svg.draw(chart))


def drawn(report: Report, name: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure()
    chart = charts(report)[name]
    assert chart
    draw(chart, figure.add_subplot())
    return figure


def test_png_of_a_single_hour_shows_that_hour_threshold_and_reference() -> None:
    """GIVEN one hour of sure captures and a reference WHEN images are drawn THEN axes hold the hour, the threshold and both."""
    reference = sample(SAME, np.random.default_rng(2), 200)
    total = labelled("cat")
    for cell in total.cells.values():
        cell.count, cell.confidence, cell.histogram = 40, 40 * 995 * 10**6, {995: 40}
    report = build(total, threshold=0.88, reference=reference)

    (histogram,) = drawn(report, "histogram").axes
    assert histogram.get_xlim()[0] < 0.88
    assert "reference, scaled" in [text.get_text() for text in histogram.get_legend().get_texts()]
    for name in ("drift-over-time", "confidence-over-time", "above-and-below"):
        (axes,) = drawn(report, name).axes
        first, last = axes.get_xlim()
        assert (last - first) * 24 == pytest.approx(1), name
    (drift,) = drawn(report, "drift-over-time").axes
    (usual,) = drift.collections
    assert np.ptp(usual.get_paths()[0].vertices[:, 0]) * 24 == pytest.approx(1)


def test_png_of_a_label_that_the_font_lacks_warns_nobody(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert write_pngs(charts(build(labelled("日本語", "a\tb"), threshold=0.9)), tmp_path)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat", "cat"),
        ("", "''"),
        (" \n", r"' \n'"),
        ("x" * 32, "x" * 32),
        ("x" * 300, "x" * 31 + "…"),
        ("W" * 300, "W" * 15 + "…"),  # twice as wide
        ("車" * 16, "車" * 16),
        ("車" * 17, "車" * 15 + "…"),
    ],
)
def test_a_label_is_never_too_long_and_never_nothing(name: str, shown: str) -> None:
    assert short(name) == shown


def test_a_label_from_right_to_left_leaves_its_share_alone() -> None:
    """GIVEN a label from right to left WHEN shares are drawn THEN its share is a text of its own, and marks of direction are none."""
    text = as_svg(charts(build(labelled("\u202eאevil"), threshold=0.9))["label-shares"])

    assert [t for t in re.findall(r"<text[^>]*>([^<]*)</text>", text) if "evil" in t] == ["\ufffdאevil"]


def test_a_confusion_of_many_labels_says_what_it_leaves_out(tmp_path: Path) -> None:
    names = [f"class {i:02}" for i in range(20)]
    text = page(an_hour(), tmp_path, quality=measure([LabelledPrediction(n, 0.9, n) for n in names]))

    assert "the 12 most frequent of 20 labels" in text


def test_a_confusion_of_an_evaluation_shows_the_labels_with_most_mistakes() -> None:
    # GIVEN 20 labels, one image of each, of which the last was predicted as the first, and one without images
    counts = np.eye(20, dtype=int)
    counts[19, [0, 19]], counts[18, 18] = (1, 0), 0
    names = [f"class {i:02}" for i in range(20)]

    found = confusion(names, counts.tolist())

    assert "the 12 of 20 labels with the most mistakes" in found.about
    assert (found.labels[0], found.labels[-1], len(found.labels), found.wide) == (
        "class 00",
        "class 19",
        12,
        True,
    )
    assert found.rows[-1] == ("class 19", [1, *[0] * 11], "0.0%")
    assert (
        confusion(names[:2], counts[:2, :2].tolist()).about
        == "True labels by row, predicted labels by column."
    )


def test_the_audit_shows_the_verdict_on_the_target(tmp_path: Path) -> None:
    reviews = {CLASSIFIED: OutcomeStrata([Stratum(9000, 200, 190)], elsewhere=12)}
    text = page(an_hour(), tmp_path, audit=assess(reviews, 0.99))

    assert "▲ missed" in text
    assert "95.0%" in text
    assert "of 9,000; 12 others do not count" in text
    assert "Audit" not in page(an_hour(), tmp_path)
    few = assess({CLASSIFIED: OutcomeStrata([Stratum(9000, 3, 3)])}, 0.99)
    table = audit_table(replace(few, model="second", other_models=40))
    assert table is not None
    assert [row.value for row in table.rows[1:3]] == ["not known yet"] * 2
    assert "second counts" in table.rows[-1].note


def test_more_captures_than_results_are_not_more_than_all() -> None:
    # GIVEN 40 captures of 38 invocations with a result: the backlog tested the endpoint twice
    shares = {tile.name: tile for tile in tiles(build(an_hour(), threshold=0.93, invoked=38))}

    assert shares["captured"].value == "100.0%"
    assert shares["captured"].note == (
        "of 38 invocations with a result; 2 more were repeated or tested the endpoint"
    )


def test_ground_truth_of_other_captures_is_reported_as_that(tmp_path: Path) -> None:
    text = page(an_hour(), tmp_path, quality=measure([], unmatched=7))

    assert "of 7 labelled inferences none is among these captures" in text


def test_two_days_are_distinguished() -> None:
    text = as_svg(Chart("time", time_axis(START, START.replace(day=4)), Axis(0, 1)))

    assert "02 Nov" in text
    assert "03 Nov" in text


def test_a_change_of_the_model_is_marked_and_named() -> None:
    # GIVEN captures of two models WHEN they are reported on
    total = cases.two_models()
    report, text = build(total, threshold=0.93), cases.a_report(total)

    # THEN a sentence names both, figures are of the new one, and the charts over time have a mark
    assert "The model changed: signs-2026-11-24 since 2026-11-04 00:00, before that bikes-1." in text
    assert next(tile.value for tile in tiles(report)) == "960"
    for name in ("confidence-over-time", "above-and-below"):
        chart = charts(report)[name]
        assert chart is not None
        assert [mark.name for mark in chart.marks if isinstance(mark, Rule) and mark.vertical] == [
            "model signs-2026-11-24"
        ]
    # AND an image shows the key of its upload and the id of its inference
    assert "incoming/cam1/1.jpg" in text
    assert f"inference {1:064x}" in text


def test_an_auroc_that_is_none_is_explained() -> None:
    right = quality_table(measure([LabelledPrediction("bicycle", 0.9, "bicycle")] * 3))
    assert right is not None
    (row,) = [row for row in right.rows if row.name == "AUROC"]
    assert (row.value, row.note.split(",")[0]) == ("–", "none")


def test_a_familiarity_below_its_threshold_is_not_shown_as_equal_to_it(tmp_path: Path) -> None:
    image = LabelledImage(tmp_path / "a.png", "a")
    Image.new("RGB", (8, 8)).save(image.path)
    found = Predictions([image], np.array([[0.99, 0.01]]), np.array([0.0085]))
    text = evaluation.render(
        Evaluation("m", ["a", "b"], found, np.array([0]), np.array([False]), 0.9, 0.01, "given")
    )
    assert "familiarity 0.009" in text
    assert "compares right with wrong" in text
