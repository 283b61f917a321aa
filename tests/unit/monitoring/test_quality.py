"""Quality measured by ground truth, against scikit-learn's definitions worked out by hand and the obvious loops."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest

from dropsort.contract.statistics import wilson
from monitoring.errors import MonitoringError
from monitoring.quality import ground_truth
from monitoring.quality.ground_truth import assess_sources, join, read_records, read_truth, truth_of
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
    ("data", "label"), [("MQ==", "motorcycle"), ("Y2F0", "cat"), ("?", None), ("/w==", None), ("M!Q==", None)]
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


def test_every_figure_as_json() -> None:
    found = measure(
        [
            LabelledPrediction("a", 0.9, "a"),
            LabelledPrediction("b", 0.8, "a"),
            LabelledPrediction("a", 0.6, "c", {"a": 0.6, "b": 0.4}),
        ],
        unmatched=3,
        conflicting=4,
        other_models=5,
    )
    assert found.to_json() == {
        "count": 3, "correct": 1, "accuracy": pytest.approx(1 / 3), "accuracy_interval": list(wilson(1, 3)),
        "ece": pytest.approx((0.1 + 0.8 + 0.6) / 3), "brier": pytest.approx((0.01 + 0.64 + 0.36) / 3),
        "brier_is_multiclass": False, "auroc": 1.0, "confusion": {"a": {"a": 1, "b": 1}, "c": {"a": 1}},
        "unmatched": 3, "conflicting": 4, "other_models": 5,
    }  # fmt: skip
    unknown = measure([LabelledPrediction("a", 0.6, "c", {"a": 0.6, "b": 0.4})])
    assert unknown.brier == pytest.approx(0.36 + 0.16 + 1), "a class that the model does not know"
    nothing = measure([])
    assert (nothing.count, nothing.correct, nothing.brier_is_multiclass) == (0, 0, False)
    assert (nothing.accuracy_interval, nothing.confusion, nothing.unmatched) == ((0, 1), {}, 0)
    assert (nothing.conflicting, nothing.other_models) == (0, 0)


@pytest.mark.parametrize(
    ("output", "truth", "expected"),
    [
        ({"label": "cat", "score": 0.9, "model": "v1"}, "dog", LabelledPrediction("cat", 0.9, "dog", model="v1")),
        ({"probabilities": [0.25, 0.75], "labels": ["a", "b"], "model": "v1"}, "0",
         LabelledPrediction("b", 0.75, "a", {"a": 0.25, "b": 0.75}, "v1")),
        ({"probabilities": [0.25, 0.75], "labels": ["a", "b"]}, "2", LabelledPrediction("b", 0.75, "2", {"a": 0.25, "b": 0.75})),
        ({"probabilities": [0.25, 0.75], "labels": ["1", "0"]}, "1", LabelledPrediction("0", 0.75, "1", {"1": 0.25, "0": 0.75})),
        ({"predicted_label": 0, "score": 0.75}, "1", LabelledPrediction("0", 0.25, "1", {"0": 0.25, "1": 0.75})),
    ],
)  # fmt: skip
def test_what_a_prediction_and_its_truth_become(
    output: Any, truth: str, expected: LabelledPrediction
) -> None:
    assert list(join([capture("e1", output)], {"e1": truth})) == [("e1", expected)]


def test_a_merged_truth_by_index_has_the_labels_that_are_given() -> None:
    record = capture("e1", {"label": "cat", "score": 0.9}, groundTruthData={"data": "1", "encoding": "CSV"})
    [(_, found)] = join([record], {}, LABELS)
    assert found.truth == "motorcycle"
    # AND one from a file comes before it
    [(_, found)] = join([record], {"e1": "dog"}, LABELS)
    assert found.truth == "dog"


def test_what_has_no_id_or_no_truth_or_no_output_is_passed_over() -> None:
    nothing = {"eventMetadata": {}, "captureData": capture("x", [0.9, 0.1])["captureData"]}
    merged = nothing | {"groundTruthData": {"data": "a"}}
    rows = [
        nothing,
        {},
        capture("e1", [0.9, 0.1]),
        capture("e2", "text"),
        merged,
        merged,
        capture("e3", [0.2, 0.8]),
    ]
    found = list(join(rows, {"e2": "1", "e3": "1"}))
    assert [(key, one.truth) for key, one in found] == [("", "a"), ("", "a"), ("e3", "1")]


@pytest.mark.parametrize(
    ("data", "encoding", "label"),
    [
        (" cat ", "CSV", "cat"), ('"cat', "CSV", "cat"), ("[1, 0]", "JSON", None), ('["cat"]', "JSON", "cat"),
        ('{"label": "cat"}', "JSON", "cat"),
        ('{"label": 0}', "JSON", "bicycle"), ('{"name": "cat"}', "JSON", None), ("[]", "JSON", None), ("Y2F0", "base64", "cat"),
        ("Y2F0", None, "Y2F0"), ("2", "CSV", "2"), ("null", "JSON", None),
    ],
)  # fmt: skip
def test_a_label_as_it_is_written(data: str, encoding: str | None, label: str | None) -> None:
    found = truth_of({"groundTruthData": {"data": data, "encoding": encoding}}, LABELS)
    assert found == label


def test_files_that_are_gone_lines_without_an_id_and_the_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write(
            tmp_path / f"{name}.jsonl",
            truth(name, "1"),
            {"groundTruthData": {"data": "1"}},
            truth("same", name),
        )
    records = read_records(tmp_path)
    first = next(records)
    (tmp_path / "b.jsonl").unlink()
    rest = [record["eventMetadata"]["eventId"] for record in records if "eventMetadata" in record]
    assert (first["eventMetadata"]["eventId"], rest) == ("a", ["same", "c", "same"])
    assert read_truth(tmp_path, LABELS) == ({"a": "motorcycle", "c": "motorcycle", "same": "c"}, 1)
    given: list[Any] = []
    opened = ground_truth.open_store
    monkeypatch.setattr(
        ground_truth, "open_store", lambda *arguments: given.append(arguments) or opened(tmp_path)
    )
    access: Any = object()
    assess_sources("s3://a/captures", "s3://b/truth", LABELS, access)
    assert given == [("s3://b/truth", access), ("s3://a/captures", access)]


def test_predictions_of_other_models_are_counted_and_left_out(tmp_path: Path) -> None:
    for number, model in enumerate(("one", "two", "two")):
        output = {"probabilities": [0.1, 0.9], "labels": list(LABELS), "model": model}
        write(tmp_path / f"captures/{number}.jsonl", capture(f"e{number}", output))
        write(tmp_path / f"truth/{number}.jsonl", truth(f"e{number}", "1"))
    found = assess_sources(tmp_path / "captures", tmp_path / "truth", model="two")
    assert (found.count, found.correct, found.other_models, found.unmatched, found.conflicting) == (
        2,
        2,
        1,
        0,
        0,
    )
    assert assess_sources(tmp_path / "captures", tmp_path / "truth").count == 3


def test_a_captured_response_in_base64_is_joined_as_one_in_json() -> None:
    record = capture("e1", [0.9, 0.1], "i1")
    out = record["captureData"]["endpointOutput"]
    out |= {"data": base64.b64encode(out["data"].encode()).decode(), "encoding": "BASE64"}
    ((key, found),) = join([record], {"i1": "motorcycle"}, LABELS)
    assert (key, found.predicted, found.confidence, found.truth) == ("i1", "bicycle", 0.9, "motorcycle")
