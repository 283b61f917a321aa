"""The report page: complete, small, self-contained, and safe whatever stands in the captures."""

from __future__ import annotations

import base64
import io
import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.drift import SAME, Population, put_hour, sample
from dropsort.pages.chart import compact, nice_ticks
from dropsort.pages.html import PageError
from dropsort.pages.images import SIDE, captured_images, showable, thumbnail
from dropsort.pages.png import write_pngs
from dropsort.pages.report import render, write
from dropsort.pages.report_charts import charts
from monitoring.aggregates.cells import Aggregate, BadLine, Cell, CellKey, Health, Series, Uncertain
from monitoring.drift.windows import HOUR, hour_of
from monitoring.errors import MonitoringError
from monitoring.quality.measure import LabelledPrediction, measure
from monitoring.report.figures import BUCKETS, DOTS, build, label_rows, what_if
from monitoring.report.images import folder_lines, image_of, least_certain

START = datetime(2026, 11, 2, tzinfo=UTC)
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>\'"&$x_1^2$'


def month(hourly: int = 10, days: int = 30, population: Population = SAME) -> Aggregate:
    total = Aggregate()
    random = np.random.default_rng(1)
    for i in range(days * 24):
        put_hour(total, hour_of(START + i * HOUR), SAME if i < days * 18 else population, random, hourly)
    total.health = Health(files=days, records=hourly * days * 24, predictions=hourly * days * 24)
    return total


def hostile() -> Aggregate:
    """Every text field is an attack."""
    total = Aggregate()
    hour = hour_of(START)
    key = CellKey(hour, HOSTILE, HOSTILE, HOSTILE)
    total.cells[key] = Cell(count=40, confidence=36 * 10**9, histogram={900: 40})
    total.volume(Series(hour, HOSTILE, HOSTILE)).records = 40
    total.uncertain[Series(hour, HOSTILE, HOSTILE)] = [
        Uncertain(1, "0", 0, HOSTILE, 1, 0, HOSTILE, 10**9, HOSTILE)
    ]
    total.health = Health(files=1, bad_lines=1, bad=[BadLine(HOSTILE, 3, HOSTILE)])
    return total


