"""Reviews and the uploads that were reviewed: which are read, in which version, and under which name they are stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dropsort.client import results, reviewed
from dropsort.client.results import Result
from dropsort.contract import keys, reviews
from tests.unit.client.conftest import BUCKET


def put(s3: Any, path: str, *actions: str, version: str | None = None) -> reviews.Review:
    """A review of an upload, with these decisions one after another."""
    key = f"incoming/{path}"
    stored = s3.put_object(Bucket=BUCKET, Key=key, Body=path.encode())
    source = {
        "bucket": BUCKET,
        "key": key,
        "etag": stored["ETag"].strip('"'),
        "version_id": stored["VersionId"] if version is None else version or None,
    }
    prediction = {
        "schema": "dropsort/result/1",
        "outcome": "low-confidence",
        "inference_id": keys.inference_id(BUCKET, key, stored["VersionId"]),
        "source": source,
        "label": "a",
        "confidence": 0.5,
        "probabilities": {"a": 0.5, "b": 0.5},
        "reason": {"code": "below_threshold", "message": "m", "retryable": False},
        "model": None,
        "times": {"uploaded": None, "recorded": "2026-11-26T10:00:00.000Z"},
        "review": None,
    }
    review = reviews.begin(prediction, {})
    for number, action in enumerate(actions):
        review = reviews.append_decision(
            review,
            id=str(number),
            by="ann",
            at="2026-11-26T10:00:00+00:00",
            action=action,  # type: ignore[arg-type]
            label="b" if action == "label" else None,
        )
    s3.put_object(Bucket=BUCKET, Key=reviews.key(path), Body=json.dumps(reviews.encode(review)))
    return review


def test_reviews_with_a_decision_in_force_below_a_prefix_are_read(s3: Any) -> None:
    for path, actions in (
        ("cam1/a.jpg", ["label"]),
        ("cam1/b.jpg", ["none", "undo"]),
        ("cam2/c.jpg", ["none"]),
    ):
        put(s3, path, *actions)
    s3.put_object(Bucket=BUCKET, Key=reviews.key("cam1/d.jpg"), Body=b"{}")
    unreadable: list[str] = []

    def paths(**options: Any) -> list[str]:
        found = reviewed.iterate(s3, BUCKET, unreadable=unreadable.append, **options)
        return [keys.path_of(one.source.key) for one in found]

    assert paths(prefix="cam2/") == ["cam2/c.jpg"]
    assert unreadable == []
    assert paths() == ["cam1/a.jpg", "cam2/c.jpg"]
    assert len(unreadable) == 1
    assert "d.jpg.json is not a review" in unreadable[0]


def test_an_audit_has_results_and_reviews_below_a_prefix(s3: Any, write_result: Any) -> None:
    of = [put(s3, path, "label") for path in ("cam1/a.jpg", "cam2/b.jpg")]
    for review in of:
        write_result(review.source.key)
    documents, read = reviewed.with_results(s3, BUCKET, "cam2/")
    assert ([key for key, _ in documents], read) == (["incoming/cam2/b.jpg"], of[1:])
    # AND reviews that were read already are not read again
    assert reviewed.with_results(s3, BUCKET, "cam2/", found=of[:1])[1] == of[:1]


def test_the_reviewed_version_is_copied_once_under_its_inference_id(s3: Any, tmp_path: Path) -> None:
    found = [put(s3, path, "none") for path in ("a.JPG", "b.jpeg2000", "c.j g", "d")]
    for path in ("a.JPG", "d"):
        s3.put_object(Bucket=BUCKET, Key=f"incoming/{path}", Body=b"newer")
    folder = tmp_path / "images" / "reviewed"
    copied = list(reviewed.download(s3, found, folder))
    ids = [one.inference_id for one in found]
    assert [one.path.name for one in copied] == [f"{ids[0]}.jpg", *ids[1:]]
    assert [one.path.read_bytes() for one in copied] == [b"a.JPG", b"b.jpeg2000", b"c.j g", b"d"]
    assert len(list(folder.iterdir())) == 4
    # AND what is there is not copied again
    copied[0].path.write_bytes(b"mine")
    assert [one.fault for one in reviewed.download(s3, found, folder)] == [""] * 4
    assert copied[0].path.read_bytes() == b"mine"


def test_an_upload_that_is_gone_or_was_replaced_is_none(s3: Any, tmp_path: Path) -> None:
    # GIVEN a review without a version, of an upload that was replaced, and one whose version was deleted
    replaced, gone = put(s3, "a.jpg", "none", version=""), put(s3, "b.jpg", "none")
    s3.put_object(Bucket=BUCKET, Key="incoming/a.jpg", Body=b"newer")
    s3.delete_object(Bucket=BUCKET, Key="incoming/b.jpg", VersionId=gone.source.version_id)
    found = list(reviewed.download(s3, [replaced, gone], tmp_path))
    assert [one.fault for one in found] == ["the upload that was reviewed is gone"] * 2
    assert list(tmp_path.iterdir()) == []


def test_what_the_model_predicted_is_known_of_a_reviewed_result() -> None:
    document = {
        "outcome": "classified",
        "label": "b",
        "probabilities": {"b": 0.2, "a": 0.8, "c": 0.0},
        "review": {"by": "ann", "was": {"outcome": "low-confidence"}},
    }
    assert (Result("", document).predicted, Result("", document).predicted_outcome) == ("a", "low-confidence")
    assert Result("", document | {"probabilities": None}).predicted is None
    own = Result("", document | {"review": None})
    assert (own.predicted, own.predicted_outcome) == ("b", "classified")


def test_a_result_is_searched_first_where_it_probably_is(s3: Any, write_result: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="incoming/a.jpg", Body=b"x")
    for outcome in keys.OUTCOMES:
        write_result("incoming/a.jpg", outcome)
    for first in keys.OUTCOMES:
        found = results.find(s3, BUCKET, "a.jpg", first)
        assert found is not None
        assert found.outcome == first


def test_each_result_waits_before_it_is_read(s3: Any, write_result: Any) -> None:
    for name in ("a.jpg", "b.jpg"):
        s3.put_object(Bucket=BUCKET, Key=f"incoming/{name}", Body=b"x")
        write_result(f"incoming/{name}")
    waits: list[int] = []
    assert len(list(results.iterate(s3, BUCKET, wait=lambda: waits.append(1)))) == 2
    assert len(waits) == 2
