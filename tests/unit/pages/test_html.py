"""Pages escape whatever comes from outside, load nothing, and are written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import re
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import Environment, UndefinedError

from dropsort.contract.text import printable
from dropsort.pages import comparison, dashboard, evaluation, html, report
from dropsort.pages.images import GalleryImage
from monitoring.aggregates.cells import Aggregate, BadLine, Cell, CellKey, Health, Series
from monitoring.cloudwatch.dashboard import Alarm, Dashboard, Panel
from monitoring.cloudwatch.widgets import MetricLine, Widget, WidgetMetric
from monitoring.quality.measure import LabelledPrediction, measure
from monitoring.report.figures import build
from tests.unit.pages import cases
from training.dataset import LabelledImage
from training.evaluation.compare import ComparedModel, Comparison
from training.evaluation.figures import Evaluation, Predictions

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"&\x1b[31m\x9bm\u202egpj"
START, END = datetime(2026, 11, 2, 9, tzinfo=UTC), datetime(2026, 11, 2, 12, tzinfo=UTC)
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
TEMPLATES = Path(html.__file__).parent / "templates"


class Tags(HTMLParser):
    """Tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def a_report(env: Environment | None = None) -> str:
    total = Aggregate()
    total.cells[CellKey("2026-11-02T09:00:00Z", HOSTILE, HOSTILE, HOSTILE)] = Cell(
        count=40, confidence=36 * 10**9, histogram={900: 40}
    )
    total.volume(Series("2026-11-02T09:00:00Z", HOSTILE, HOSTILE)).records = 40
    total.health = Health(files=1, bad_lines=1, bad=[BadLine(HOSTILE, 3, HOSTILE)])
    quality = measure([LabelledPrediction(HOSTILE, 0.9, HOSTILE)])
    found = build(total, threshold=0.93)
    return report.render(found, title=HOSTILE, source=HOSTILE, quality=quality, env=env)


def a_dashboard(env: Environment | None = None) -> str:
    line = MetricLine(
        WidgetMetric(label=HOSTILE, color='x" onload="y'),
        HOSTILE,
        {START.timestamp(): 1.0, END.timestamp(): 2.0},
    )
    chart = Widget("metric", 0, 0, 12, 6, HOSTILE, axes={"left": {"label": HOSTILE}})
    value = Widget("metric", 0, 0, 12, 6, HOSTILE, view="singleValue")
    text = Widget("text", 0, 0, 12, 6, HOSTILE, text=HOSTILE)
    alarms = (Alarm(HOSTILE, "ALARM", HOSTILE), Alarm(HOSTILE, ""))
    panels = (
        Panel(chart, (line, line)),
        Panel(value, (line,)),
        Panel(text),
        Panel(Widget("alarm", 0, 0, 12, 6, HOSTILE), alarms=alarms),
    )
    return dashboard.render(Dashboard(START, END, panels), title=HOSTILE, env=env)


def an_evaluation(env: Environment | None = None) -> str:
    images = [LabelledImage(Path(f"/nowhere/{HOSTILE.replace('/', '')}"), HOSTILE)] * 4
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    predictions = Predictions(images, probabilities, np.ones(4))
    found = Evaluation(
        model=HOSTILE,
        labels=[HOSTILE, "b"],
        predictions=predictions,
        truth=np.array([0, 0, 0, 1]),
        near_duplicate=np.zeros(4, bool),
        threshold=0.7,
        familiarity_threshold=0.05,
        threshold_from=HOSTILE,
        others=predictions,
        rejected=[(Path(HOSTILE.replace("/", "")), HOSTILE)],
    )
    return evaluation.render(found, env=env)


PAGES = pytest.mark.parametrize("page", [a_report, a_dashboard, an_evaluation])


def injected(text: str) -> list[str]:
    """What hostile text became markup: images that are not ours, event handlers, scripts without a digest."""
    found = []
    for tag, attributes in Tags(text).found:
        if attributes.get("src") == "x" or any(name.startswith("on") for name in attributes):
            found.append(tag)
    found += re.findall(r"<script>alert", text)
    return found