class Page(HTMLParser):
    """Tags with their attributes, and what scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and data.strip():
            self.scripts.append(data)


def test_the_page_stands_alone(tmp_path: Path) -> None:
    """GIVEN a month of captures WHEN the page is written THEN it loads nothing and has every chart."""
    page = write(
        month(), tmp_path / "out" / "report.html", threshold=0.93, source="s3://images/captures", invoked=8000
    )

    text = page.read_text(encoding="utf-8")
    found = Page(text)
    for _, attributes in found.tags:
        assert not (attributes.get("src") or "data:").startswith(("http", "//", "/"))
        assert "href" not in attributes
    assert "default-src 'none'" in text
    for title in (
        "Confidence over time",
        "Above and below",
        "Histogram",
        "Label shares",
        "Drift over time",
        "What if",
        "Capture health",
    ):
        assert title in text
    assert "90.0%" in text  # captured against invoked


def test_every_chart_is_valid_xml_and_has_a_name(tmp_path: Path) -> None:
    """GIVEN a page WHEN its charts are parsed THEN each is well-formed and says what it shows."""
    text = write(month(population=Population(share=0.8)), tmp_path, threshold=0.93).read_text(
        encoding="utf-8"
    )

    charts = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(charts) > 6
    for chart in charts:
        root = ET.fromstring(chart)
        assert (
            root.get("aria-label") or root.get("aria-hidden") or root.get("viewBox", "").startswith("0 0 18")
        )
    assert "nan" not in "".join(charts).lower()


def test_hostile_text_is_shown_and_never_executed(tmp_path: Path) -> None:
    """GIVEN labels, names and reasons that are markup WHEN the page is written THEN they are text, in every place."""
    text = write(
        hostile(), tmp_path, threshold=0.93, title=HOSTILE, source=HOSTILE, lines=lambda f, o: b""
    ).read_text()

    found = Page(text)
    assert "&lt;script&gt;" in text
    assert [tag for tag, _ in found.tags].count("script") == 2  # the page's own, and its data
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert not [tag for tag, attributes in found.tags if tag == "img" and attributes.get("src") == "x"]
    digest = re.search(r"script-src 'sha256-([^']+)'", text)
    assert digest
    assert base64.b64decode(digest[1])


def test_a_million_captures_are_a_small_page() -> None:
    """GIVEN a million captures over two months WHEN the page is made THEN it holds few points and few bytes."""
    random = np.random.default_rng(2)
    total = Aggregate()
    for i in range(60 * 24):
        put_hour(total, hour_of(START + i * HOUR), SAME, random, 700)

    report = build(total, threshold=0.93)

    assert report.total.count == 60 * 24 * 700
    assert len(report.dots) <= DOTS
    assert len(report.buckets) <= BUCKETS
    assert len(render(report, title="t")) < 300_000


def test_nothing_captured_is_a_page_too(tmp_path: Path) -> None:
    """GIVEN no captures WHEN the page is written THEN it says so; the PNGs do not fail either."""
    page = write(Aggregate(), tmp_path, threshold=0.93, png=True)

    assert "No captures" in page.read_text()


def test_a_single_hour_is_drawn(tmp_path: Path) -> None:
    """GIVEN one hour, as after a demonstration WHEN the page is written THEN there are dots, and nothing to compare with."""
    total = Aggregate()
    put_hour(total, hour_of(START), SAME, np.random.default_rng(1), 200)

    text = write(total, tmp_path, threshold=0.93).read_text()

    assert "Nothing to compare with yet" in text
    assert len(build(total, threshold=0.93).dots) == 200


def test_the_evaluation_set_as_reference(tmp_path: Path) -> None:
    """GIVEN a reference of one's own and other labels now WHEN the page is written THEN it alarms and names the reference."""
    reference = sample(Population(share=0.2), np.random.default_rng(3), 1000)

    text = write(
        month(days=2, hourly=20), tmp_path, threshold=0.93, reference=reference, reference_name="the test set"
    ).read_text()

    assert re.search(r"\d alarms?</strong>", text)
    assert "Compared with the test set, 1,000 predictions." in text


def test_a_single_hour_against_a_reference(tmp_path: Path) -> None:
    """GIVEN a demonstration's hour WHEN a reference is there THEN it is judged if it holds enough, and reported if not."""
    reference = sample(SAME, np.random.default_rng(3), 200)

    def page(captures: int) -> str:
        total = Aggregate()
        put_hour(total, hour_of(START), SAME, np.random.default_rng(1), captures)
        return write(total, tmp_path, threshold=0.93, reference=reference).read_text()

    few, enough = page(24), page(200)
    assert "Too few captures to judge" in few
    assert "Compared with the evaluation set, 200 predictions. At least 30 are needed on each side" in few
    assert "Drift over time" not in few
    assert "No change found" in enough
    assert "Drift over time" in enough
    assert "its p corrected for their number. A triangle is for any of these signals." in enough
    assert "a signal differs (p ≤ 0.001)" in enough
    assert 'class="median"' in enough


def test_a_reference_of_captures_is_not_compared_with_itself(tmp_path: Path) -> None:
    """GIVEN a reference made of the first day WHEN it is given THEN only what came later is compared with it."""
    total, begun = month(days=2, hourly=20), hour_of(START + timedelta(days=1))
    reference = sample(SAME, np.random.default_rng(3), 1000)

    report = build(total, threshold=0.93, reference=reference, since=begun)

    assert min(point.at for point in report.drift) > START + timedelta(days=1)
    assert report.check is not None
    assert report.check.day.window_size == 24 * 20
    late = build(total, threshold=0.93, reference=reference, since=hour_of(START + timedelta(hours=46)))
    assert late.check is not None
    assert late.check.day.window_size == 2 * 20


