"""Stage 3: write the ONNX graph and the labels, and measure what its 8-bit weights cost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dropsort.contract import model_folder
from training.dataset.images import Pixels
from training.evaluation import scores
from training.inference import open_session
from training.model import familiarity, graph
from training.model.classifier import Classifier
from training.stages.calibrate import Calibrated
from training.stages.fit import Fitted

_COMPARED = 200  # images, at least, on which the written graph is compared with the network


def export(
    folder: Path, labels: list[str], fitted: Fitted, calibrated: Calibrated, *, name: str, seed: int
) -> dict[str, float]:
    """Write `model.onnx` and `labels.json` into `folder`; return the figures of `weight_rounding`.

    The graph appears under its name only once it is complete.
    """
    classifier = fitted.classifier
    known = familiarity.build(classifier.familiar_features(fitted.images), fitted.groups, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / model_folder.UNFINISHED_GRAPH
    classifier.write(temporary, temperature=calibrated.temperature, known=known, metadata={"model": name})
    sample = fitted.images[:: max(1, len(fitted.images) // _COMPARED)]
    figures = weight_rounding(classifier, temporary, sample, calibrated.temperature)
    temporary.replace(folder / model_folder.GRAPH)
    (folder / model_folder.LABELS).write_text(json.dumps(labels, ensure_ascii=False) + "\n", encoding="utf-8")
    return figures


def weight_rounding(
    classifier: Classifier, path: Path, images: Pixels, temperature: float
) -> dict[str, float]:
    """The effect of 8-bit weights: the graph at `path` against the 32-bit network, on the same images.

    `other_class` is the share of images with another most probable class, `largest_difference` that of any probability.
    """
    session = open_session(path.read_bytes())
    found = np.concatenate([session.run([graph.PROBABILITIES], {graph.INPUT: p[None]})[0] for p in images])
    exact = scores.softmax(classifier.logits(images), temperature)
    return {
        "images": len(images),
        "other_class": round(float((found.argmax(1) != exact.argmax(1)).mean()), 4),
        "largest_difference": round(float(np.abs(found - exact).max()), 4),
    }
