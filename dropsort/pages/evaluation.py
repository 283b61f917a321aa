"""The evaluation as one page that needs nothing else: figures, plots as SVG, and the pictures behind them.

Reads in light and dark, on paper and on a telephone. `page` returns the HTML of an `Evaluation`.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from dropsort.pages.plots import bars, curve, diagonal
from training.evaluation import metrics
from training.evaluation.predictions import Evaluation, Predictions
from training.inference import decode

SHOWN = 24  # pictures in each gallery

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d5dbe3;--ground:#fff;--panel:#f5f7fa;--a:#1f6feb;--b:#b45309}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa5b4;--line:#39424f;--ground:#14181f;--panel:#1d232c;
--a:#6cb0ff;--b:#f0a35e}}
@media print{:root{--ink:#000;--soft:#444;--line:#bbb;--ground:#fff;--panel:#fff;--a:#003f9e;--b:#8a3d00}
section{break-inside:avoid}}
*{box-sizing:border-box}body{margin:0 auto;max-width:64rem;padding:1.5rem 1rem 4rem;font:16px/1.5 system-ui,sans-serif;
color:var(--ink);background:var(--ground)}h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2.2rem 0 .4rem}
p,figcaption{color:var(--soft);margin:.2rem 0 .8rem;max-width:44rem}figcaption{font-size:.85rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem;margin:1.2rem 0}
.card{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}
.card b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}.card span{color:var(--soft);font-size:.85rem}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1.2rem}figure{margin:0}
svg{width:100%;height:auto}svg text{fill:var(--soft);font:12px system-ui,sans-serif}
.axis{stroke:var(--line)}.ideal{stroke:var(--soft);stroke-dasharray:4 4}.main{stroke:var(--a);fill:none;stroke-width:2.5}
.bar{fill:var(--a)}.dot{fill:var(--a)}.mark{stroke:var(--b);stroke-width:2;stroke-dasharray:6 3}.fill{fill:var(--a);opacity:.25}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;display:block;overflow-x:auto;max-width:100%}
th,td{padding:.35rem .8rem;border-bottom:1px solid var(--line);text-align:right}
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(6.2rem,1fr));gap:.7rem}
.gallery figure{background:var(--panel);border:1px solid var(--line);border-radius:.4rem;padding:.4rem;font-size:.75rem;
overflow-wrap:anywhere}.gallery img{width:100%;aspect-ratio:1;object-fit:contain;image-rendering:pixelated}
"""


def page(evaluation: Evaluation) -> str:
    """The whole page."""
    figures = evaluation.summary()
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{_text(evaluation.model)}: evaluation</title><style>{_STYLE}</style>",
        f"<h1>{_text(evaluation.model)}</h1><p>{figures['images']:,} pictures of {_text(', '.join(evaluation.labels))}, "
        f"not seen in training. Threshold {evaluation.threshold:.3f} ({_text(evaluation.threshold_from)}), familiarity from "
        f"{evaluation.familiarity_threshold:g} on.</p>",
        _cards(figures),
        _plots(evaluation),
        _confusion(evaluation, figures),
        _mistakes(evaluation),
        _others(evaluation, figures),
        _bad(evaluation),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _text(value: object) -> str:
    return html.escape(str(value))


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value * 100:.{digits}f} %"


def _cards(figures: dict[str, Any]) -> str:
    low, high = figures["accuracy_interval"]
    cards = [
        (_percent(figures["accuracy"]), f"accuracy, 95 % interval {_percent(low)} to {_percent(high)}"),
        (
            _percent(figures["accuracy_without_near_duplicates"]),
            f"without the {figures['near_duplicates']} that have a near-duplicate in training"
            if figures["near_duplicates_from"]
            else "near-duplicates of training pictures were not looked for",
        ),
        (
            _percent(figures["coverage"]),
            f"answered at the threshold, {_percent(figures['precision'])} of them right",
        ),
        (_percent(figures["coverage_with_guard"]), "answered when unfamiliar pictures are turned away too"),
        (f"{figures['ece']:.3f}", "expected calibration error (10 bins)"),
        (f"{figures['brier']:.3f}", "Brier score"),
        (
            "–" if figures["auroc"] is None else f"{figures['auroc']:.3f}",
            "AUROC of confidence against correctness",
        ),
    ]
    if "others" in figures:
        others = figures["others"]
        cards.append(
            (
                _percent(others["classified_share"]["value"]),
                f"of {others['images']} pictures of something else pass as classified",
            )
        )
    return (
        "<div class=cards>"
        + "".join(f"<div class=card><b>{b}</b><span>{_text(s)}</span></div>" for b, s in cards)
        + "</div>"
    )


