"""The monitoring report: one HTML page that needs nothing else, and PNGs for slides.

    >>> from dropsort.pages.report import write
    >>> write(aggregate, Path("report.html"), threshold=0.93)  # doctest: +SKIP

The page embeds aggregates and thinned dots, never captures one by one, so that it opens at once however many there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from jinja2 import Environment

from dropsort.contract.defaults import FAMILIARITY_THRESHOLD
from dropsort.contract.statistics import wilson
from dropsort.contract.text import number_of
from dropsort.pages import html, report_tables
from dropsort.pages.formatting import percent, period, short, span, to_minute
from dropsort.pages.images import GalleryImage, KeysOf, captured_images, no_keys, showable
from dropsort.pages.parts import SummaryTile
from dropsort.pages.report_charts import charts
from monitoring.aggregates.cells import Aggregate
from monitoring.drift.sample import Sample
from monitoring.drift.signals import FEWEST
from monitoring.quality.audit import Audit
from monitoring.quality.measure import Quality
from monitoring.report.figures import Report, build, captured_share
from monitoring.report.images import Lines, least_certain

_BAD_LINES = 20  # named one by one
_DAY = 24  # hours


def write(
    aggregates: Aggregate,
    out: Path,
    *,
    threshold: float,
    familiarity_threshold: float = FAMILIARITY_THRESHOLD,
    title: str = "Dropsort monitoring",
    source: str = "",
    lines: Lines | None = None,
    keys: KeysOf = no_keys,
    reference: Sample | None = None,
    reference_name: str = "the evaluation set",
    reference_model: str | None = None,
    since: str = "",
    invoked: int | None = None,
    quality: Quality | None = None,
    audit: Audit | None = None,
    now: datetime | None = None,
    png: bool = False,
    zone: tzinfo = UTC,
) -> Path:
    """Compute the figures of captures, and write their page.

    Parameters
    ----------
    aggregates
        All captures to report on.
    threshold, familiarity_threshold, reference, reference_name, reference_model, since, invoked, now
        As for `monitoring.report.figures.build`, which computes the figures.
    out, title, source, lines, keys, quality, audit, png, zone
        As for `save`, which writes the page.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    MonitoringError
        The threshold is not in [0, 1].
    PageError
        A file cannot be written.
    """
    report = build(
        aggregates,
        threshold=threshold,
        familiarity_threshold=familiarity_threshold,
        reference=reference,
        reference_name=reference_name,
        reference_model=reference_model,
        since=since,
        invoked=invoked,
        now=now,
    )
    return save(
        report,
        out,
        title=title,
        source=source,
        lines=lines,
        keys=keys,
        quality=quality,
        audit=audit,
        png=png,
        zone=zone,
    )


def save(
    report: Report,
    out: Path,
    *,
    title: str = "Dropsort monitoring",
    source: str = "",
    lines: Lines | None = None,
    keys: KeysOf = no_keys,
    quality: Quality | None = None,
    audit: Audit | None = None,
    png: bool = False,
    zone: tzinfo = UTC,
) -> Path:
    """Write the page of a report.

    Parameters
    ----------
    out
        The page to write (``.html``), or a folder, which gets ``report.html``.
    source
        Where the captures came from, to be shown.
    lines
        Reads a capture record again, for the images (`folder_lines`, `bucket_lines` of `monitoring.report.images`);
        without it the page has none.
    keys
        Keys of uploads by inference id, of those that are known.
    quality
        What ground truth measured (`assess_sources`).
    audit
        What reviews in random order found of the target precision.
    png
        Also write the charts as PNGs, next to the page.
    zone
        The time zone of the page.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    PageError
        A file cannot be written.
    """
    page = html.page_file(out, "report.html")
    shown = showable(captured_images(least_certain(report.aggregate), lines, keys)) if lines else ()
    html.save(
        page, render(report, shown, title=title, source=source, quality=quality, audit=audit, zone=zone)
    )
    if png:
        from dropsort.pages.png import write_pngs

        write_pngs(charts(report, zone), page.parent)
    return page


def render(
    report: Report,
    shown: Iterable[GalleryImage] = (),
    *,
    title: str,
    source: str = "",
    quality: Quality | None = None,
    audit: Audit | None = None,
    zone: tzinfo = UTC,
    env: Environment | None = None,
) -> str:
    """The page of a report."""
    dated = bool(report.buckets)
    when = period(report.buckets[0].start, report.buckets[-1].end, zone) if dated else "no dated captures"
    bad = report.aggregate.health
    return html.render(
        "report.html",
        scripts=("what_if.js",),
        env=env,
        title=title,
        header=[when, *([source] if source else []), *model_changes(report, zone)],
        verdict=verdict(report),
        tiles=tiles(report, quality),
        charts=charts(report, zone),
        health=report_tables.health(report, zone),
        bad_lines=bad.bad[:_BAD_LINES],
        bad_count=f"{bad.bad_lines:,}",
        what_if=report_tables.what_if_table(report),
        quality=report_tables.quality_table(quality),
        audit=report_tables.audit_table(audit),
        tests=report_tables.tests(report),
        images=list(shown),
        made=f"{datetime.now(zone):%d %B %Y at %H:%M %Z}",
        threshold=f"{report.threshold:g}",
    )


def model_changes(report: Report, zone: tzinfo = UTC) -> list[str]:
    """Which model the figures are of, since when, and what is left out of them; nothing for one without a version."""
    if not report.models or (len(report.models) == 1 and not report.models[0].model):
        return []
    *before, now = [_model(period.model) for period in report.models]
    if not before:
        return [f"Model {now}."]
    since = f" since {to_minute(report.changes[-1][0], zone)}" if report.changes else ""
    return [
        f"The model changed: {now}{since}, before that {', '.join(reversed(before))}. All figures, tests and "
        f"thresholds are of {now} alone. Only the charts over time have the {number_of(report.earlier, 'capture')} of earlier models."
    ]


def _model(name: str) -> str:
    return short(name) if name else "a model without a version"


@dataclass(frozen=True)
class ReportVerdict:
    """What drift found, in words."""

    kind: str  # class of the style sheet: ok, bad or none
    sign: str
    title: str
    note: str
    found: Sequence[str] = ()


def verdict(report: Report) -> ReportVerdict:
    """What drift found, in words, at the top; the note ends with what is not right besides."""
    found = _drift(report)
    return replace(found, note=" ".join(filter(None, [found.note, *_conditions(report)])))


def _conditions(report: Report) -> list[str]:
    """Sentences on what no test of drift shows: tests that were not possible, silence, captures that cannot be read."""
    found, check = [], report.check
    if check is not None and check.alarms and report.reference is None:
        found.append("There is no reference yet, so the captures were not compared with one.")
    elif check is not None and check.alarms and check.day.note:
        found.append(
            f"The last day has {number_of(check.day.window_size, 'capture')}: too few to test for drift."
        )
    if check is not None and check.silence.hours and not check.silence.alarm:
        found.append(f"{check.silence.sentence[0].upper()}{check.silence.sentence[1:]}.")
    health = report.aggregate.health
    unread = [
        number_of(count, noun)
        for count, noun in ((health.bad_lines, "bad line"), (health.unreadable_files, "unreadable file"))
        if count
    ]
    if unread:
        found.append(f"Not counted: {' and '.join(unread)} (see capture health).")
    return found


def _drift(report: Report) -> ReportVerdict:
    """What drift found alone."""
    check = report.check
    if check is None and report.total.count:
        return ReportVerdict(
            "", "–", "No dated captures", "No capture has a time: nothing can be compared over time."
        )
    if check is None or not report.total.count:
        return ReportVerdict(
            "",
            "–",
            "No captures",
            "Nothing was captured yet, or nothing that holds class probabilities. Upload images with `dropsort drop`; "
            "captures are written some minutes later. Then write this page again with `dropsort report`.",
        )
    count = report.reference.count if report.reference else 0
    compared = f"Compared with {report.reference_name}, {number_of(count, 'prediction')}."
    if check.alarms:
        alarms = len(check.alarms)
        note = compared if report.reference else ""
        return ReportVerdict("bad", "▲", number_of(alarms, "alarm"), note, check.alarms)
    if report.reference is None:
        return ReportVerdict(
            "",
            "○",
            "Nothing to compare with yet",
            "A reference is the predictions of an evaluation set (the model folder's reference.json), or the first day of "
            "captures once it holds 1,000.",
        )
    if check.day.note:
        return ReportVerdict(
            "",
            "○",
            "Too few captures to judge",
            f"{compared} At least {FEWEST} are needed on each side, and the last day has {check.day.window_size:,}.",
        )
    return ReportVerdict(
        "ok", "●", "No change found", f"{compared} {check.day.window_size:,} captures of the last day."
    )


def document(report: Report, quality: Quality | None = None) -> dict[str, Any]:
    """What the page says first, for JSON: what drift found, the alarms, and the figures as they are shown."""
    found = verdict(report)
    return {
        "verdict": found.title,
        "note": found.note,
        "alarms": list(found.found),
        "figures": {tile.name: tile.value for tile in tiles(report, quality)},
    }


def summary(report: Report, quality: Quality | None = None) -> list[str]:
    """What the page says first, as lines of text: what drift found, each alarm, and the figures."""
    found = verdict(report)
    figures = ", ".join(f"{tile.name} {tile.value}" for tile in tiles(report, quality))
    return [f"{found.title}. {found.note}", *(f"- {alarm}" for alarm in found.found), f"{figures}."]


def tiles(report: Report, quality: Quality | None = None) -> list[SummaryTile]:
    """The figures that come first."""
    total = report.total
    low = total.below(report.threshold)
    labels = number_of(len(total.labels), "label")
    more = f"; {report.earlier:,} of earlier models left out" if report.earlier else ""
    found = [SummaryTile("captures", f"{total.count:,}", f"in {span(report.model_hours)}, {labels}{more}")]
    if total.count:
        found += [
            SummaryTile(
                "mean confidence",
                f"{total.mean_confidence:.3f}",
                f"over all captures{' of this model' if report.earlier else ''}"
                + ("" if quality else "; the accuracy to expect, if the model is calibrated"),
            ),
            SummaryTile(
                "below the threshold",
                percent(low / total.count),
                f"{number_of(low, 'capture')}; {wilson(low, total.count).shares()}",
            ),
            *_unfamiliar(report),
            *_accuracy(report, quality),
        ]
    share = captured_share(report)
    if share is not None:
        found.append(SummaryTile("captured", percent(share), report_tables.captured_note(report)))
    return found


def _accuracy(report: Report, quality: Quality | None) -> list[SummaryTile]:
    """Accuracy as ground truth measured it, else the last day's estimate where that is another figure than the mean."""
    if quality is not None and quality.count:
        note = f"{quality.correct:,} of {quality.count:,} with ground truth; {quality.accuracy_interval.shares()}"
        return [SummaryTile("measured accuracy", percent(quality.accuracy), note)]
    if report.check is None or report.model_hours <= _DAY or math.isnan(report.check.day.estimated_accuracy):
        return []
    note = "mean confidence of the last day: an estimate, if the model is calibrated"
    return [SummaryTile("estimated accuracy", percent(report.check.day.estimated_accuracy), note)]


def _unfamiliar(report: Report) -> list[SummaryTile]:
    count = report.unfamiliar
    if count is None:
        return []
    note = f"{number_of(count, 'capture')}; low-confidence at any threshold"
    return [SummaryTile("unfamiliar", percent(count / report.total.count), note)]
