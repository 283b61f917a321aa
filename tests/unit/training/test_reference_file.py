"""The reference of drift detection: a row for each image, and the file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from training.evaluation import reference_file

FAMILIAR: Any = SimpleNamespace(
    probabilities=np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]),
    familiarity=np.array([0.25, 0.5]),
    has_familiarity=True,
)
UNKNOWN: Any = SimpleNamespace(**vars(FAMILIAR) | {"has_familiarity": False})
LABELS = ["a", "é", "c"]


def test_a_row_has_the_confidence_of_its_label_and_the_familiarity_if_there_is_one() -> None:
    assert reference_file.rows(FAMILIAR, LABELS) == [
        {"label": "é", "confidence": 0.7, "familiarity": 0.25},
        {"label": "a", "confidence": 0.5, "familiarity": 0.5},
    ]
    assert reference_file.rows(UNKNOWN, LABELS) == [
        {"label": "é", "confidence": 0.7},
        {"label": "a", "confidence": 0.5},
    ]


def test_the_file_is_json_with_a_line_for_each_image(tmp_path: Path) -> None:
    reference_file.write(tmp_path / "r.json", FAMILIAR, LABELS)
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    assert json.loads(text) == reference_file.rows(FAMILIAR, LABELS)
    assert text.splitlines()[:2] == ["[", '{"label": "é", "confidence": 0.7, "familiarity": 0.25},']
    assert text.endswith("}\n]\n")
