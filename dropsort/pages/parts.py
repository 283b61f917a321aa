"""The parts of the page as HTML, one function each. Everything from captures is escaped here, without exception."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from dropsort.contract.statistics import wilson
from dropsort.pages import charts as charts
from dropsort.pages.images import Picture
from monitoring.drift.signals import FEWEST
from monitoring.report_data import Report, captured_share, short, span

HATCH = (
    '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs><pattern id="hatch" width="6" '
    'height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch-ground" width="6" '
    'height="6"/><path class="hatch-line" d="M0 0V6"/></pattern></defs></svg>'
)
_HIGH = '<svg viewBox="0 0 18 12"><rect class="high" width="18" height="12"/></svg>'
_LOW = '<svg viewBox="0 0 18 12"><rect class="low" width="18" height="12"/></svg>'
_LINE = '<svg viewBox="0 0 18 12"><path class="median" d="M0 6H18"/></svg>'
_BAND = '<svg viewBox="0 0 18 12"><path class="band" d="M0 0H18V12H0Z"/></svg>'
_USUAL = '<svg viewBox="0 0 18 12"><path class="usual" d="M0 0H18V12H0Z"/></svg>'
_BEFORE = '<svg viewBox="0 0 18 12"><path class="before" d="M0 6H18"/></svg>'
_ABOVE = '<svg viewBox="0 0 18 12"><path class="dot above big" d="M9 6h.01"/></svg>'
_BELOW = '<svg viewBox="0 0 18 12"><path class="dot below big" d="M9 6h.01"/></svg>'
_DIAMOND = '<svg viewBox="0 0 18 20"><path class="diamond" d="M9 1l6 9l-6 9l-6 -9z"/></svg>'
_DIFFERS = '<svg viewBox="0 0 18 14"><path class="differs" d="M9 1l7 12h-14z"/></svg>'


def verdict(report: Report) -> str:
    """What drift says, in words, at the top."""
    look = report.look
    if look is None and report.total.count:
        return _verdict(
            "", "–", "No dated captures", "None says when it was: nothing can be compared over time.", ()
        )
    if look is None or not report.total.count:
        return _verdict(
            "", "–", "No captures", "Nothing was captured yet, or nothing that holds probabilities.", ()
        )
    count = report.reference.count if report.reference else 0
    compared = f"Compared with {report.reference_name}, {count:,} prediction{'s' if count != 1 else ''}."
    if look.alarms:
        alarms = len(look.alarms)
        return _verdict("bad", "▲", f"{alarms} alarm{'s' if alarms > 1 else ''}", compared, look.alarms)
    if report.reference is None:
        return _verdict(
            "",
            "○",
            "Nothing to compare with yet",
            "A reference is the predictions of an evaluation set (the model folder's reference.json), or the first day of "
            "captures once it holds 1,000.",
            (),
        )
    if look.day.note:
        size = look.day.window_size
        return _verdict(
            "",
            "○",
            "Too few captures to judge",
            f"{compared} That takes {FEWEST} on each side, and the last day has {size:,}.",
            (),
        )
    return _verdict(
        "ok", "●", "No change found", f"{compared} {look.day.window_size:,} captures of the last day.", ()
    )


def tiles(report: Report) -> str:
    """The figures that come first."""
    total = report.total
    low = total.below(report.threshold)
    interval = wilson(low, total.count)
    found = [
        (
            "captures",
            f"{total.count:,}",
            f"in {span(report.hours)}, {len(total.labels)} label{'s' if len(total.labels) != 1 else ''}",
        )
    ]
    if total.count:
        promised = report.look.day.estimated_accuracy if report.look else math.nan
        if math.isnan(promised):
            promised = total.mean_confidence
        found += [
            ("mean confidence", f"{total.mean_confidence:.3f}", "over all captures"),
            (
                "below the threshold",
                f"{low / total.count:.1%}",
                f"{low:,} captures; 95 %: {interval.low:.1%} to {interval.high:.1%}",
            ),
            *_unfamiliar(report),
            ("estimated accuracy", f"{promised:.1%}", "an estimate: what calibrated confidences promise"),
        ]
    share = captured_share(report)
    if share is not None:
        found.append(("captured", f"{share:.1%}", f"of {report.invoked:,} invocations"))
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(note)}</span></div>'
            for name, value, note in found
        )
        + "</div>"
    )


def _unfamiliar(report: Report) -> list[tuple[str, str, str]]:
    count = report.unfamiliar
    if count is None:
        return []
    said = f"{count:,} capture{'s' if count != 1 else ''}; low-confidence at any threshold"
    return [("look unfamiliar", f"{count / report.total.count:.1%}", said)]


def chart_cards(report: Report) -> str:
    """The charts, each in its card; none without captures."""
    if not report.total.count:
        return ""
    has_reference = report.reference is not None
    over_time = [
        card(
            "Confidence over time",
            "Each dot is a capture, somewhere within its hour; thinned evenly where there are many.",
            charts.confidence_over_time(report)
            + legend(
                (_ABOVE, "above"), (_BELOW, "below the threshold"), (_LINE, "median"), (_BAND, "middle 80 %")
            ),
        ),
        card(
            "Above and below the threshold",
            f"Captures with confidence of at least {report.threshold:g}, and less.",
            charts.above_and_below(report) + legend((_HIGH, "above"), (_LOW, "below")),
        ),
    ]
    parts = [
        *(over_time if report.buckets else ()),
        card(
            "Histogram of confidences",
            "How sure the model was.",
            charts.histogram(report)
            + legend(
                (_HIGH, "above"),
                (_LOW, "below"),
                *([(_BEFORE, "reference, scaled")] if has_reference else []),
            ),
        ),
        card(
            "Label shares",
            "With 95 % intervals.",
            charts.label_shares(report)
            + legend((_HIGH, "share"), *([(_DIAMOND, "reference")] if has_reference else [])),
        ),
    ]
    return "".join(parts)


def drift_card(report: Report) -> str:
    """Drift over time; nothing while there is no reference, or no stretch with captures enough."""
    if all(math.isnan(point.distance) for point in report.drift):
        return ""
    marks = (_LINE, "distance"), (_USUAL, "usual without change (95 %)"), (_DIFFERS, "differs (p ≤ 0.001)")
    return card(
        "Drift over time",
        f"How far confidences moved from {report.reference_name}, on average.",
        charts.drift_over_time(report) + legend(*marks),
    )


def gallery(pictures: Sequence[Picture]) -> str:
    """The least certain inferences."""
    if not pictures:
        return ""
    items = []
    for p in pictures:
        tiny = ' class="tiny"' if p.data.startswith("data:image/png") else ""
        shown = (
            f'<img{tiny} src="{escape(p.data, quote=True)}" alt="input classified as {escape(short(p.label), quote=True)}">'
            if p.data
            else f'<div class="none">{escape(p.note)}</div>'
        )
        note = p.note if p.data else ""
        items.append(
            f"<li>{shown}<b><bdi>{escape(short(p.label))}</bdi> {p.confidence:.3f}</b>"
            f"<span>{escape(note)}</span><span>{escape(p.hour[:16].replace('T', ' '))}</span></li>"
        )
    return card(
        "Least certain",
        "The smallest margins between the best label and the next: what to review and label first.",
        f'<ul class="gallery">{"".join(items)}</ul>',
        whole=True,
    )


def card(title: str, about: str, body: str, *, whole: bool = False) -> str:
    """A titled box; title and about are text, body is HTML."""
    kind = "card whole" if whole else "card"
    return f'<section class="{kind}"><h2>{escape(title)}</h2><p class="about">{escape(about)}</p>{body}</section>'


def legend(*entries: tuple[str, str]) -> str:
    """A legend of (SVG, text)."""
    return (
        '<ul class="legend">' + "".join(f"<li>{mark}{escape(said)}</li>" for mark, said in entries) + "</ul>"
    )


def _verdict(kind: str, sign: str, title: str, note: str, found: Sequence[str]) -> str:
    listed = "<ul>" + "".join(f"<li>{escape(a)}</li>" for a in found) + "</ul>" if found else ""
    return (
        f'<div class="verdict {kind}" role="status"><span class="sign" aria-hidden="true">{sign}</span>'
        f"<div><strong>{escape(title)}</strong>{listed}<p>{escape(note)}</p></div></div>"
    )
