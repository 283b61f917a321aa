"""Quality measured by ground truth, against scikit-learn's definitions worked out by hand and the obvious loops."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from monitoring.errors import MonitoringError
from monitoring.quality.ground_truth import assess_sources, join, read_truth, truth_of
from monitoring.quality.measure import LabelledPrediction, measure

LABELS = ("bicycle", "motorcycle")


def capture(event: str, vector: Any, inference: str | None = None, **more: Any) -> dict[str, Any]:
    meta = {"eventId": event, "inferenceTime": "2026-11-21T09:00:00Z"} | (
        {"inferenceId": inference} if inference else {}
    )
    out = {"data": json.dumps(vector), "encoding": "JSON", "observedContentType": "application/json"}
    return {"captureData": {"endpointOutput": out}, "eventMetadata": meta, "eventVersion": "0", **more}


def truth(key: str, data: str) -> dict[str, Any]:
    return {
        "groundTruthData": {"data": data, "encoding": "CSV"},
        "eventMetadata": {"eventId": key},
        "eventVersion": "0",
    }


def write(path: Path, *rows: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))


def test_measures_by_hand() -> None:
    """GIVEN four predictions WHEN measured THEN every figure is the one on paper."""
    found = measure(
        [
            LabelledPrediction("a", 0.9, "a", {"a": 0.9, "b": 0.1}),
            LabelledPrediction("a", 0.8, "a", {"a": 0.8, "b": 0.2}),
            LabelledPrediction("b", 0.6, "a", {"a": 0.4, "b": 0.6}),
            LabelledPrediction("b", 0.7, "b", {"a": 0.3, "b": 0.7}),
        ]
    )

    assert (found.count, found.correct, found.accuracy) == (4, 3, 0.75)
    assert found.brier_is_multiclass
    assert found.brier == pytest.approx((0.02 + 0.08 + 0.72 + 0.18) / 4)
    assert found.auroc == 1.0
    assert found.confusion == {"a": {"a": 2, "b": 1}, "b": {"b": 1}}
    assert found.accuracy_interval.low < 0.75 < found.accuracy_interval.high


def test_nothing_to_measure() -> None:
    """GIVEN no ground truth WHEN measured THEN nothing is claimed, and it is strict JSON."""
    found = measure([])

    assert math.isnan(found.accuracy)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["accuracy"] is None


def test_joined_by_inference_id_else_event_id() -> None:
    """GIVEN captures with and without inference id WHEN joined THEN the inference id wins, and nothing is joined twice."""
    captures = [
        capture("e1", [0.9, 0.1], "i1"),
        capture("e2", [0.2, 0.8]),
        capture("e2", [0.2, 0.8]),
        capture("e3", [0.6, 0.4], "i3"),
    ]

    found = list(join(captures, {"i1": "bicycle", "e1": "motorcycle", "e2": "motorcycle"}, LABELS))

    assert [(key, o.predicted, o.truth) for key, o in found] == [
        ("i1", "bicycle", "bicycle"),
        ("e2", "motorcycle", "motorcycle"),
    ]
    assert found[0][1].probabilities == {"bicycle": 0.9, "motorcycle": pytest.approx(0.1)}


@pytest.mark.parametrize("said", ["1", "motorcycle"])
def test_an_index_means_the_label_of_the_output(said: str) -> None:
    """GIVEN outputs with labels of their own WHEN the labeller says an index THEN no --labels is needed to know which."""
    answer = {"probabilities": [0.1, 0.9], "labels": ["bicycle", "motorcycle"]}

    ((_, found),) = join([capture("e1", answer, "i1")], {"i1": said})

    assert (found.predicted, found.truth) == ("motorcycle", "motorcycle")


@pytest.mark.parametrize(
    ("data", "label"), [("MQ==", "motorcycle"), ("Y2F0", "cat"), ("?", None), ("/w==", None)]
)
def test_ground_truth_in_base64(data: str, label: str | None) -> None:
    assert truth_of({"groundTruthData": {"data": data, "encoding": "BASE64"}}, LABELS) == label


def test_a_merged_record_brings_its_own_truth() -> None:
    """GIVEN a record that Model Monitor merged WHEN joined THEN its own ground truth counts."""
    record = capture("e1", [0.9, 0.1], groundTruthData={"data": "1", "encoding": "CSV"})

    ((key, outcome),) = join([record], {}, LABELS)

    assert (key, outcome.predicted, outcome.truth) == ("e1", "bicycle", "motorcycle")


def test_a_merged_record_of_a_batch_transform_job_is_joined_too() -> None:
    """GIVEN the merged form of AWS's notebooks WHEN joined THEN output and label are found where they stand there."""
    output = {
        "data": '{"SageMakerOutput": {"predicted_label": 1, "score": 0.98}, "features": [28, 2]}',
        "encoding": "JSON",
    }
    record = {
        "eventMetadata": {"eventId": "e1"},
        "groundTruthData": {"data": '{"label": 1}', "encoding": "JSON"},
        "captureData": {"batchTransformOutput": output},
    }

    [(key, found)] = join([record], {}, LABELS)

    assert (key, found.predicted, found.truth, found.confidence) == ("e1", LABELS[1], LABELS[1], 0.98)


@pytest.mark.parametrize(
    ("data", "label"),
    [("1", "motorcycle"), ("0.0", "bicycle"), ('"bicycle"', "bicycle"), ("motorcycle", "motorcycle"), ("[1]", "motorcycle"), ("7", "7")],
)  # fmt: skip
def test_ground_truth_in_words_or_by_index(data: str, label: str) -> None:
    """GIVEN a label as word or index, in CSV or JSON WHEN read THEN it is the same label."""
    assert truth_of(truth("x", data), LABELS) == label


@pytest.mark.parametrize(
    "record",
    [{}, {"groundTruthData": None}, {"groundTruthData": {"data": 3}}, {"groundTruthData": {"data": ""}}],
)
def test_no_ground_truth(record: dict[str, Any]) -> None:
    """GIVEN a record without a usable label WHEN read THEN there is none."""
    assert truth_of(record, LABELS) is None


def test_folders_are_joined_and_hostile_lines_skipped(tmp_path: Path) -> None:
    """GIVEN captures and labels in files, broken lines among them WHEN measured THEN what is whole counts."""
    write(
        tmp_path / "captures/a.jsonl",
        capture("e1", [0.9, 0.1]),
        "{broken",
        capture("e2", [0.2, 0.8]),
        "[1]",
        capture("e3", [0.7, 0.3]),
    )
    write(
        tmp_path / "truth/2026/11/21/09/a.jsonl",
        truth("e1", "0"),
        truth("e2", "0"),
        "\x00",
        truth("lost", "1"),
    )
    write(tmp_path / "truth/2026/11/22/09/a.jsonl", truth("e2", "1"), {"groundTruthData": {"data": "1"}})

    found = assess_sources(tmp_path / "captures", tmp_path / "truth", LABELS)

    assert (found.count, found.correct, found.unmatched, found.conflicting) == (2, 2, 1, 1)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """GIVEN no such folder WHEN ground truth is read THEN the error names it."""
    with pytest.raises(MonitoringError, match="nowhere"):
        read_truth(tmp_path / "nowhere")