def test_measured_quality_is_shown(tmp_path: Path) -> None:
    """GIVEN ground truth WHEN the page is written THEN accuracy and confusion are there."""
    quality = measure([LabelledPrediction("a", 0.9, "a")] * 90 + [LabelledPrediction("a", 0.6, HOSTILE)] * 10)

    text = write(month(days=1), tmp_path, threshold=0.93, quality=quality).read_text()

    assert "Measured quality" in text
    assert "90 of 100" in text


def test_gaps_and_time_steps() -> None:
    """GIVEN captures with a hole of five hours WHEN the report is built THEN the gap is named, the longest first."""
    total = Aggregate()
    random = np.random.default_rng(1)
    for i in (0, 2, 8, 9):
        put_hour(total, hour_of(START + i * HOUR), SAME, random, 10)

    report = build(total, threshold=0.93)

    assert [(g.start, g.hours) for g in report.gaps] == [(START + 3 * HOUR, 5), (START + HOUR, 1)]
    assert sum(b.count for b in report.buckets) == 40
    assert report.buckets[0].end - report.buckets[0].start == HOUR
    assert build(month(days=30, hourly=1), threshold=0.9).buckets[0].end == START + timedelta(hours=12)


def test_what_if_is_counted_from_the_histogram() -> None:
    """GIVEN captures WHEN other thresholds are tried THEN classified and reviewed are all of them, and monotone."""
    total = sample(SAME, np.random.default_rng(1), 500)

    rows = [what_if(total, t / 100) for t in range(101)]

    assert all(a + b == 500 for a, b, _ in rows)
    assert [a for a, _, _ in rows] == sorted((a for a, _, _ in rows), reverse=True)
    assert what_if(total, 0.93)[1] == total.below(0.93)


def test_many_labels_are_grouped() -> None:
    """GIVEN forty labels WHEN shares are listed THEN the most frequent stand alone and the rest together, adding up to 1."""
    total = Aggregate()
    for i in range(40):
        total.cells[CellKey(hour_of(START), "e", "v", f"label {i:02}")] = Cell(
            count=i + 1, histogram={990: i + 1}
        )
    total.volume(Series(hour_of(START), "e", "v")).records = 820

    rows = label_rows(build(total, threshold=0.5))

    assert rows[0][0] == "label 39"
    assert rows[-1][0] == "28 more"
    assert sum(share for _, share, _, _ in rows) == pytest.approx(1)


def test_pngs(tmp_path: Path) -> None:
    """GIVEN a report WHEN PNGs are written THEN there are six images, hostile labels or not."""
    found = write_pngs(charts(build(month(days=4, hourly=30), threshold=0.93)), tmp_path)

    assert [p.name for p in found] == [
        "confidence-over-time.png", "above-and-below.png", "histogram.png", "label-shares.png", "drift-over-time.png",
        "threshold-what-if.png",
    ]  # fmt: skip
    for path in found:
        with Image.open(path) as image:
            assert min(image.size) > 300
    assert write_pngs(charts(build(hostile(), threshold=0.93)), tmp_path)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_none(tmp_path: Path, threshold: float) -> None:
    """GIVEN a threshold outside [0, 1] WHEN the page is written THEN the error says so."""
    with pytest.raises(MonitoringError, match="between 0 and 1"):
        write(Aggregate(), tmp_path, threshold=threshold)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_extreme_thresholds(tmp_path: Path, threshold: float) -> None:
    """GIVEN a threshold at the edge WHEN the page is written THEN it is."""
    assert write(month(days=1), tmp_path, threshold=threshold).is_file()


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """GIVEN a file where the folder should be WHEN the page is written THEN the error names the page, and nothing is left."""
    (tmp_path / "out").write_text("")

    with pytest.raises(PageError, match="cannot write the page"):
        write(Aggregate(), tmp_path / "out" / "report.html", threshold=0.5)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


