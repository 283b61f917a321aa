"""The reference that drift is held against: what a model answered to pictures that it was not trained on.

One object per picture, `{"label": predicted, "confidence": 0.98, "familiarity": 0.41}`, without the pictures' names: what
monitoring reads as the answers of an evaluation set.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.measures.evaluation import Answers


def rows(answers: Answers, labels: list[str]) -> list[dict[str, str | float]]:
    """One object per picture, in order; without familiarity where the model gives none."""
    found: list[dict[str, str | float]] = []
    for probabilities, familiarity in zip(answers.probabilities, answers.familiarity, strict=True):
        best = int(probabilities.argmax())
        row: dict[str, str | float] = {"label": labels[best], "confidence": float(probabilities[best])}
        found.append(row | {"familiarity": float(familiarity)} if answers.judged else row)
    return found


def write(path: Path, answers: Answers, labels: list[str]) -> None:
    """Write the reference, a picture a line, whole or not at all."""
    text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows(answers, labels))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(f"[\n{text}\n]\n", encoding="utf-8")
    temporary.replace(path)