@PAGES
def test_what_comes_from_outside_is_text_on_every_page(page: object) -> None:
    text = page()  # type: ignore[operator]

    assert "&lt;script&gt;" in text
    assert not injected(text)


def test_every_attribute_of_a_gallery_is_one_value_whatever_it_says() -> None:
    shown = GalleryImage(
        HOSTILE, HOSTILE, f"data:image/png;{HOSTILE}", alt=HOSTILE, note=HOSTILE, lines=(HOSTILE,), id=HOSTILE
    )
    parts: Any = html.environment().get_template("parts.html").module

    text = str(parts.gallery([shown, replace(shown, data="")]))

    assert not injected(text)
    found = [attributes for _, attributes in Tags(text).found]
    assert [one["alt"] for one in found if "alt" in one] == [printable(HOSTILE)]
    assert [one["src"] for one in found if "src" in one] == [printable(shown.data)]
    assert [one["title"] for one in found if one.get("class") == "id"] == [printable(HOSTILE)] * 2
    assert text.count("<bdi>") == 2, "a title from right to left must not turn its score around"


@PAGES
def test_without_autoescaping_it_would_be_markup(page: object) -> None:
    """GIVEN templates without autoescaping WHEN pages are made THEN the check above finds what got through."""
    env = html.environment()
    env.autoescape = False

    assert injected(page(env))  # type: ignore[operator]


@PAGES
def test_no_control_character_or_mark_of_direction_reaches_a_page(page: object) -> None:
    """WHEN pages are made THEN names are shown as they stand AND without the filter they would not be."""
    text = page()  # type: ignore[operator]

    assert "\ufffd[31m\ufffdm\ufffdgpj" in text
    assert not FORBIDDEN.search(text)
    env = html.environment()
    env.finalize = None
    assert set(FORBIDDEN.findall(page(env))) == {"\x1b", "\x9b", "\u202e"}  # type: ignore[operator]


@PAGES
def test_a_page_loads_nothing_and_runs_only_what_its_policy_names(page: object) -> None:
    text = page()  # type: ignore[operator]

    for _, attributes in Tags(text).found:
        assert (attributes.get("src") or "data:").startswith("data:")
        assert "href" not in attributes
    policy = re.search(r'content="(default-src [^"]*)"', text)
    assert policy
    assert re.sub(r"script-src[^;]*; ", "", policy[1]) == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    own = re.findall(r"<script>(.*?)</script>", text, re.S)
    allowed = re.findall(r"'sha256-([^']+)'", policy[1])
    assert [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in own] == allowed


@PAGES
def test_every_chart_can_be_read_by_a_screen_reader_and_has_hover_values(page: object) -> None:
    text = page()  # type: ignore[operator]

    drawn = re.findall(r'<svg [^>]*role="img".*?</svg>', text, re.S)
    assert drawn
    for svg in drawn:
        assert re.search(r'aria-label="[^"]+"', svg)
        assert "<desc>" in svg
        assert "<title>" in svg


def test_no_template_marks_text_as_safe() -> None:
    of_the_review = TEMPLATES.parents[1] / "review" / "templates"
    found = [*TEMPLATES.glob("*.html"), *of_the_review.glob("*.html")]
    assert {path.parent for path in found} == {TEMPLATES, of_the_review}
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe|autoescape|Markup", text), path.name
    for path in TEMPLATES.parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "Markup" not in text, path.name
        assert "escape(" not in text, path.name


def test_a_name_that_a_template_does_not_get_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        html.environment().from_string("{{ nothing }}").render()


def test_a_page_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    (page / "inside").mkdir(parents=True)

    with pytest.raises(html.PageError, match=r"page\.html: cannot write the page"):
        html.save(page, "new")

    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert page.is_dir()