class TestImages:
    """Images out of capture files."""

    @staticmethod
    def line(image: bytes | None, **changes: object) -> bytes:
        given: dict[str, object] = {"data": base64.b64encode(image or b"").decode(), "encoding": "BASE64"}
        return json.dumps({"captureData": {"endpointInput": {**given, **changes}}}).encode() + b"\n"

    @staticmethod
    def png(width: int, height: int, mode: str = "RGB") -> bytes:
        out = io.BytesIO()
        Image.new(mode, (width, height)).save(out, "PNG")
        return out.getvalue()

    @pytest.mark.parametrize(("size", "kind"), [((32, 32), "png"), ((400, 300), "jpeg"), ((1, 1), "png")])
    def test_an_image_is_made_small(self, size: tuple[int, int], kind: str) -> None:
        """GIVEN a capture with an image WHEN read THEN it is a small data URI of an image, and its size is shown."""
        data, note = thumbnail(image_of(self.line(self.png(*size))))

        assert data.startswith(f"data:image/{kind};base64,")
        assert note == f"{size[0]} × {size[1]}"
        with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as small:
            assert max(small.size) <= SIDE

    @pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16"])
    def test_every_kind_of_pixel(self, mode: str) -> None:
        """GIVEN images of all modes WHEN read THEN each is shown."""
        assert thumbnail(self.png(40, 40, mode))[0]

    def test_what_cannot_be_shown_says_why(self, tmp_path: Path) -> None:
        """GIVEN records without a usable image WHEN read THEN each gets a note and none an exception."""
        bomb = self.png(9000, 9000, "1")
        rows = [
            (self.line(bomb), "too large"),
            (self.line(b"<svg onload=alert(1)>"), "not an image"),
            (self.line(self.png(50, 50)[:60]), "not an image"),
            (self.line(None, data="%%%"), "not valid base64"),
            (self.line(None, data=None), "is not an image"),
            (self.line(None, encoding="CSV"), "is not an image"),
            (b"{}", "no input"),
            (b"\xff\xfe", "no input"),
            (b"[" * 200_000, "no input"),
            (b"", "no input"),
        ]
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"\n".join(line.rstrip(b"\n") for line, _ in rows))
        offset, found = 0, []
        for line, _ in rows:
            found.append((Series("h", "e", "v"), Uncertain(0, "0", 0, "a.jsonl", 1, offset, "x", 0)))
            offset += len(line.rstrip(b"\n")) + 1
        found.append((Series("h", "e", "v"), Uncertain(0, "0", 0, "gone.jsonl", 1, 0, "x", 0)))

        notes = [p.note for p in captured_images(found, folder_lines(tmp_path))]

        for (_, expected), note in zip([*rows, (b"", "file is gone")], notes, strict=True):
            assert expected in note
        assert len(showable(captured_images(found, folder_lines(tmp_path)))) == 6

    def test_the_least_certain_come_first(self) -> None:
        """GIVEN margins of several hours WHEN the least certain are requested THEN they are sorted over all."""
        total = Aggregate()
        for i, margin in enumerate((5, 1, 3)):
            series = Series(hour_of(START + i * HOUR), "e", "v")
            total.add_uncertain(series, [Uncertain(margin, "0", 0, "f", 1, 0, "x", 0)])

        assert [u.margin for _, u in least_certain(total, 2)] == [1, 3]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.4, 1, [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]), (0, 0, [0]), (0, 1500, [0, 500, 1000, 1500])],
)  # fmt: skip
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    """GIVEN a span WHEN ticks are chosen THEN they are round and within it."""
    assert nice_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("value", "text"), [(950, "950"), (12_000, "12k"), (1500, "1.5k"), (3.4e6, "3.4M"), (0.25, "0.25")]
)
def test_compact_numbers(value: float, text: str) -> None:
    """GIVEN a count WHEN written short THEN it is."""
    assert compact(value) == text
