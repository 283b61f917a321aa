"""The model card: what to consider before relying on a model, written from its figures."""

from __future__ import annotations

from typing import Any

from training.dataset import Dataset
from training.model.familiarity import ENOUGH


def card(figures: dict[str, Any], data: Dataset) -> str:
    """Markdown; figures as in metrics.json."""
    training, held = figures["training"], figures["held_out"]
    accuracy = held["accuracy"]
    ece = f", ECE {held['ece']:.3f}" if "ece" in held else ""  # models of 0.1 have none, or of other bins
    lines = [
        f"# {figures['model']}",
        "",
        f"Classifies images of {_and(data.labels)}, with a confidence and a familiarity.",
        "",
        f"- Network: {training['arch']}, trained on {training['images']:,} images, seed {training['seed']}"
        f" ({training['cpu_seconds']:.0f} CPU-seconds).",
        "- Input: decoded RGB images of any size. Resizing, normalisation, calibration and familiarity are in the graph.",
        f"- Calibration: {figures['calibration']}.",
        f"- Held out ({held['how']}, {held['images']:,} images): accuracy {accuracy['value']:.3f}"
        f" (95 % {accuracy['low']:.3f} to {accuracy['high']:.3f}){ece}.",
        f"- Threshold {figures['threshold']:.3f}, chosen there for precision {figures['wanted_precision']:.2f}"
        + ("." if held["precision_met"] else ", which no threshold reached: this is the best there is."),
        f"- Familiarity threshold {figures['familiarity_threshold']}: it rejects about that share of genuine images"
        + (
            "."
            if training["images"] >= ENOUGH
            else f" if there are {ENOUGH} to train on; with {training['images']} it may reject several times as many."
        ),
    ]
    if "accuracy" in figures:
        low, high = figures["accuracy_interval"]
        lines.append(
            f"- Test ({figures['images']} images never used above): accuracy {figures['accuracy']:.3f}"
            f" (95 % {low:.3f} to {high:.3f}), ECE {figures['ece']:.3f}; at the threshold it classifies {figures['coverage']:.1%}"
            f" of them ({figures['coverage_with_guard']:.1%} with the familiarity threshold)."
        )
    counts = data.counts()
    lines += ["", "| part | " + " | ".join(data.labels) + " |", "|---" * (len(data.labels) + 1) + "|"]
    lines += [
        f"| {part} | " + " | ".join(str(row[label]) for label in data.labels) + " |"
        for part, row in counts.items()
    ]
    lines += [
        "",
        "Familiarity compares an image with training images. It proves nothing: an image of anything else that resembles"
        " them may pass. Images of another kind than those it was trained on (another camera, another size) need"
        " an evaluation of their own.",
    ]
    return "\n".join(lines) + "\n"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
