"""Every page with nothing, little, much, and hostile text on it; also as files to look at.

python -m tests.unit.pages.cases DIR [--screenshots [PREFIX]]   writes them, and what Chromium shows of them at both widths.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.drift import SAME, Population, put_hour
from dropsort.contract.keys import CLASSIFIED, LOW_CONFIDENCE
from dropsort.contract.statistics import Stratum
from dropsort.pages import comparison, dashboard, evaluation, report
from dropsort.pages.images import captured_images, showable
from monitoring.aggregates.cells import Aggregate, BadLine, Cell, CellKey, Health, Series, Uncertain
from monitoring.cloudwatch.dashboard import Alarm, Dashboard, Panel
from monitoring.cloudwatch.widgets import MetricLine, Widget, WidgetMetric
from monitoring.drift.windows import HOUR, hour_of
from monitoring.quality.audit import OutcomeStrata, assess
from monitoring.quality.measure import LabelledPrediction, measure
from monitoring.report.figures import build
from monitoring.report.images import least_certain
from training.dataset import LabelledImage
from training.evaluation.compare import ComparedModel, Comparison
from training.evaluation.figures import Evaluation, Predictions

START = datetime(2026, 11, 2, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\"&'" + "W" * 300 + " \u202eabc"
# 100 labels without a space, from right to left and of emoji too
ENDLESS = [
    *(
        sign * 200
        for sign in (
            "x",
            "W",
            "\u0627\u0628",
            "\u05e9",
            "\U0001f6b2",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        )
    ),
    *(f"{'long' * 50}{n:03}" for n in range(94)),
]
LONG = "cam-01/" + "0123456789abcdef" * 12 + ".jpg"
WIDTHS = (1280, 390)


def captures(
    hours: int, hourly: int, model: str = "", start: datetime = START, population: Population = SAME
) -> Aggregate:
    """Hours of captures of one model, each with a few of the least certain."""
    total, random = Aggregate(), np.random.default_rng(1)
    for i in range(hours):
        put_hour(total, hour_of(start + i * HOUR), population, random, hourly)
    total.cells = {key._replace(model=model): cell for key, cell in total.cells.items()}
    for series in total.volumes:
        total.add_uncertain(
            series,
            [
                Uncertain(n * 10**7, f"{series.hour}{n}", 0, "a.jsonl", 1, n, "bicycle", 5 * 10**8 + n, f"e{n}", f"{n:064x}", model)
                for n in range(6)
            ],
        )  # fmt: skip
    total.health = Health(
        files=hours, records=hours * hourly, predictions=hours * hourly, bytes=hours * hourly * 4000
    )
    return total


def two_models() -> Aggregate:
    """Two days of one model, then a day of another."""
    other = captures(24, 40, "signs-2026-11-24", START + timedelta(days=2))
    other.cells = {
        key._replace(label={"bicycle": "stop", "motorcycle": "warning"}[key.label]): cell
        for key, cell in other.cells.items()
    }
    return captures(48, 40, "bikes-1").merge(other)


def many_labels() -> Aggregate:
    total = Aggregate()
    for n in range(100):
        key = CellKey(
            hour_of(START), "e", "v", ENDLESS[99 - n] if n > 50 else f"a rather long label, number {n:03}"
        )
        total.cells[key] = Cell(count=1 + n, confidence=(1 + n) * 9 * 10**8, histogram={900: 1 + n})
    total.volume(Series(hour_of(START), "e", "v")).records = 5050
    return total


def hostile() -> Aggregate:
    total, series = Aggregate(), Series(hour_of(START), HOSTILE, HOSTILE)
    for model in ("old" + HOSTILE, HOSTILE):
        hour = hour_of(START + HOUR * (model == HOSTILE))
        total.volume(Series(hour, HOSTILE, HOSTILE)).records = 40
        total.cells[CellKey(hour, HOSTILE, HOSTILE, HOSTILE, model)] = Cell(
            count=40, confidence=36 * 10**9, histogram={900: 40}
        )
    total.add_uncertain(
        series, [Uncertain(1, "0", 0, HOSTILE, 1, 0, HOSTILE, 10**9, HOSTILE, HOSTILE, HOSTILE)]
    )
    total.health = Health(files=1, bad_lines=1, bad=[BadLine(HOSTILE, 3, HOSTILE)])
    return total


def capture_line(file: str, offset: int) -> bytes:
    """A captured image, another one for each offset."""
    out = io.BytesIO()
    shades = np.random.default_rng(offset).integers(0, 255, (6, 8, 3), np.uint8)
    Image.fromarray(shades).resize((256, 192)).save(out, "JPEG")
    data = {"data": base64.b64encode(out.getvalue()).decode(), "encoding": "BASE64"}
    return json.dumps({"captureData": {"endpointInput": data}}).encode()


def a_report(total: Aggregate, *, truth: bool = False, name: str = "Dropsort monitoring") -> str:
    """The page of a report on these captures."""
    found = build(total, threshold=0.93)
    keys = {f"{n:064x}": f"incoming/{LONG if n == 0 else f'cam1/{n}.jpg'}" for n in range(6)}
    shown = showable(captured_images(least_certain(total), capture_line, lambda _: keys), 6)
    labelled = [LabelledPrediction("bicycle", 0.9, "bicycle")] * 90 + [
        LabelledPrediction("bicycle", 0.6, "motorcycle")
    ] * 9
    quality = measure(labelled, unmatched=3, other_models=7) if truth else None
    reviews = {
        CLASSIFIED: OutcomeStrata([Stratum(9000, 200, 190)], elsewhere=12),
        LOW_CONFIDENCE: OutcomeStrata([Stratum(1000, 50, 30)]),
    }
    return report.render(
        found,
        shown,
        title=name,
        source="stack dropsort, s3://dropsort/captures",
        quality=quality,
        audit=assess(reviews, 0.99) if truth else None,
    )


def a_dashboard(lines: int, points: int, name: str = "line") -> str:
    """A dashboard of every kind of widget."""
    times = [START.timestamp() + 300 * n for n in range(points)]
    found = tuple(
        MetricLine(WidgetMetric(stat="Sum" if n % 2 else "Average", right=n == 2), f"{name} {n}", {t: t % 7 * (n + 1) * 100 for t in times})
        for n in range(lines)
    )  # fmt: skip
    alarms = (
        Alarm(f"{name}-drift", "ALARM", f"{name} changed"),
        Alarm(f"{name}-age", "OK"),
        Alarm("gone", ""),
    )
    panels = (
        Panel(Widget("metric", 0, 0, 6, 4, f"{name} now", view="singleValue"), found[:1]),
        Panel(Widget("alarm", 6, 0, 18, 4, "Alarms"), alarms=alarms if lines else ()),
        Panel(Widget("metric", 0, 4, 12, 6, f"{name} over time"), found),
        Panel(Widget("metric", 12, 4, 12, 6, "Stacked", stacked=True), found),
        Panel(Widget("text", 0, 10, 24, 2, "", text=f"A text about {name}")),
    )
    end = START + timedelta(hours=max(3, points / 12))
    return dashboard.render(
        Dashboard(START, end, panels if lines or points else ()), title=f"{name} dashboard"
    )


def labelled(random: np.random.Generator, folder: Path, labels: list[str], count: int) -> list[LabelledImage]:
    """So many images with labels at random, all of one file."""
    file = folder / LONG.replace("/", "-")[:120]
    Image.new("RGB", (256, 200), "teal").save(file, "JPEG")
    return [LabelledImage(file, labels[at]) for at in random.integers(0, len(labels), count)]


def predicted(
    random: np.random.Generator, images: list[LabelledImage], labels: list[str], right: float
) -> Predictions:
    """Predictions of them, of which this share is right for certain."""
    truth = np.array([labels.index(image.label) for image in images])
    probabilities = random.dirichlet(np.full(len(labels), 0.05), len(images))
    sure = random.random(len(images)) < right
    probabilities[sure] = probabilities[sure] * 0.1 + 0.9 * np.eye(len(labels))[truth[sure]]
    return Predictions(images, probabilities, random.random(len(images)))


def an_evaluation(folder: Path, labels: list[str], count: int) -> str:
    """The page of an evaluation with mistakes and images of something else."""
    random = np.random.default_rng(2)
    images = labelled(random, folder, labels, count)
    found = predicted(random, images, labels, 0.8)
    truth = np.array([labels.index(image.label) for image in images])
    return evaluation.render(
        Evaluation(
            model="signs-2026-11-24", labels=labels, predictions=found, truth=truth, near_duplicate=np.zeros(count, bool),
            threshold=0.9, familiarity_threshold=0.01, threshold_from="the model folder", others=found,
            rejected=[(Path(LONG), "no image: " + "x" * 200)],
        )
    )  # fmt: skip


def a_comparison(folder: Path, labels: list[str], count: int) -> str:
    """The page of a comparison with images that change label each way."""
    random = np.random.default_rng(3)
    images = labelled(random, folder, labels, count)

    def side(name: str, right: float) -> ComparedModel:
        return ComparedModel(name, labels, predicted(random, images, labels, right), 0.9, 0.01, 2.5)

    near = random.random(count) < 0.1
    names = [image.label for image in images]
    return comparison.render(
        Comparison(side("signs-1", 0.5), side("signs-2" + labels[0], 0.8), names, near, 0.99)
    )


def pages(folder: Path) -> dict[str, Callable[[], str]]:
    """Every page by its name; `folder` is for the images of evaluations."""
    return {
        "report-nothing": lambda: a_report(Aggregate()),
        "report-one": lambda: a_report(captures(1, 1)),
        "report-229": lambda: a_report(captures(3, 76), truth=True),
        "report-100000": lambda: a_report(captures(24 * 30, 139)),
        "report-two-models": lambda: a_report(two_models()),
        "report-hostile": lambda: a_report(hostile(), name=HOSTILE),
        "report-100-labels": lambda: a_report(many_labels()),
        "dashboard-nothing": lambda: a_dashboard(0, 0),
        "dashboard-one": lambda: a_dashboard(1, 1),
        "dashboard-full": lambda: a_dashboard(6, 288),
        "dashboard-hostile": lambda: a_dashboard(2, 20, HOSTILE),
        "evaluation-one": lambda: an_evaluation(folder, ["bicycle", "motorcycle"], 1),
        "evaluation-200": lambda: an_evaluation(folder, ["bicycle", "motorcycle"], 200),
        "evaluation-100-labels": lambda: an_evaluation(folder, ENDLESS, 300),
        "comparison-one": lambda: a_comparison(folder, ["bicycle", "motorcycle"], 1),
        "comparison-200": lambda: a_comparison(folder, ["bicycle", "motorcycle"], 200),
        "comparison-hostile": lambda: a_comparison(folder, [HOSTILE, *ENDLESS], 200),
        "evaluation-hostile": lambda: an_evaluation(folder, [HOSTILE, "b"], 20),
    }


def dark(page: str) -> str:
    """A page as it is where dark colours are preferred."""
    return page.replace("(prefers-color-scheme: dark)", "all")


def _write(folder: Path, screenshots: bool, only: str = "") -> None:
    from tests.unit.local.untrusted_clients import FLAGS, browser

    folder.mkdir(parents=True, exist_ok=True)
    for name, make in pages(folder).items():
        if not name.startswith(only):
            continue
        page = folder / f"{name}.html"
        page.write_text(make(), encoding="utf-8", errors="replace")
        print(page)
        if not screenshots:
            continue
        for width in WIDTHS:
            # Chromium's windows are at least 500 pixels wide: a frame is not.
            shown, frame = folder / f"{name}.{width}.html", folder / f"{name}.{width}.frame.html"
            shown.write_text(dark(page.read_text()) if width < 500 else page.read_text())
            frame.write_text(
                f'<body style="margin:0"><iframe style="border:0;width:{width}px;height:5000px" src="{shown.name}">'
            )
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
                subprocess.run(
                    [browser(), *FLAGS, f"--user-data-dir={profile}", "--hide-scrollbars", f"--window-size={max(500, width)},5000",
                     f"--screenshot={folder / f'{name}-{width}.png'}", frame.resolve().as_uri()],
                    check=True, capture_output=True, timeout=120,
                )  # fmt: skip


if __name__ == "__main__":
    _write(Path(sys.argv[1]), "--screenshots" in sys.argv, sys.argv[3] if len(sys.argv) > 3 else "")
