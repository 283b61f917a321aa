"""Labels to and from other tools (moto's S3): what is exported comes back, and nothing that somebody decided is overwritten."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from dropsort.contract import keys, reviews
from dropsort.review import claims, imports, labels
from dropsort.review.decisions import DecisionRequest, Decisions
from dropsort.review.errors import ReviewError
from dropsort.review.labels import ImportedLabel
from tests.unit.contract.test_reviews import AT, ID, KEY, ORDER, PREDICTION
from tests.unit.review.conftest import BUCKET, Upload, stored


def reviewed(action: str, label: str | None = None) -> dict[str, Any]:
    review = reviews.begin(PREDICTION, ORDER)
    return reviews.result_of(
        reviews.append_decision(review, id="1", by="A", at=AT, action=action, label=label)
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", labels.FORMATS)
def test_decisions_come_back_as_they_were_exported(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"labels{suffix}"
    results = [PREDICTION, reviewed("label", "=1+1"), reviewed("none"), reviewed("unusable")]
    assert labels.export(results, BUCKET, file) == 4
    assert labels.read(file, BUCKET) == [
        ImportedLabel(KEY, ID, "label", "=1+1"),
        ImportedLabel(KEY, ID, "none", None),
        ImportedLabel(KEY, ID, "unusable", None),
    ]


def test_a_spreadsheet_runs_no_formula(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    labels.export([reviewed("label", "@SUM(A1)")], BUCKET, file)
    (row,) = csv.DictReader(file.open(encoding="utf-8"))
    assert (row["label"], row["review"]) == ("'@SUM(A1)", "'@SUM(A1)")


def test_exports_of_the_tools_are_read(tmp_path: Path) -> None:
    studio = tmp_path / "studio.json"
    cancelled = {"was_cancelled": True, "result": [{"type": "choices", "value": {"choices": ["b"]}}]}
    replaced, valid = ({"result": [{"type": "choices", "value": {"choices": [name]}}]} for name in ("c", "a"))
    tasks = [
        {
            "id": 1,
            "data": {"image": f"s3://{BUCKET}/{KEY}", "inference_id": ID},
            "annotations": [replaced, valid, cancelled],
        },
        {"id": 2, "data": {"image": f"s3://{BUCKET}/{KEY}"}, "annotations": []},
    ]
    studio.write_text(json.dumps(tasks))
    assert labels.read(studio, BUCKET) == [ImportedLabel(KEY, ID, "label", "a")]
    manifest = tmp_path / "output.manifest"
    line = {
        "source-ref": f"s3://{BUCKET}/{KEY}",
        "bikes": 0,
        "bikes-metadata": {"class-name": "a", "confidence": 0.9, "type": "groundtruth/image-classification"},
    }
    other = json.dumps({"source-ref": "s3://x/\u2028y"}, ensure_ascii=False)
    manifest.write_text(json.dumps(line) + "\n\n" + other + "\n")
    assert labels.read(manifest, BUCKET) == [ImportedLabel(KEY, None, "label", "a")]


def line(key: str, inference_id: Any = None) -> str:
    """A line of a manifest, which may be hostile."""
    found = {"source-ref": f"s3://{BUCKET}/{key}", "inference-id": 0, "x-metadata": {"class-name": "a"}}
    return json.dumps(found).replace('"inference-id": 0', f'"{labels._ID}": {number(inference_id)}')


def number(value: Any) -> str:
    """JSON, also of numbers that Python writes none of."""
    return "1" * 5001 if isinstance(value, int) else json.dumps(value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "the name has to end in"),
        ("a.csv", "name,kind\n", "no columns key and review"),
        ("a.csv", f"key,review\n{KEY},{'a' * 300}\n", "line 2: .* is not a label"),
        ("a.csv", "key,review\nsecret/x,a\n", "line 2: 'secret/x' is not an upload"),
        ("a.json", "{", "not in the format"),
        ("a.json", "[5]", "not in the format"),
        ("a.json", "[" * 9999, "not in the format"),
        ("a.manifest", '{"x-metadata": {"class-name": "a"}}', "not in the format"),
        (
            "a.manifest",
            '{"source-ref": "s3://other/incoming/a", "x-metadata": {"class-name": "a"}}',
            "is not an upload in s3://pictures/",
        ),
        ("a.csv", b"\xff\xfe", "cannot be read"),
        ("a.manifest", line("incoming/\ud800"), r"line 1: .*ud800' is not an upload"),
        ("a.manifest", line(KEY, ["a"]), r"line 1: \['a'\] is not an inference id"),
        ("a.manifest", line(KEY, "\udfff"), "is not an inference id"),
        ("a.manifest", line(KEY, 10**5000), "not in the format"),
        ("a.json", '[{"data": ' + "9" * 5000 + "}]", "not in the format"),
        ("a.csv", f"key,review\n{KEY}," + "a" * 200_000, "not in the format"),
    ],
)
def test_a_file_that_is_none_is_named(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ReviewError, match=message):
        labels.read(file, BUCKET)
    if name == "a.txt":
        with pytest.raises(ReviewError, match=message):
            labels.export([], BUCKET, file)


def test_labels_become_decisions_once_and_overwrite_nothing(s3: Any, upload: Upload) -> None:
    ids = [upload(f"{number}.png") for number in range(4)]
    # GIVEN an image that somebody decided, and one that was uploaded again
    Decisions(s3, BUCKET, "Bob").store(DecisionRequest("d", "none", None, "incoming/1.png", ids[1], None))
    Decisions(s3, BUCKET, "Bob").apply("1.png")
    upload("2.png", b"newer", "2f")
    given = [ImportedLabel(f"incoming/{number}.png", ids[number], "label", "tandem") for number in range(3)]
    given += [
        ImportedLabel("incoming/3.png", None, "unusable", None),
        ImportedLabel("incoming/9.png", None, "label", "a"),
    ]
    sentences: list[str] = []
    # WHEN they are imported twice
    counts = []
    for _ in range(2):
        counts.append(imports.take_over(s3, BUCKET, "Ada", copy.copy(given), sentences.append))
        assert stored(s3)[keys.result_keys("0.png")["classified"]]["review"]["by"] == "Ada"
    # THEN the first time decides, the second changes nothing
    assert counts[0] == {"decided": 2, "conflict": 2, "missing": 1}
    assert counts[1] == {"unchanged": 2, "conflict": 2, "missing": 1}
    assert any("Bob decided" in one for one in sentences)
    found = stored(s3)
    assert found[keys.result_keys("3.png")["failed"]]["reason"]["code"] == "unusable_image"
    assert len(found[reviews.key("0.png")]["decisions"]) == 1


def test_another_label_of_somebody_else_is_a_conflict(s3: Any, upload: Upload) -> None:
    upload("a.png")
    for label, status in (("tandem", "decided"), ("tandem", "unchanged"), ("unicycle", "conflict")):
        given = [ImportedLabel("incoming/a.png", None, "label", label)]
        assert imports.take_over(s3, BUCKET, "Ada", given) == {status: 1}
    assert stored(s3)[keys.result_keys("a.png")["classified"]]["label"] == "tandem"


def test_claims_go_with_those_of_the_next_images(
    s3: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BATCH", 1)
    given = [ImportedLabel(f"incoming/{name}.png", None, "none", None) for name in ("a", "b")]
    for one in given:
        upload(keys.path_of(one.key))
    assert imports.take_over(s3, BUCKET, "Ada", given) == {"decided": 2}
    assert set(stored(s3)[claims.key("Ada")]["paths"]) == {"b.png"}


def test_of_several_jobs_in_a_manifest_the_last_counts(tmp_path: Path) -> None:
    file = tmp_path / "a.manifest"
    line = {
        "source-ref": f"s3://{BUCKET}/{KEY}",
        "source-ref-info": {"class-name": "no label"},
        "first-metadata": {"class-name": "a"},
        "second-metadata": {"class-name": "b"},
        "other": {"class-name": "no label either"},
    }
    file.write_text(json.dumps(line) + "\n")
    assert labels.read(file, BUCKET) == [ImportedLabel(KEY, None, "label", "b")]


def test_half_a_surrogate_pair_in_a_name_is_replaced(tmp_path: Path) -> None:
    broken = PREDICTION | {"source": PREDICTION["source"] | {"key": "incoming/\ud800.jpg"}}
    labels.export([broken], BUCKET, tmp_path / "a.csv")
    assert "incoming/?.jpg" in (tmp_path / "a.csv").read_text(encoding="utf-8")


def test_a_reviewed_image_has_no_prediction_for_label_studio(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    labels.export([PREDICTION, reviewed("label", "a"), reviewed("none")], BUCKET, file)
    tasks = json.loads(file.read_text())
    assert ["predictions" in task for task in tasks] == [True, False, False]
    assert ["annotations" in task for task in tasks] == [False, True, True]


def test_a_line_of_a_manifest_has_the_attribute_of_its_job(tmp_path: Path) -> None:
    file = tmp_path / "a.manifest"
    labels.export([PREDICTION, reviewed("label", "a")], BUCKET, file)
    plain, line = map(json.loads, file.read_text().splitlines())
    assert "review" not in plain
    assert line["review"] == 0
    assert line["review-metadata"] == {"class-name": "a", "human-annotated": "yes"}


def test_a_spreadsheets_file_begins_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f"\ufeffkey,label\n{KEY},a\n", encoding="utf-8")
    assert labels.read(file, BUCKET) == [ImportedLabel(KEY, None, "label", "a")]


def test_a_task_with_two_labels_is_none(tmp_path: Path) -> None:
    choice = {"type": "choices", "value": {"choices": ["a"]}}
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"data": {"key": KEY}, "annotations": [{"result": [choice, choice]}]}]))
    with pytest.raises(ReviewError, match="task 1 has several labels"):
        labels.read(file, BUCKET)


def test_the_id_of_an_imported_decision_is_that_of_earlier_versions() -> None:
    """It is in reviews: with another one, a file that is imported again would count twice."""
    found = ImportedLabel(KEY, None, "label", "a").decision_id("1f")
    assert found == "import-20d4f1847f65f909a09012afc8587238"
    assert ImportedLabel(KEY, None, "none", None).decision_id("1f") != found
