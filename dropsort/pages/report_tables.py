"""The tables of the monitoring report: tests behind the verdict, what-if, capture health, measured quality."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

import numpy as np

from dropsort.contract.text import number_of
from dropsort.pages.formatting import (
    auroc_note,
    count,
    decimal,
    percent,
    probability,
    short,
    size,
    span,
    to_minute,
)
from dropsort.pages.parts import Fact
from monitoring.drift.signals import Signal
from monitoring.quality.audit import FEWEST, HALF_WIDTH, Audit
from monitoring.quality.measure import Quality
from monitoring.report.figures import Report, captured_share, what_if

_CONFUSION = 12  # labels shown one by one


@dataclass(frozen=True)
class TestRow:
    """One test of the last day, and of the recent window where there is one."""

    __test__ = False  # no test of pytest's

    name: str
    alarm: bool
    day: str
    p: str
    recent: str = ""
    recent_p: str = ""


@dataclass(frozen=True)
class Tests:
    """The tests behind the verdict."""

    __test__ = False

    about: str
    recent: str  # head of the column of the recent window
    rows: Sequence[TestRow]


@dataclass(frozen=True)
class WhatIf:
    """Coverage and review load for other thresholds."""

    about: str
    position: int  # of the slider, in thousandths
    rows: Sequence[Sequence[str]]
    counts: dict[str, object]  # for the slider's script: numbers only


@dataclass(frozen=True)
class AuditTable:
    """What the audit found of the target precision."""

    about: str
    rows: Sequence[Fact]


@dataclass(frozen=True)
class QualityTable:
    """What ground truth measured; without rows, why nothing."""

    about: str
    rows: Sequence[Fact] = ()
    names: Sequence[str] = ()
    confusion: Sequence[tuple[str, Sequence[str]]] = ()


def tests(report: Report) -> Tests | None:
    """The tests behind the verdict; None where nothing was tested."""
    check = report.check
    if check is None or not check.day.signals:
        return None
    recent = {s.name: s for s in check.recent.signals} if check.recent else {}
    rows = [
        _test_row(s, recent.get(s.name))
        for s in check.day.signals
        if s.effect or not s.name.startswith("Image")
    ]
    silence = check.silence
    rows.append(TestRow("Silence", silence.alarm, silence.sentence, probability(silence.p)))
    about = (
        f"p is corrected for the number of tests. An alarm needs p ≤ {probability(check.day.level)} and a change that "
        "matters: a day without change alarms once in a hundred at most."
    )
    return Tests(about, f"last {check.recent_hours} h" if recent else "", rows)


def _test_row(day: Signal, recent: Signal | None) -> TestRow:
    return TestRow(
        _spaced(day.name),
        day.alarm or bool(recent and recent.alarm),
        day.sentence,
        probability(day.adjusted),
        recent.sentence if recent else "",
        probability(recent.adjusted) if recent else "",
    )


def _spaced(name: str) -> str:
    """'LowConfidenceRate' as 'Low confidence rate'."""
    words = re.findall("[A-Z][a-z]*", name)
    return (
        " ".join([words[0], *(w.lower() for w in words[1:])])
        .replace("jensen shannon", "Jensen-Shannon")
        .replace("wasserstein", "Wasserstein")
    )


def what_if_table(report: Report) -> WhatIf | None:
    """Coverage and review load for every threshold: numbers for a slider, and rows for paper; None without captures."""
    total = report.total
    if not total.count:
        return None
    bins = [[int(i), int(total.confidence[i])] for i in np.flatnonzero(total.confidence)]
    rows = []
    for t in sorted({0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, report.threshold}):
        classified, review, estimate = what_if(total, t)
        load = report.per_day * review / total.count
        now = " (now)" if t == report.threshold else ""
        row = (
            f"{t:g}{now}",
            percent(classified / total.count),
            f"{review:,}",
            count(load),
            percent(estimate),
        )
        rows.append(row)
    about = "Coverage and review load. The accuracy is an estimate from the confidences themselves."
    if 0 < report.model_hours < 24:
        about += f" The load of a day is projected from {report.model_hours} h."
    if report.unfamiliar:
        about += f" In addition, unfamiliar images ({report.unfamiliar:,}) are to review, at any threshold."
    per_day = round(report.per_day, 1) if report.model_hours else None
    counts: dict[str, object] = {"total": total.count, "perDay": per_day, "bins": bins}
    return WhatIf(about, round(report.threshold * 1000), rows, counts)


def health(report: Report, zone: tzinfo = UTC) -> list[Fact]:
    """What the capture files were like."""
    h = report.aggregate.health
    lost = sum(gap.hours for gap in report.gaps)
    longest = ""
    if report.gaps:
        longest = f"; the longest {span(report.gaps[0].hours)} from {to_minute(report.gaps[0].start, zone)}"
    bad = "lines that are not records; named below" if h.bad_lines else "every line was a record"
    rows = [
        Fact("files read", f"{h.files:,}", size(h.bytes)),
        Fact(
            "capture records",
            f"{h.records:,}",
            f"with {number_of(h.predictions, 'prediction')}",
        ),
        Fact("duplicates", f"{h.duplicates:,}", "records whose event id had been seen; counted once"),
        Fact("bad lines", f"{h.bad_lines:,}", bad),
        Fact("unreadable files", f"{h.unreadable_files:,}", ""),
        Fact("without a prediction", f"{h.without_prediction:,}", "no class probabilities in the output"),
        Fact("without an input", f"{h.without_input:,}", "their images cannot be shown"),
        Fact("undated", f"{report.undated:,}", "predictions whose hour is unknown: in no chart over time"),
        Fact("hours without captures", f"{lost:,}", f"of {report.hours:,}{longest}"),
    ]
    share = captured_share(report)
    if report.invoked is not None:
        value = f"{h.records:,} of {report.invoked:,}"
        rows.append(
            Fact(
                "captured against invoked",
                value,
                "" if share is None else f"{percent(share)} {captured_note(report)}",
            )
        )
    return rows


def captured_note(report: Report) -> str:
    """Of what the share of captures is, and why there are more captures where there are."""
    more = report.aggregate.health.records - (report.invoked or 0)
    note = f"of {report.invoked:,} invocations with a result"
    return note + (f"; {more:,} more were repeated or tested the endpoint" if more > 0 else "")


def audit_table(audit: Audit | None) -> AuditTable | None:
    """What reviews in random order found, where there was an audit."""
    if audit is None:
        return None
    found = audit.classified.estimate
    rows = [
        Fact("target precision", percent(audit.target), _VERDICTS[audit.verdict]),
        Fact("precision", percent(found.value), found.interval.shares())
        if audit.shown
        else Fact("precision", "not known yet", f"at least {FEWEST} reviews at random are needed"),
        Fact("accuracy of all predictions", percent(audit.accuracy), audit.accuracy_interval.shares())
        if not math.isnan(audit.accuracy)
        else Fact(
            "accuracy of all predictions",
            "not known yet",
            f"at least {FEWEST} reviews of each outcome are needed",
        ),
    ]
    for name, one in audit.outcomes.items():
        note = f"reviewed in random order, of {one.size:,}; {one.elsewhere:,} others do not count"
        rows.append(Fact(f"{name}: reviews", f"{one.reviewed:,}", note))
    if audit.more:
        rows.append(
            Fact(
                "more reviews", f"{audit.more:,}", f"after which the precision is known to ± {HALF_WIDTH:.0%}"
            )
        )
    if audit.other_models:
        rows.append(Fact("of other models", f"{audit.other_models:,}", f"left out; {audit.model} counts"))
    return AuditTable("How many of the classified images are right, by reviews in random order.", rows)


_VERDICTS = {"met": "met", "missed": "▲ missed", "undecided": "neither met nor missed yet"}


def quality_table(quality: Quality | None) -> QualityTable | None:
    """Measured quality, where ground truth was given."""
    if quality is None:
        return None
    if not quality.count:
        if quality.other_models:
            return QualityTable(
                f"Nothing could be measured: all {quality.other_models:,} labelled predictions are of earlier models."
            )
        return QualityTable(
            f"Nothing could be measured: of {quality.unmatched:,} labelled inferences none is among these captures. "
            "Ground truth is joined by inference id, or by event id where a capture has none."
        )
    brier = "of all labels" if quality.brier_is_multiclass else "of the predicted label"
    rows = [
        Fact(
            "accuracy",
            percent(quality.accuracy),
            f"{quality.correct:,} of {quality.count:,}; {quality.accuracy_interval.shares()}",
        ),
        Fact(
            "calibration error",
            decimal(quality.ece),
            "expected gap between confidence and accuracy (ECE)",
        ),
        Fact("Brier score", decimal(quality.brier), brier),
        Fact("AUROC", decimal(quality.auroc), auroc_note(quality.auroc)),
        Fact("without a capture", f"{quality.unmatched:,}", "labelled, but not among these captures"),
        Fact(
            "relabelled",
            f"{quality.conflicting:,}",
            "labelled more than once and differently; the last counts",
        ),
        *(
            [Fact("of other models", f"{quality.other_models:,}", "labelled predictions that are left out")]
            if quality.other_models
            else []
        ),
    ]
    names = sorted(set(quality.confusion) | {p for row in quality.confusion.values() for p in row})
    shown = sorted(names, key=lambda n: -sum(quality.confusion.get(n, {}).values()))[:_CONFUSION]
    about = "Captures with ground truth, joined by inference id. In the table: the true label by row, the predicted one by column"
    about += f"; the {len(shown)} most frequent of {len(names)} labels." if len(names) > len(shown) else "."
    confusion = [
        (short(truth), [f"{quality.confusion.get(truth, {}).get(name, 0):,}" for name in shown])
        for truth in shown
    ]
    return QualityTable(about, rows, [short(name) for name in shown], confusion)