def _plots(evaluation: Evaluation) -> str:
    confidence, correct = evaluation.predictions.confidence, evaluation.correct
    bins = metrics.reliability(confidence, correct)
    risk = metrics.risk_coverage(confidence, correct)
    edges = np.linspace(1 / len(evaluation.labels), 1, 21)
    counts, _ = np.histogram(confidence, edges)
    coverage = float((confidence >= evaluation.threshold).mean())
    plots = [
        (
            diagonal([(b.confidence, b.accuracy, b.images) for b in bins]),
            "Reliability: of the pictures with this mean confidence, so many were right. On the dashed line confidence "
            "means what it says. Larger dots are more pictures.",
        ),
        (
            curve(risk, coverage),
            "Risk and coverage: the share of errors if only the surest pictures are answered. The upright line is the "
            "threshold's coverage.",
        ),
        (
            bars(edges, counts, evaluation.threshold),
            "Confidence of all pictures, and the threshold.",
        ),
    ]
    return (
        "<section><h2>How sure, and how right</h2><div class=plots>"
        + "".join(f"<figure>{svg}<figcaption>{text}</figcaption></figure>" for svg, text in plots)
        + "</div></section>"
    )


def _confusion(evaluation: Evaluation, figures: dict[str, Any]) -> str:
    head = "".join(f"<th>{_text(label)}</th>" for label in evaluation.labels)
    rows = "".join(
        f"<tr><th>{_text(label)}</th>"
        + "".join(f"<td>{cell}</td>" for cell in row)
        + f"<td>{_percent(row[i] / sum(row))}</td></tr>"
        for i, (label, row) in enumerate(zip(evaluation.labels, figures["confusion"], strict=True))
        if sum(row)
    )
    return (
        "<section><h2>What was taken for what</h2><p>Rows are the true labels, columns the answers.</p>"
        f"<table><tr><th></th>{head}<th>right</th></tr>{rows}</table></section>"
    )


def _mistakes(evaluation: Evaluation) -> str:
    wrong = np.flatnonzero(~evaluation.correct)
    order = wrong[np.argsort(-evaluation.predictions.confidence[wrong])]
    captions = [
        f"{evaluation.labels[evaluation.truth[i]]}, taken for "
        f"{evaluation.labels[int(evaluation.predictions.probabilities[i].argmax())]} ({evaluation.predictions.confidence[i]:.2f})"
        for i in order
    ]
    unsure = np.flatnonzero(evaluation.correct & ~evaluation.classified)
    unsure = unsure[np.argsort(evaluation.predictions.confidence[unsure])]
    unsure_captions = [
        f"{evaluation.labels[evaluation.truth[i]]} {_scores(evaluation.predictions, int(i))}" for i in unsure
    ]
    return _gallery("Mistakes, the surest first", evaluation.predictions, order, captions) + _gallery(
        "Right, but not answered: below the threshold or unfamiliar",
        evaluation.predictions,
        unsure,
        unsure_captions,
    )


def _scores(predictions: Predictions, i: int) -> str:
    return f"({predictions.confidence[i]:.2f}, familiarity {predictions.familiarity[i]:.2f})"


def _others(evaluation: Evaluation, figures: dict[str, Any]) -> str:
    if evaluation.others is None:
        return ""
    predictions, found = evaluation.others, figures["others"]
    passed = np.flatnonzero(predictions.classified(evaluation.threshold, evaluation.familiarity_threshold))
    captions = [
        f"{evaluation.labels[int(predictions.probabilities[i].argmax())]} {_scores(predictions, int(i))}"
        for i in passed
    ]
    return (
        f"<section><h2>Pictures of something else</h2><p>By confidence alone {_percent(found['confident_share'])} of "
        f"{found['images']} would pass; with the familiarity guard {_percent(found['classified_share']['value'])}. "
        f"Familiarity tells them from genuine pictures with an AUROC of {found['familiarity_auroc']:.3f}.</p></section>"
        + _gallery("Of these, classified all the same", predictions, passed, captions)
    )


def _bad(evaluation: Evaluation) -> str:
    if not evaluation.rejected:
        return ""
    rows = "".join(
        f"<tr><td>{_text(path.name)}</td><td>{_text(why)}</td></tr>"
        for path, why in evaluation.rejected[:100]
    )
    return f"<section><h2>Files set aside ({len(evaluation.rejected)})</h2><table>{rows}</table></section>"


def _gallery(
    title: str, predictions: Predictions, order: Sequence[int] | np.ndarray, captions: Sequence[str]
) -> str:
    if not len(order):
        return ""
    shown = "".join(
        f"<figure><img alt='{_text(c)}' src='{_image(predictions.images[int(i)].path.read_bytes())}'>{_text(c)}</figure>"
        for i, c in zip(order[:SHOWN], captions, strict=False)
    )
    more = f"<p>{SHOWN} of {len(order)}.</p>" if len(order) > SHOWN else ""
    return f"<section><h2>{_text(title)}</h2>{more}<div class=gallery>{shown}</div></section>"


def _image(data: bytes) -> str:
    image = Image.fromarray(decode(data))
    image.thumbnail((96, 96))
    stream = io.BytesIO()
    if max(image.size) <= 48:
        image.save(stream, "PNG", optimize=True)
        kind = "png"
    else:
        image.save(stream, "JPEG", quality=82)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