@pytest.mark.parametrize("target", ["/dev/full", "/dev/null"])
def test_a_device_stays_a_device(target: str) -> None:
    # GIVEN a device in place of a page WHEN the page is written, by root too
    page = html.page_file(Path(target), "report.html")
    assert page == Path(target)
    if target == "/dev/full":
        with pytest.raises(html.PageError, match="No space left on device"):
            html.save(page, "text")
    else:
        html.save(page, "text")
    # THEN it is one still
    assert stat.S_ISCHR(page.lstat().st_mode)


def test_half_a_surrogate_pair_is_shown_as_a_question_mark(tmp_path: Path) -> None:
    """GIVEN a label as JSON allows it and UTF-8 does not WHEN page and PNGs are written THEN they are."""
    total = Aggregate()
    key = CellKey("2026-11-02T09:00:00Z", "e", "v", "cat \udc80")
    total.cells[key] = Cell(count=40, confidence=36 * 10**9, histogram={900: 40})
    total.volume(Series(key.hour, "e", "v")).records = 40

    page = report.write(total, tmp_path, threshold=0.93, png=True)

    assert "cat ?" in page.read_text(encoding="utf-8")


def test_what_has_a_size_for_screens_has_one_for_paper() -> None:
    style = (TEMPLATES / "style.css").read_text()
    screen, paper = style.split("@media print")

    def sized(rules: str, unit: str) -> set[str]:
        found = re.findall(r"([^{}]+)\{([^{}]*)\}", rules)
        return {
            name.strip()
            for names, body in found
            if re.search(rf"font(-size)?:[^;]*\d{unit}", body)
            for name in names.split(",")
        }

    # What is not printed, sizes within drawings, and a rule for narrow screens alone
    other = {".what b", ".what span", "svg text", "svg .name", ".facts td:last-child"}
    assert sized(screen, "px") - sized(paper, "pt") == other


def test_of_one_there_is_no_plural(tmp_path: Path) -> None:
    # GIVEN one capture below the threshold after one of an earlier model, and images of which one changes its label
    total = Aggregate()
    for hour, model in enumerate(("old", "new")):
        key = CellKey((START + timedelta(hours=hour)).isoformat(), "e", "v", "a", model)
        total.cells[key] = Cell(count=1, confidence=5 * 10**8, histogram={500: 1})
        total.volume(Series(key.hour, "e", "v")).records = 1
    found = cases.a_report(total)
    image = cases.labelled(np.random.default_rng(0), tmp_path, ["a", "b"], 1)
    sides = [Predictions(image, np.array([share]), np.ones(1)) for share in ((0.9, 0.1), (0.1, 0.9))]
    models = [
        ComparedModel(name, ["a", "b"], side, 0.5, 0.01, 1.0) for name, side in zip("xy", sides, strict=True)
    ]
    found += comparison.render(Comparison(*models, [image[0].label], np.zeros(1, bool), 0.99))
    # THEN each count of one is in the singular
    assert [
        words
        for words in ("1 capture;", "the 1 capture of earlier models.", "1 image.")
        if words not in found
    ] == []
    assert re.findall(r"(?<![\d,.])1 (?:capture|image)s\b", re.sub("<[^>]*>", "|", found)) == []


def test_names_on_a_dashboard_are_short_and_the_whole_ones_are_shown_under_the_mouse() -> None:
    # GIVEN a dashboard of every kind of widget whose names are of 300 characters
    name = "W" * 300
    page = cases.a_dashboard(2, 20, name)
    assert page.count(name) > 5
    # WHEN what is shown only under the mouse or to screen readers is left out THEN no legend and no value has the whole name
    shown = re.sub(r'(title|aria-label)="[^"]*"|<title>[^<]*</title>|<desc>.*?</desc>', "", page)
    assert re.findall(r"<li><svg.*?</svg>(W+…): ", shown) == ["W" * 29 + "…"] * 4
    assert f"<span >{'W' * 29}…</span>" in shown
