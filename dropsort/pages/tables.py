"""The parts of the page that are tables: the tests behind the verdict, the what-if, capture health, measured quality."""

from __future__ import annotations

import json
import math
import re
from html import escape

import numpy as np

from dropsort.pages import charts as charts
from dropsort.pages.parts import card
from monitoring.aggregates.cells import Health
from monitoring.drift.signals import Signal
from monitoring.quality.measure import Quality
from monitoring.report_data import Report, captured_share, short, span, what_if


def signals(report: Report) -> str:
    """The tests behind the verdict."""
    look = report.look
    if look is None or not look.day.signals:
        return ""
    recent = {s.name: s for s in look.recent.signals} if look.recent else {}
    rows = [
        _signal_row(s, recent.get(s.name))
        for s in look.day.signals
        if s.effect or not s.name.startswith("Image")
    ]
    alarm = look.silence.alarm
    rows.append(
        f"<tr{' class=alarm' if alarm else ''}><td>{_state(alarm)}Silence</td>"
        f'<td class="wrap">{escape(look.silence.sentence)}</td><td class="n">{_p(look.silence.p)}</td><td></td><td></td></tr>'
    )
    last = f"<th>last {look.recent_hours} h</th><th class=n>p</th>" if recent else "<th></th><th></th>"
    return card(
        "Tests",
        "p is corrected for the number of tests. An alarm needs p ≤ "
        f"{_p(look.day.level)} and a change that matters: a day without change alarms once in a hundred at most.",
        f'<div class="scroll"><table class="tests"><thead><tr><th>signal</th><th>last 24 h</th><th class="n">p</th>{last}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>",
        whole=True,
    )


def _signal_row(day: Signal, recent: Signal | None) -> str:
    alarm = day.alarm or bool(recent and recent.alarm)
    cells = f'<td class="wrap">{escape(day.sentence)}</td><td class="n">{_p(day.adjusted)}</td>'
    cells += (
        f'<td class="wrap">{escape(recent.sentence)}</td><td class="n">{_p(recent.adjusted)}</td>'
        if recent
        else "<td></td><td></td>"
    )
    return f"<tr{' class=alarm' if alarm else ''}><td>{_state(alarm)}{escape(_spaced(day.name))}</td>{cells}</tr>"


def _state(alarm: bool) -> str:
    return "▲ " if alarm else ""


def _spaced(name: str) -> str:
    """'LowConfidenceRate' as 'Low confidence rate'."""
    words = re.findall("[A-Z][a-z]*", name)
    return (
        " ".join([words[0], *(w.lower() for w in words[1:])])
        .replace("jensen shannon", "Jensen-Shannon")
        .replace("wasserstein", "Wasserstein")
    )


def _p(p: float) -> str:
    """A probability in few characters: 0.03, 6×10⁻⁵."""
    if p >= 0.0095:
        return f"{p:.2f}"
    if p <= 1e-15:
        return "0"
    digits, exponent = f"{p:.0e}".split("e-")
    return f"{digits}×10⁻{str(int(exponent)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def what_if_card(report: Report) -> str:
    """Coverage and review load for every threshold: a slider, and a table for paper."""
    if not report.total.count:
        return ""
    bins = [[int(i), int(report.total.confidence[i])] for i in np.flatnonzero(report.total.confidence)]
    data = json.dumps(
        {
            "total": report.total.count,
            "perDay": round(report.per_day, 1) if report.hours else None,
            "bins": bins,
        },
        separators=(",", ":"),
    )
    rows = []
    for t in sorted({0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, report.threshold}):
        classified, review, promised = what_if(report.total, t)
        here = " (now)" if t == report.threshold else ""
        rows.append(
            f'<tr><td>{t:g}{here}</td><td class="n">{classified / report.total.count:.1%}</td><td class="n">{review:,}</td>'
            f'<td class="n">{_load(report.per_day * review / report.total.count)}</td>'
            f'<td class="n">{"–" if math.isnan(promised) else f"{promised:.1%}"}</td></tr>'
        )
    body = (
        charts.coverage(report) + '<div class="script"><label for="slider">threshold <b id="at"></b></label>'
        f'<input type="range" id="slider" min="0" max="1000" value="{round(report.threshold * 1000)}">'
        '<div class="what"><div><b id="classified"></b><span>classified</span></div>'
        '<div><b id="review"></b><span>to review, of these captures</span></div>'
        '<div><b id="load"></b><span>to review a day</span></div>'
        '<div><b id="promised"></b><span>right of these, estimated</span></div></div></div>'
        '<div class="scroll"><table><thead><tr><th>threshold</th><th class="n">classified</th>'
        '<th class="n">review</th><th class="n">a day</th>'
        f'<th class="n">estimated right</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f'<script type="application/json" id="counts">{data}</script>'
    )
    return card(
        "What if the threshold were another?",
        "Coverage and review load. The accuracy is an estimate from the confidences themselves."
        + (f" The load of a day is projected from {report.hours} h." if 0 < report.hours < 24 else "")
        + (
            f" Pictures that look unfamiliar ({report.unfamiliar:,}) are low-confidence besides."
            if report.unfamiliar
            else ""
        ),
        body,
    )


