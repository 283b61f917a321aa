"""The monitoring report: one HTML page that needs nothing else, and PNGs for slides.

    >>> from dropsort.pages.report import write
    >>> write(aggregate, Path("report.html"), threshold=0.93)  # doctest: +SKIP

The page embeds aggregates and thinned dots, never captures one by one, so that it opens at once whatever stands behind it.
Captures are hostile input here: everything is escaped, and a content security policy allows no script but the
page's own and nothing from elsewhere.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from dropsort.contract.defaults import FAMILIARITY_THRESHOLD
from dropsort.pages import parts as parts
from dropsort.pages import tables as tables
from dropsort.pages.images import Lines, Picture, least_certain, pictures, showable
from monitoring.aggregates.cells import Aggregate
from monitoring.drift.sample import Sample
from monitoring.errors import MonitoringError
from monitoring.quality.measure import Quality
from monitoring.report_data import Report, build, period

_STYLE = Path(__file__).parent / "report.css"
_SCRIPT = Path(__file__).parent / "report.js"


def write(
    aggregates: Aggregate,
    out: Path,
    *,
    threshold: float,
    familiarity_threshold: float = FAMILIARITY_THRESHOLD,
    title: str = "Dropsort monitoring",
    source: str = "",
    lines: Lines | None = None,
    reference: Sample | None = None,
    reference_name: str = "the evaluation set",
    since: str = "",
    invoked: int | None = None,
    quality: Quality | None = None,
    now: datetime | None = None,
    png: bool = False,
) -> Path:
    """Write the report.

    Parameters
    ----------
    aggregates
        All captures to report on.
    out
        The page to write (``.html``), or a folder, which gets ``report.html``.
    threshold, familiarity_threshold
        As the service's filter has them, in [0, 1].
    source
        Where the captures came from, to be shown.
    lines
        Reads a capture record again, for the pictures (`report_pictures.folder_lines`, `bucket_lines`); without it the page
        has none.
    reference, reference_name
        What drift compares with (by default the first day of captures), and what to call it.
    since
        Of a reference made of captures, the hour after them: nothing before it is compared.
    invoked
        Invocations that should have been captured, where known.
    quality
        What ground truth measured (`quality.assess_sources`).
    now
        The moment of the look (aware); by default the end of the last hour with captures.
    png
        Also write the charts as PNGs beside the page.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    MonitoringError
        The threshold is none, or the page cannot be written.
    """
    if not 0 <= threshold <= 1:
        raise MonitoringError(f"a threshold is between 0 and 1, not {threshold}")
    page = out if out.suffix.lower() in (".html", ".htm") else out / "report.html"
    report = build(
        aggregates,
        threshold=threshold,
        familiarity_threshold=familiarity_threshold,
        reference=reference,
        reference_name=reference_name,
        since=since,
        invoked=invoked,
        now=now,
    )
    shown = showable(pictures(least_certain(aggregates), lines)) if lines else ()
    save(page, render(report, shown, title=title, source=source, quality=quality))
    if png:
        from dropsort.pages.png import write_pngs

        write_pngs(report, page.parent)
    return page


def render(
    report: Report,
    shown: Iterable[Picture] = (),
    *,
    title: str,
    source: str = "",
    quality: Quality | None = None,
) -> str:
    """The page of a report."""
    style, script = _STYLE.read_text(encoding="utf-8"), _SCRIPT.read_text(encoding="utf-8")
    body = [
        parts.HATCH,
        f"<main><header><h1>{escape(title)}</h1><p>{escape(period(report))}</p>",
        f"<p>{escape(source)}</p></header>" if source else "</header>",
        parts.verdict(report),
        parts.tiles(report),
        '<div class="grid">',
        parts.chart_cards(report),
        f'<div class="pile">{parts.drift_card(report)}{tables.health(report)}</div>',
        tables.what_if_card(report),
        tables.quality_card(quality),
        tables.signals(report),
        parts.gallery(list(shown)),
        "</div>",
        f"<footer>Made by Dropsort on {datetime.now(UTC):%d %B %Y at %H:%M} UTC. Threshold {report.threshold:g}. "
        "Intervals are 95 %. Estimated accuracy is no measurement: only ground truth measures.</footer></main>",
    ]
    return document(title, style, "".join(body), script)


def document(title: str, style: str, body: str, script: str = "") -> str:
    """An HTML document that may run its own script and load nothing."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"script-src 'sha256-{digest}'; " if script else ""
    policy = f"default-src 'none'; {allowed}style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{body}"
        f"{f'<script>{script}</script>' if script else ''}</body></html>\n"
    )


def save(page: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = page.with_name(f".{page.name}.{os.getpid()}.part")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, page)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise MonitoringError(f"{page}: cannot write the page ({error.strerror or error})") from error
