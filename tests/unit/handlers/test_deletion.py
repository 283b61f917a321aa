"""A deleted upload's result goes; whatever is uploaded at the same time keeps its own (moto's S3)."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.contract import keys, reviews
from handlers import deletion
from tests.unit.handlers.conftest import BUCKET

KEY = "incoming/cam1/a.jpg"


def upload(s3: Any, body: bytes = b"x") -> str:
    return str(s3.put_object(Bucket=BUCKET, Key=KEY, Body=body)["VersionId"])


def record(s3: Any, version: str, outcome: str = "classified") -> str:
    location = keys.result_keys("cam1/a.jpg")[outcome]
    s3.put_object(Bucket=BUCKET, Key=location, Body=version.encode(), Metadata={"version-id": version})
    return location


def results(s3: Any) -> set[str]:
    found = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {item["Key"] for item in found} - {KEY}


def test_the_result_of_a_deleted_upload_goes(
    s3: Any, sample_event: Callable[[str], dict[str, Any]], context: SimpleNamespace
) -> None:
    # GIVEN an upload that was deleted, as AWS's own event says it
    location = record(s3, upload(s3), "low-confidence")
    s3.put_object(Bucket=BUCKET, Key="low-confidence/cam1/a.jpg.json.json", Body=b"of another image")
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    event = sample_event("object-deleted")
    event["detail"]["bucket"]["name"], event["detail"]["object"]["key"] = BUCKET, KEY
    assert deletion.handler(event, context) == {"s3_key": KEY, "deleted": [location]}
    assert results(s3) == {"low-confidence/cam1/a.jpg.json.json"}
    # AND a second delivery of the event finds nothing
    assert deletion.handler(event, context)["deleted"] == []


def test_ground_truth_of_a_renewed_result_goes_with_its_review(s3: Any) -> None:
    # GIVEN a review of a copy, whose result has the inference id of the version that was classified
    version, inference_id = upload(s3), "a" * 64
    order = {"version-id": version, "inference-id": inference_id}
    s3.put_object(Bucket=BUCKET, Key=reviews.key("cam1/a.jpg"), Body=b"{}", Metadata=order)
    s3.put_object(Bucket=BUCKET, Key=reviews.ground_truth_key(inference_id), Body=b"{}")
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    assert deletion.delete_result(s3, BUCKET, KEY) == [reviews.key("cam1/a.jpg")]
    assert results(s3) == set()


def test_an_upload_that_is_there_again_keeps_its_result(s3: Any) -> None:
    first = upload(s3)
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    location = record(s3, upload(s3, b"again"))
    assert deletion.delete_result(s3, BUCKET, KEY, first) == []
    assert results(s3) == {location}


def test_an_upload_between_the_two_requests_keeps_its_result(s3: Any) -> None:
    # GIVEN a key that is uploaded and classified again after the function has found it deleted
    record(s3, upload(s3))
    s3.delete_object(Bucket=BUCKET, Key=KEY)

    class Late:
        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def delete_object(self, **request: Any) -> Any:
            record(s3, upload(s3, b"again"))
            return s3.delete_object(**request)

    assert deletion.delete_result(Late(), BUCKET, KEY) == []
    assert results(s3) == {"classified/cam1/a.jpg.json"}


def test_the_result_of_a_deleted_version_goes_and_the_older_upload_is_without_one(s3: Any) -> None:
    upload(s3, b"older")
    newer = upload(s3, b"newer")
    record(s3, newer)
    s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=newer)
    assert deletion.delete_result(s3, BUCKET, KEY, newer) == ["classified/cam1/a.jpg.json"]


def test_an_older_version_that_expires_changes_nothing(s3: Any) -> None:
    older = upload(s3, b"older")
    record(s3, upload(s3, b"newer"))
    s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=older)
    assert deletion.delete_result(s3, BUCKET, KEY, older) == []
    assert results(s3)


def test_an_event_of_something_else_is_an_error(s3: Any) -> None:
    assert deletion.delete_result(s3, BUCKET, "incoming/") == []
    with pytest.raises(ValueError, match="is not below incoming/"):
        deletion.delete_result(s3, BUCKET, "captures/a.jsonl")


def test_the_version_of_the_event_is_the_one_whose_result_goes(
    s3: Any, sample_event: Callable[[str], dict[str, Any]], context: SimpleNamespace
) -> None:
    # GIVEN a newer version that is deleted for good, so that the older one is there again
    older, newer = upload(s3, b"older"), upload(s3, b"newer")
    location = record(s3, newer)
    s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=newer)
    event = sample_event("object-deleted")
    event["detail"]["bucket"]["name"] = BUCKET
    event["detail"]["object"] |= {"key": KEY, "version-id": older}
    assert deletion.handler(event, context)["deleted"] == [], "another version's event"
    event["detail"]["object"]["version-id"] = newer
    assert deletion.handler(event, context)["deleted"] == [location]


def test_a_result_of_the_upload_that_is_there_or_of_none_stays(s3: Any) -> None:
    version = upload(s3)
    location = record(s3, version)
    assert deletion.delete_result(s3, BUCKET, KEY, version) == [], "the event of a version that is there"
    s3.put_object(Bucket=BUCKET, Key=location, Body=b"{}")
    assert deletion.delete_result(s3, BUCKET, KEY, version) == [], "of no known version"
    assert results(s3) == {location}


def test_a_review_that_stays_does_not_hold_the_result_of_another_version(s3: Any) -> None:
    older, newer = upload(s3, b"older"), upload(s3, b"newer")
    location = record(s3, newer)
    s3.put_object(Bucket=BUCKET, Key=reviews.key("cam1/a.jpg"), Body=b"{}", Metadata={"version-id": older})
    s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=newer)
    assert deletion.delete_result(s3, BUCKET, KEY, newer) == [location]
    assert results(s3) == {reviews.key("cam1/a.jpg")}


@pytest.mark.parametrize(
    ("metadata", "identity"), [({"version-id": "v", "etag": "e"}, "v"), ({"etag": "e"}, "e"), ({}, "")]
)
def test_ground_truth_is_found_by_the_version_or_the_etag(
    s3: Any, metadata: dict[str, str], identity: str
) -> None:
    truth = reviews.ground_truth_key(keys.inference_id(BUCKET, KEY, identity))
    other = reviews.ground_truth_key(keys.inference_id(BUCKET, KEY, "other"))
    for location in (truth, other):
        s3.put_object(Bucket=BUCKET, Key=location, Body=b"{}")
    s3.put_object(Bucket=BUCKET, Key=reviews.key("cam1/a.jpg"), Body=b"{}", Metadata=metadata)
    assert deletion.delete_result(s3, BUCKET, KEY) == [reviews.key("cam1/a.jpg")]
    assert results(s3) == {other}
