"""The comparison of two models as one HTML page that needs nothing else: the advice, figures, charts, images that change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray

from dropsort.contract.statistics import Interval, calibration_bins
from dropsort.contract.text import number_of
from dropsort.pages import html
from dropsort.pages.chart import (
    Axis,
    Bar,
    Bars,
    Chart,
    Dot,
    Dots,
    Hover,
    Line,
    Ranges,
    Rule,
    Texts,
    Tick,
    nice_ticks,
    number_axis,
    percent_axis,
)
from dropsort.pages.formatting import decimal, percent, probability, short
from dropsort.pages.images import GalleryImage, file_thumbnail
from dropsort.pages.parts import SummaryTile
from training.evaluation import scores
from training.evaluation.compare import ComparedModel, Comparison, PairedShare

SHOWN = 48  # images in each gallery
_CHANGES = 30  # rows of the table
_SIGNS = {"roll out": ("ok", "✓"), "do not roll out": ("bad", "✗"), "undecided": ("", "?")}
_NAMES = ("current", "candidate")
_STYLES = ("before", "median")  # of both in turn


class ComparisonRow(NamedTuple):
    """A figure of both models, and what is to add."""

    name: str
    current: str
    candidate: str
    note: str = ""  # difference or interval


def write(comparison: Comparison, page: Path) -> Path:
    """Write the page.

    Raises
    ------
    PageError
        The page cannot be written.
    """
    html.save(page, render(comparison))
    return page


def render(comparison: Comparison, env: Environment | None = None) -> str:
    """The page of a comparison."""
    verdict, sentence = comparison.verdict()
    kind, sign = _SIGNS[verdict]
    near = int(comparison.near_duplicate.sum())
    changes = comparison.changes()
    return html.render(
        "comparison.html",
        env=env,
        title=f"{short(comparison.candidate.name)} compared with {short(comparison.current.name)}",
        header=[
            f"{number_of(len(comparison.truth), 'labelled image')} that neither model was made from."
            + (f" Left out: {number_of(len(comparison.overlap), 'other')}." if comparison.overlap else ""),
            *(
                [
                    f"{near:,} may have a near-duplicate among training images, by perceptual hash alone; the advice is without them."
                ]
                if near
                else []
            ),
        ],
        kind=kind,
        sign=sign,
        sentence=sentence,
        tiles=tiles(comparison),
        rows=rows(comparison),
        charts=[_differences(comparison), _reliability(comparison), _risk_coverage(comparison)],
        changes=[(short(a), short(b), *counts) for a, b, *counts in changes[:_CHANGES]],
        changed=number_of(sum(row[2] for row in changes), "image"),
        galleries=_galleries(comparison),
    )


def tiles(comparison: Comparison) -> list[SummaryTile]:
    """The differences that come first."""
    accuracy, coverage = comparison.accuracy(), comparison.coverage_at_precision()
    before, after = map(percent, coverage.shares)
    return [
        SummaryTile(
            "accuracy",
            _signed(accuracy.difference),
            f"{accuracy.interval.points()}; p {probability(accuracy.p)}",
        ),
        SummaryTile(
            f"coverage at {comparison.precision:.1%}",
            _signed(coverage.difference),
            f"{coverage.interval.points()}; from {before} to {after}",
        ),
        SummaryTile("newly right", f"{accuracy.gained:,}", "images that only the candidate has right"),
        SummaryTile("newly wrong", f"{accuracy.lost:,}", "images that only the current model has right"),
    ]


def rows(comparison: Comparison) -> list[ComparisonRow]:
    """Every figure of both models."""
    sides = comparison.sides
    summary = comparison.summary()
    found = [summary[name] for name in _NAMES]
    accuracy, coverage = comparison.accuracy(), comparison.coverage()
    new, at = comparison.decisive().accuracy(), comparison.coverage_at_precision()

    def paired(name: str, one: PairedShare) -> ComparisonRow:
        note = f"{_signed(one.difference)}; {one.interval.points()}; p {probability(one.p)}"
        before, after = map(percent, one.shares)
        return ComparisonRow(name, before, after, note)

    return [
        paired("accuracy", accuracy),
        *(
            [paired("accuracy without near-duplicates of training images", new)]
            if new.images < accuracy.images
            else []
        ),
        paired("classified, at its own thresholds", coverage),
        ComparisonRow(
            "correct of the classified",
            percent(found[0]["precision"]),
            percent(found[1]["precision"]),
            "; ".join(Interval(*one["precision_interval"]).shares() for one in found),
        ),
        paired(f"classified, where {comparison.precision:.1%} of these images are right", at),
        ComparisonRow("threshold", *(f"{side.threshold:.3f}" for side in sides)),
        ComparisonRow("calibration error (ECE)", *(decimal(one["ece"]) for one in found)),
        ComparisonRow("unfamiliar images", *(f"{one['unfamiliar']:,}" for one in found)),
        ComparisonRow("median familiarity", *(decimal(one["median_familiarity"]) for one in found)),
        ComparisonRow(
            "time of a prediction on this machine", *(f"{side.milliseconds:.1f} ms" for side in sides)
        ),
        ComparisonRow("labels", *(f"{len(side.labels):,}" for side in sides)),
    ]


def _differences(comparison: Comparison) -> Chart:
    """What the candidate gains or loses, with intervals."""
    found = [
        ("accuracy", comparison.accuracy()),
        ("on new images", comparison.decisive().accuracy()),
        ("classified", comparison.coverage()),
        (f"at {comparison.precision:.1%}", comparison.coverage_at_precision()),
    ]
    ends = [end for _, one in found for end in one.interval]
    reach = max(0.02, *(abs(end) for end in ends)) * 1.1
    ticks = tuple(Tick(v / 100, f"{v:+g}" if v else "0") for v in nice_ticks(-100 * reach, 100 * reach, 5))
    dots = [
        Dot(one.difference, i, f"{name}: {_signed(one.difference)} ({one.interval.points()})")
        for i, (name, one) in enumerate(found)
    ]
    return Chart(
        "What the candidate gains",
        Axis(-reach, reach, ticks, "points, candidate minus current"),
        Axis(0, 1, rows=tuple(name for name, _ in found)),
        (
            Bars(tuple(Bar(-reach, reach, i - 0.3, i + 0.3) for i in range(len(found))), "track"),
            Ranges(tuple((*one.interval, i) for i, (_, one) in enumerate(found))),
            Dots(tuple(dots), "diamond", "difference"),
            Rule(0, "", vertical=True),
            Texts(tuple((i, _signed(one.difference)) for i, (_, one) in enumerate(found))),
        ),
        "With 95 % intervals of the same images under both models; an interval that contains 0 may be chance.",
    )


def _reliability(comparison: Comparison) -> Chart:
    bins = [
        calibration_bins(side.predictions.confidence.tolist(), comparison.correct(side).tolist())
        for side in comparison.sides
    ]
    low = 0.1 * math.floor(10 * min(0.5, *(min(b.confidence, b.accuracy) for found in bins for b in found)))
    marks = [
        Dots(
            tuple(
                Dot(
                    b.confidence,
                    b.accuracy,
                    f"{name}, {b.size:,}: confidence {b.confidence:.3f}, correct {b.accuracy:.3f}",
                )
                for b in found
            ),
            style,
            name,
        )
        for name, style, found in zip(_NAMES, ("diamond", "point"), bins, strict=True)
    ]
    return Chart(
        "Reliability",
        number_axis(low, 1, "mean confidence"),
        number_axis(low, 1, "share correct"),
        (Line(((low, low), (1, 1)), "ideal", "confidence is accuracy"), *marks),
        "Of the images with this mean confidence, so many are correct.",
    )


def _risk_coverage(comparison: Comparison) -> Chart:
    curves = [
        scores.risk_coverage(side.predictions.confidence, comparison.correct(side))
        for side in comparison.sides
    ]
    top = max(0.01, *(r for curve in curves for _, r in curve)) * 1.1
    hovers = []
    for i in range(50):
        at = (i + 1) / 50
        values = [next(r for c, r in curve if c >= at - 1e-9) for curve in curves]
        hovers.append(
            Hover(i / 50, at, f"coverage {at:.0%}: current {values[0]:.2%} errors, candidate {values[1]:.2%}")
        )
    marks = [
        Line(tuple(curve), style, name) for curve, style, name in zip(curves, _STYLES, _NAMES, strict=True)
    ]
    return Chart(
        "Risk and coverage",
        number_axis(0, 1, "coverage"),
        percent_axis(top, "errors among the classified"),
        (*marks, Rule(1 - comparison.precision, "target")),
        "Share of errors if only the images of highest confidence are classified.",
        tuple(hovers),
    )


def _galleries(comparison: Comparison) -> list[tuple[str, int, Sequence[GalleryImage]]]:
    """The images whose label changes: title, how many, those that are shown, most confident first."""
    before, after = map(comparison.correct, comparison.sides)
    predicted = (side.predicted for side in comparison.sides)
    differs = np.array([a != b for a, b in zip(*predicted, strict=True)], bool)
    kinds = (
        ("Newly wrong", before & ~after),
        ("Newly right", after & ~before),
        ("Wrong under both, with another label", differs & ~before & ~after),
    )
    return [(title, int(flags.sum()), _images(comparison, flags)) for title, flags in kinds if flags.any()]


def _images(comparison: Comparison, flags: NDArray[np.bool_]) -> list[GalleryImage]:
    chosen = np.flatnonzero(flags)
    order = chosen[np.argsort(-comparison.candidate.predictions.confidence[chosen], kind="stable")]
    return [_image(comparison, int(i)) for i in order[:SHOWN]]


def _image(comparison: Comparison, i: int) -> GalleryImage:
    path = comparison.current.predictions.images[i].path
    data, note = file_thumbnail(path)
    lines = [f"{name}: {_prediction(side, i)}" for name, side in zip(_NAMES, comparison.sides, strict=True)]
    return GalleryImage(
        title=short(comparison.truth[i]),
        score="",
        data=data,
        alt=f"{path.name}: {short(comparison.truth[i])}; {'; '.join(lines)}",
        note=note,
        lines=(*lines, path.name),
    )


def _prediction(side: ComparedModel, i: int) -> str:
    confidence = side.predictions.confidence[i]
    return f"{short(side.predicted[i])} {confidence:.2f}{'' if side.classified[i] else ', not classified'}"


def _signed(difference: float) -> str:
    return f"{100 * difference:+.1f} pt"
