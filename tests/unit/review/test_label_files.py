"""Files of labels: each field of each format, as it is written and as it is read."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from dropsort.review import labels
from dropsort.review.errors import ReviewError
from dropsort.review.labels import ImportedLabel
from tests.unit.contract.test_reviews import ID, KEY, PREDICTION
from tests.unit.review.conftest import BUCKET
from tests.unit.review.test_labels import reviewed

ADDRESS = f"s3://{BUCKET}/{KEY}"
ALONE = PREDICTION | {"model": None, "label": "a", "confidence": None, "reason": None, "inference_id": None}


def choice(label: str) -> list[dict[str, Any]]:
    return [{"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}}]


def written(tmp_path: Path, name: str, *results: Any) -> str:
    assert labels.export(iter(results), BUCKET, tmp_path / name) == len(results)
    return (tmp_path / name).read_text(encoding="utf-8")


def read(tmp_path: Path, name: str, text: str) -> list[ImportedLabel]:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return labels.read(tmp_path / name, BUCKET)


def test_csv_has_the_columns_of_a_result(tmp_path: Path) -> None:
    text = written(tmp_path, "a.CSV", PREDICTION, ALONE, reviewed("label", "b"), reviewed("unusable"))
    assert "\r" not in text
    rows = list(csv.reader(text.splitlines()))
    assert rows == [
        ["key", "inference_id", "outcome", "label", "confidence", "familiarity", "reason", "review"],
        [KEY, ID, "low-confidence", "bicycle", "0.6", "0.5", "below_threshold", ""],
        [KEY, "", "low-confidence", "a", "", "0.5", "", ""],
        [KEY, ID, "classified", "b", "", "0.5", "", "b"],
        [KEY, ID, "failed", "", "", "0.5", "unusable_image", "(unusable)"],
    ]


def test_label_studio_gets_tasks_with_predictions_and_annotations(tmp_path: Path) -> None:
    data = {"image": ADDRESS, "key": KEY, "inference_id": ID}
    tasks = json.loads(
        written(tmp_path, "a.json", PREDICTION, ALONE, reviewed("none"), PREDICTION | {"label": None})
    )
    assert tasks == [
        {"data": data, "predictions": [{"model_version": "bikes-1.0.0", "score": 0.6, "result": choice("bicycle")}]},
        {
            "data": data | {"inference_id": None},
            "predictions": [{"model_version": "model", "score": None, "result": choice("a")}],
        },
        {"data": data, "annotations": [{"result": choice("(none)")}]},
        {"data": data},
    ]  # fmt: skip


def test_a_manifest_has_a_line_for_each_image(tmp_path: Path) -> None:
    text = written(tmp_path, "a.manifest", PREDICTION, reviewed("label", "b"))
    line = {"source-ref": ADDRESS, "dropsort-inference-id": ID}
    metadata = {"class-name": "b", "human-annotated": "yes"}
    assert text.endswith("\n")
    assert [json.loads(one) for one in text.splitlines()] == [
        line, line | {"review": 0, "review-metadata": metadata}
    ]  # fmt: skip


def test_a_result_that_names_a_review_of_no_action_is_not_reviewed(tmp_path: Path) -> None:
    for review in ({}, {"action": "undo"}, {"action": "label"}):
        text = written(tmp_path, "a.manifest", PREDICTION | {"label": None, "review": review})
        assert "review" not in json.loads(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"key,review\n{KEY}, a \n", [ImportedLabel(KEY, None, "label", "a")]),
        (f"key,label\n{ADDRESS},a\n", [ImportedLabel(KEY, None, "label", "a")]),
        (f"key,label,review\n{KEY},a,b\n{KEY},a,\n", [ImportedLabel(KEY, None, "label", "b")]),
        (f"review,inference_id,key\na,{ID},{KEY}\na,,{KEY}\n",
         [ImportedLabel(KEY, ID, "label", "a"), ImportedLabel(KEY, None, "label", "a")]),
        (f"key,review\n{KEY},(none)\n{KEY},(unusable)\n",
         [ImportedLabel(KEY, None, "none", None), ImportedLabel(KEY, None, "unusable", None)]),
        (f"key,review\n{KEY},'=a\n{KEY}\n{KEY},a,more,cells\n",
         [ImportedLabel(KEY, None, "label", "=a"), ImportedLabel(KEY, None, "label", "a")]),
    ],
)  # fmt: skip
def test_rows_of_csv(tmp_path: Path, text: str, found: list[ImportedLabel]) -> None:
    assert read(tmp_path, "a.csv", text) == found


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "no columns key and review"),
        ("a.csv", "review\na\n", "no columns key and review"),
        ("a.csv", f"key\n{KEY}\n", "no columns key and review"),
        ("a.csv", f"key,review\n{KEY},a\nb,a\n", r"a\.csv, line 3: 'b' is not an upload in s3://pictures/incoming/\."),
        ("a.manifest", "\n" + json.dumps({"source-ref": "b", "x-metadata": {"class-name": "a"}}), "line 2: 'b'"),
        ("a.json", json.dumps([{"data": {}}, {"data": {"key": "b"}, "annotations": [{"result": choice("a")}]}]), "task 2: 'b'"),
    ],
)  # fmt: skip
def test_an_error_names_its_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ReviewError, match=message):
        read(tmp_path, name, text)


def task(*annotations: Any, **data: Any) -> str:
    return json.dumps([{"data": data or {"key": KEY}, "annotations": list(annotations) or None}])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (task({"result": choice("a")}), [ImportedLabel(KEY, None, "label", "a")]),
        (task({"result": choice("a")}, key=KEY, image="other", inference_id=ID), [ImportedLabel(KEY, ID, "label", "a")]),
        (task({"result": choice("a")}, key="", image=ADDRESS), [ImportedLabel(KEY, None, "label", "a")]),
        (task({"result": choice("a")}, {"result": []}), [ImportedLabel(KEY, None, "label", "a")]),
        (task({"result": [{"type": "rating", "value": 5}, *choice("a")]}), [ImportedLabel(KEY, None, "label", "a")]),
        (task({"was_cancelled": True, "result": choice("a")}), []),
        (task({"result": [{"type": "rating", "value": 5}]}), []),
        (task(), []),
    ],
)  # fmt: skip
def test_tasks_of_label_studio(tmp_path: Path, text: str, found: list[ImportedLabel]) -> None:
    assert read(tmp_path, "a.json", text) == found


def test_a_task_with_two_choices_in_one_is_none(tmp_path: Path) -> None:
    (one,) = choice("a")
    one["value"]["choices"] = ["a", "b"]
    with pytest.raises(ReviewError, match="task 1 has several labels"):
        read(tmp_path, "a.json", task({"result": [one]}))
    one["value"]["choices"] = []
    with pytest.raises(ReviewError, match="task 1 has several labels"):
        read(tmp_path, "a.json", task({"result": [one]}))


def test_an_attribute_without_a_class_is_no_label(tmp_path: Path) -> None:
    line = {"source-ref": ADDRESS, "dropsort-inference-id": ID, "a-metadata": {"class-name": "a"},
            "b-metadata": {"type": "x"}, "c-metadata": "class-name"}  # fmt: skip
    assert read(tmp_path, "a.manifest", json.dumps(line)) == [ImportedLabel(KEY, ID, "label", "a")]
    assert read(tmp_path, "a.manifest", json.dumps({"source-ref": ADDRESS})) == []


@pytest.mark.parametrize(
    ("number", "valid"), [(0xD7FF, True), (0xD800, False), (0xDFFF, False), (0xE000, True)]
)
def test_a_key_has_an_encoding(tmp_path: Path, number: int, valid: bool) -> None:
    text = json.dumps({"source-ref": f"incoming/{chr(number)}", "x-metadata": {"class-name": "a"}})
    if valid:
        assert len(read(tmp_path, "a.manifest", text)) == 1
    else:
        with pytest.raises(ReviewError, match="is not an upload"):
            read(tmp_path, "a.manifest", text)


def test_a_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(ReviewError, match="it cannot be written"):
        labels.export([], BUCKET, tmp_path / "a.csv")
