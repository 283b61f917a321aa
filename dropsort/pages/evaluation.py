"""The evaluation of a model as one HTML page that needs nothing else: figures, charts, and the images behind them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment

from dropsort.contract.statistics import Interval, calibration_bins
from dropsort.contract.text import number_of
from dropsort.pages import html
from dropsort.pages.chart import (
    Bar,
    Bars,
    Chart,
    Dot,
    Dots,
    Hover,
    Line,
    Rule,
    number_axis,
    percent_axis,
)
from dropsort.pages.formatting import auroc_note, decimal, percent, short
from dropsort.pages.images import GalleryImage, file_thumbnail
from dropsort.pages.parts import SummaryTile
from training.evaluation import scores
from training.evaluation.figures import Evaluation, Predictions

SHOWN = 24  # images in each gallery
_REJECTED = 100  # files named one by one
_OVERLAP = 5  # names of them that are shown
_NAMED = 8  # labels that the header names
_CONFUSED = 12  # labels whose confusions are shown
_NARROW = 4  # labels of a table that fits into half of a page
_BARS = 20  # of the histogram


@dataclass(frozen=True)
class Gallery:
    """Images of one kind."""

    title: str
    count: int
    images: Sequence[GalleryImage]


@dataclass(frozen=True)
class Confusion:
    """True labels by row, predicted ones by column, and the share of each row that is correct."""

    about: str
    labels: Sequence[str]
    rows: Sequence[tuple[str, Sequence[int], str]]
    wide: bool


def write(evaluation: Evaluation, page: Path) -> Path:
    """Write the page of an evaluation.

    Raises
    ------
    PageError
        The page cannot be written.
    """
    html.save(page, render(evaluation))
    return page


def render(evaluation: Evaluation, env: Environment | None = None) -> str:
    """The page of an evaluation."""
    figures = evaluation.summary()
    labels = [short(label) for label in evaluation.labels]
    return html.render(
        "evaluation.html",
        env=env,
        title=f"{evaluation.model}: evaluation",
        header=[
            f"{number_of(figures['images'], 'image')} of {_some(labels)}.",
            f"Threshold {evaluation.threshold:.3f} ({evaluation.threshold_from}), familiarity of at least "
            f"{evaluation.familiarity_threshold:g}.",
            *_overlap(evaluation),
        ],
        tiles=tiles(figures),
        charts=charts(evaluation),
        confusion=confusion(labels, figures["confusion"]),
        galleries=_galleries(evaluation),
        others=_others(figures),
        passed=_passed(evaluation),
        rejected=[(path.name, why) for path, why in evaluation.rejected[:_REJECTED]],
        rejected_count=len(evaluation.rejected),
    )


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Confusion:
    """How often each label was predicted as each: of all labels, or of those with the most mistakes."""
    matrix = np.array(counts).reshape(len(labels), len(labels))
    mistakes = matrix.sum(0) + matrix.sum(1) - 2 * matrix.diagonal()
    shown = sorted(np.argsort(-mistakes, kind="stable")[:_CONFUSED].tolist())
    about = "True labels by row, predicted labels by column"
    about += (
        f"; the {len(shown)} of {len(labels)} labels with the most mistakes."
        if len(shown) < len(labels)
        else "."
    )
    rows = [
        (labels[i], matrix[i, shown].tolist(), percent(matrix[i, i] / matrix[i].sum()))
        for i in shown
        if matrix[i].any()
    ]
    return Confusion(about, [labels[i] for i in shown], rows, wide=len(shown) > _NARROW)


def _some(labels: Sequence[str]) -> str:
    """The labels, or how many and the first of them."""
    if len(labels) <= _NAMED:
        return ", ".join(labels)
    return f"{len(labels)} labels: {', '.join(labels[:_NAMED])}, …"


def _overlap(evaluation: Evaluation) -> list[str]:
    """A sentence about the images that the model was made from; none without any."""
    names = [path.name for path in evaluation.overlap]
    if not names:
        return []
    some = ", ".join(names[:_OVERLAP]) + (", …" if len(names) > _OVERLAP else "")
    return [f"Left out, as the model was made from them: {number_of(len(names), 'image')} ({some})."]


def tiles(figures: dict[str, Any]) -> list[SummaryTile]:
    """The figures that come first."""
    low, high = figures["accuracy_interval"]
    found = [
        SummaryTile(
            "accuracy", percent(figures["accuracy"]), f"95 % interval {percent(low)} to {percent(high)}"
        ),
        *_without_near_duplicates(figures),
        SummaryTile(
            "classified",
            percent(figures["coverage"]),
            f"at or above the threshold; {percent(figures['precision'])} of them correct",
        ),
        SummaryTile(
            "classified and familiar",
            percent(figures["coverage_with_guard"]),
            f"unfamiliar images left out; {percent(figures['precision_with_guard'])} of them correct",
        ),
        SummaryTile(
            "calibration error", decimal(figures["ece"]), "expected gap between confidence and accuracy (ECE)"
        ),
        SummaryTile("Brier score", decimal(figures["brier"]), "0 is best"),
        SummaryTile("AUROC", decimal(figures["auroc"]), auroc_note(figures["auroc"])),
    ]
    if "others" in figures:
        others = figures["others"]
        found.append(
            SummaryTile(
                "of something else",
                percent(others["classified"] / others["images"]),
                f"of {number_of(others['images'], 'image')} of something else are classified",
            )
        )
    return found


def _without_near_duplicates(figures: dict[str, Any]) -> list[SummaryTile]:
    """Accuracy on the images that are not in training in another form; none where nobody searched for them."""
    if not figures["near_duplicates_from"]:
        return [
            SummaryTile("near-duplicates", "–", "near-duplicates of training images were not searched for")
        ]
    interval = Interval(*figures["accuracy_without_near_duplicates_interval"])
    found_by = ", ".join(figures["near_duplicates_from"])
    note = f"without the {figures['near_duplicates']:,} that have a near-duplicate in training, found by {found_by}; {interval.shares()}"
    return [SummaryTile("accuracy on new images", percent(figures["accuracy_without_near_duplicates"]), note)]


def charts(evaluation: Evaluation) -> list[Chart]:
    """Reliability, risk over coverage, and the histogram of confidences."""
    return [_reliability(evaluation), _risk_coverage(evaluation), _histogram(evaluation)]


def _reliability(evaluation: Evaluation) -> Chart:
    bins = calibration_bins(evaluation.predictions.confidence.tolist(), evaluation.correct.tolist())
    low = 0.1 * math.floor(10 * min([0.5, *(min(b.confidence, b.accuracy) for b in bins)]))
    total = max(1, sum(b.size for b in bins))
    dots = [
        Dot(
            b.confidence,
            b.accuracy,
            f"{number_of(b.size, 'image')}: confidence {b.confidence:.3f}, correct {b.accuracy:.3f}",
            3 + 9 * math.sqrt(b.size / total),
        )
        for b in bins
    ]
    return Chart(
        "Reliability",
        number_axis(low, 1, "mean confidence"),
        number_axis(low, 1, "share correct"),
        (
            Line(((low, low), (1, 1)), "ideal", "confidence is accuracy"),
            Dots(tuple(dots), "point", "images of similar confidence"),
        ),
        "Of the images with this mean confidence, so many are correct. Larger dots are more images.",
    )


def _risk_coverage(evaluation: Evaluation) -> Chart:
    confidence = evaluation.predictions.confidence
    risk = scores.risk_coverage(confidence, evaluation.correct)
    top = max(0.01, max((r for _, r in risk), default=0.01)) * 1.1
    coverage = float((confidence >= evaluation.threshold).mean())
    step = 1 / 50
    hovers, at = [], 0.0
    for c, r in risk:
        if c >= at or c == 1:
            hovers.append(Hover(max(0.0, c - step), c, f"coverage {c:.1%}: {r:.2%} errors"))
            at = c + step
    return Chart(
        "Risk and coverage",
        number_axis(0, 1, "coverage"),
        percent_axis(top, "errors among the classified"),
        (
            Line(tuple((c, r) for c, r in risk), "median", "errors"),
            Rule(coverage, f"threshold: {coverage:.1%}", vertical=True),
        ),
        "Share of errors if only the images of highest confidence are classified.",
        tuple(hovers),
    )


def _histogram(evaluation: Evaluation) -> Chart:
    confidence = evaluation.predictions.confidence
    least = 1 / len(evaluation.labels) if len(evaluation.labels) > 1 else 0.0
    edges = np.linspace(least, 1, _BARS + 1)
    low, high = [], []
    width = float(edges[1] - edges[0])
    sure = confidence >= evaluation.threshold
    below, _ = np.histogram(confidence[~sure], edges)
    above, _ = np.histogram(confidence[sure], edges)
    for start, b, a in zip(edges.tolist(), below.tolist(), above.tolist(), strict=False):
        hover = f"confidence {start:.2f} to {start + width:.2f}: {number_of(a + b, 'image')}"
        if b:
            low.append(Bar(start, start + width, 0, b, hover))
        if a:
            high.append(Bar(start, start + width, b, b + a, hover))
    tallest = max(1, int((below + above).max()))
    return Chart(
        "Confidence of all images",
        number_axis(float(edges[0]), 1, "confidence"),
        number_axis(0, tallest * 1.05, "images", whole=True),
        (
            Bars(tuple(high), "high", "above"),
            Bars(tuple(low), "low", "below the threshold"),
            Rule(evaluation.threshold, f"threshold {evaluation.threshold:.3g}", vertical=True),
        ),
        "How confident the model is.",
    )


def _galleries(evaluation: Evaluation) -> list[Gallery]:
    """Mistakes, those of highest confidence first, and correct predictions that are not classified."""
    predictions, names = evaluation.predictions, evaluation.labels
    wrong = np.flatnonzero(~evaluation.correct)
    wrong = wrong[np.argsort(-predictions.confidence[wrong])]
    unsure = np.flatnonzero(evaluation.correct & ~evaluation.classified)
    unsure = unsure[np.argsort(predictions.confidence[unsure])]
    return [
        _gallery(
            "Mistakes, those of highest confidence first",
            evaluation,
            predictions,
            wrong.tolist(),
            [f"{short(names[evaluation.truth[i]])}, predicted as" for i in wrong],
        ),
        _gallery(
            "Correct, but not classified: below the threshold or unfamiliar",
            evaluation,
            predictions,
            unsure.tolist(),
            ["" for _ in unsure],
        ),
    ]


def _gallery(
    title: str, evaluation: Evaluation, predictions: Predictions, order: Sequence[int], before: Iterable[str]
) -> Gallery:
    images = [
        _image(evaluation, predictions, i, words) for i, words in zip(order[:SHOWN], before, strict=False)
    ]
    return Gallery(title, len(order), images)


def _image(evaluation: Evaluation, predictions: Predictions, i: int, before: str) -> GalleryImage:
    path = predictions.images[i].path
    data, note = file_thumbnail(path)
    label = short(evaluation.labels[int(predictions.probabilities[i].argmax())])
    familiarity = f"familiarity {predictions.familiarity[i]:.3f}" if predictions.has_familiarity else ""
    return GalleryImage(
        title=f"{before} {label}".strip(),
        score=f"{predictions.confidence[i]:.2f}",
        data=data,
        alt=f"{path.name}: {before} {label}",
        note=note,
        lines=(familiarity, path.name),
    )


def _others(figures: dict[str, Any]) -> str:
    """How many images of something else pass; "" where there are none."""
    found = figures.get("others")
    if found is None:
        return ""
    return (
        f"By confidence alone {percent(found['confident_share'])} of {found['images']:,} would be classified; with the "
        f"familiarity threshold {percent(found['classified'] / found['images'])} are. Familiarity separates them from "
        f"images of the labels with an AUROC of {decimal(found['familiarity_auroc'])}."
    )


def _passed(evaluation: Evaluation) -> Gallery | None:
    """Images of something else that are classified all the same."""
    if evaluation.others is None:
        return None
    passed = np.flatnonzero(
        evaluation.others.classified(evaluation.threshold, evaluation.familiarity_threshold)
    )
    title = "Images of something else that are classified all the same"
    return _gallery(title, evaluation, evaluation.others, passed.tolist(), ["" for _ in passed])