def _load(count: float) -> str:
    return "–" if math.isnan(count) else f"{count:,.0f}"


def health(report: Report) -> str:
    """What the capture files were like."""
    h = report.aggregate.health
    undated = report.total.count - sum(b.count for b in report.buckets)
    lost = sum(gap.hours for gap in report.gaps)
    longest = (
        f"; the longest {span(report.gaps[0].hours)} from {report.gaps[0].start:%Y-%m-%d %H:%M}"
        if report.gaps
        else ""
    )
    rows = [
        ("files read", f"{h.files:,}", f"{_bytes(h.bytes)}"),
        (
            "capture records",
            f"{h.records:,}",
            f"with {h.predictions:,} prediction{'s' if h.predictions != 1 else ''}",
        ),
        ("duplicates", f"{h.duplicates:,}", "records whose event id had been seen; counted once"),
        (
            "bad lines",
            f"{h.bad_lines:,}",
            "lines that are no record; named below" if h.bad_lines else "every line was a record",
        ),
        ("unreadable files", f"{h.unreadable_files:,}", ""),
        ("without a prediction", f"{h.without_prediction:,}", "no class probabilities in the output"),
        ("without an input", f"{h.without_input:,}", "their pictures cannot be shown"),
        ("undated", f"{undated:,}", "predictions whose hour is unknown: in no chart over time"),
        ("hours without captures", f"{lost:,}", f"of {report.hours:,}{longest}"),
    ]
    if report.invoked is not None:
        share = captured_share(report)
        rows.append(
            (
                "captured against invoked",
                f"{h.records:,} of {report.invoked:,}",
                "" if share is None else f"{share:.1%}",
            )
        )
    table = "".join(
        f'<tr><td>{escape(a)}</td><td class="n">{escape(b)}</td><td class="wrap">{escape(c)}</td></tr>'
        for a, b, c in rows
    )
    return card(
        "Capture health",
        "Captures are a sample, not a ledger: what is missing here may have been classified all the same.",
        f'<div class="scroll"><table class="health"><tbody>{table}</tbody></table></div>{_bad_lines(h)}',
    )


def quality_card(quality: Quality | None) -> str:
    """Measured quality, where ground truth was asked for."""
    if quality is None:
        return ""
    if not quality.count:
        return card(
            "Measured quality",
            f"Nothing could be measured: of {quality.unmatched:,} labelled inferences none is among these captures. "
            "Ground truth is joined by inference id, or by event id where a capture has none.",
            "",
            whole=True,
        )
    low, high = quality.accuracy_interval
    rows = [
        (
            "accuracy",
            f"{quality.accuracy:.1%}",
            f"{quality.correct:,} of {quality.count:,}; 95 %: {low:.1%} to {high:.1%}",
        ),
        ("calibration error", _measured(quality.ece), "expected gap between confidence and accuracy (ECE)"),
        (
            "Brier score",
            _measured(quality.brier),
            "of all labels" if quality.brier_is_multiclass else "of the predicted label",
        ),
        ("AUROC", _measured(quality.auroc), "of confidence: does it tell right from wrong?"),
        ("without a capture", f"{quality.unmatched:,}", "labelled, but not among these captures"),
        (
            "relabelled",
            f"{quality.conflicting:,}",
            "labelled more than once and differently; the last counts",
        ),
    ]
    figures = "".join(
        f'<tr><td>{escape(a)}</td><td class="n">{escape(b)}</td><td class="wrap">{escape(c)}</td></tr>'
        for a, b, c in rows
    )
    names = sorted(set(quality.confusion) | {p for row in quality.confusion.values() for p in row})
    shown = sorted(names, key=lambda n: -sum(quality.confusion.get(n, {}).values()))[:12]
    head = "".join(f'<th class="n">{escape(short(name))}</th>' for name in shown)
    body = "".join(
        f"<tr><td>{escape(short(truth))}</td>"
        + "".join(f'<td class="n">{quality.confusion.get(truth, {}).get(name, 0):,}</td>' for name in shown)
        + "</tr>"
        for truth in shown
    )
    return card(
        "Measured quality",
        "Captures that somebody labelled, joined by inference id. In the table: what was right by row, what was predicted by column"
        + (f"; the {len(shown)} most frequent of {len(names)} labels." if len(names) > len(shown) else "."),
        f'<div class="scroll"><table class="health"><tbody>{figures}</tbody></table></div>'
        f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>',
        whole=True,
    )


def _measured(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _bad_lines(h: Health, most: int = 20) -> str:
    if not h.bad:
        return ""
    rows = "".join(
        f'<tr><td class="wrap">{escape(b.file)}</td><td class="n">{b.line}</td><td class="wrap">{escape(b.reason)}</td></tr>'
        for b in h.bad[:most]
    )
    return (
        f"<details><summary>{min(most, len(h.bad))} of {h.bad_lines:,} bad lines</summary><div class=scroll><table><thead><tr>"
        f'<th>file</th><th class="n">line</th><th>reason</th></tr></thead><tbody>{rows}</tbody></table></div></details>'
    )


def _bytes(count: int) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.3g} TB"
