"""Comparisons that a single time, version or condition decides (a bucket in memory, with the times that a test sets)."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dropsort.contract import keys, reconciliation, reviews
from dropsort.contract.reconciliation import NO_RESULT, RETRYABLE, SEVERAL_RESULTS, CheckedUpload
from tests.unit.contract.conftest import BUCKET

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
STEP = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


class Bucket:
    """As much of S3 as a comparison uses."""

    def __init__(self, page: int = 2) -> None:
        self.versions: list[dict[str, Any]] = []
        self.bodies: dict[str, bytes] = {}
        self.read: list[str] = []
        self.listed: list[str] = []
        self.markers: dict[str, str] = {}
        self.page = page

    def put(
        self, key: str, written: datetime, document: Any = None, version: str = "v1", etag: str = "e"
    ) -> None:
        """A version, which is the newest; without a document it is gone when it is read."""
        for one in self.versions:
            one["IsLatest"] &= one["Key"] != key
        self.versions.append(
            {"Key": key, "VersionId": version, "ETag": f'"{etag}"', "LastModified": written, "IsLatest": True}
        )
        if document is not None:
            self.bodies[key] = json.dumps(document).encode()

    def get_paginator(self, name: str) -> Any:
        member = {"list_object_versions": "Versions", "list_objects_v2": "Contents"}[name]

        class Paginator:
            def paginate(
                _self, *, Bucket: str, Prefix: str, KeyMarker: str = "", StartAfter: str = ""
            ) -> Any:
                self.listed.append(Prefix)
                self.markers[Prefix] = KeyMarker
                found = [
                    one
                    for one in sorted(self.versions, key=lambda one: one["Key"])
                    if one["Key"].startswith(Prefix) and one["Key"] > (KeyMarker or StartAfter)
                    and (one["IsLatest"] or member == "Versions")
                ]  # fmt: skip
                return [{member: found[at : at + self.page]} for at in range(0, len(found), self.page)]

        return Paginator()

    def list_object_versions(self, *, Bucket: str, Prefix: str) -> Any:
        found = [
            one for one in sorted(self.versions, key=lambda one: one["Key"]) if one["Key"].startswith(Prefix)
        ]
        return {"Versions": found}

    def get_object(self, *, Bucket: str, Key: str) -> Any:
        self.read.append(Key)
        if Key not in self.bodies:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "GetObject")
        return {"Body": io.BytesIO(self.bodies[Key]), "ETag": '"e"'}


def document(
    path: str = "a", outcome: str = "classified", retryable: bool | None = None, **source: Any
) -> Any:
    return {
        "outcome": outcome,
        "source": {"key": f"incoming/{path}", "version_id": "v1", "etag": "e"} | source,
        "reason": None
        if retryable is None
        else {"code": "throttled", "message": "m", "retryable": retryable},
        "times": {"uploaded": NOON.isoformat(), "recorded": NOON.isoformat()},
    }


def only(bucket: Any, **options: Any) -> CheckedUpload:
    (found,) = reconciliation.check(bucket, BUCKET, **options)
    return found


@pytest.mark.parametrize(("written", "why"), [(NOON - STEP, NO_RESULT), (NOON, None), (NOON + STEP, None)])
def test_a_result_is_not_older_than_its_upload(written: datetime, why: str | None) -> None:
    bucket = Bucket()
    bucket.put("incoming/a", NOON)
    bucket.put("classified/a.json", written)
    assert only(bucket).why == why
    assert bucket.read == []


@pytest.mark.parametrize("twice", ["upload", "result"])
@pytest.mark.parametrize(("of", "why"), [("v2", None), ("v1", NO_RESULT)])
def test_a_result_is_read_if_it_or_its_upload_has_several_versions(
    twice: str, of: str, why: str | None
) -> None:
    bucket = Bucket()
    for version in ("v1", "v2") if twice == "upload" else ("v2",):
        bucket.put("incoming/a", NOON, version=version)
    for version in ("v1", "v2") if twice == "result" else ("v1",):
        bucket.put("classified/a.json", NOON, document(version_id=of), version=version)
    assert only(bucket).why == why
    assert bucket.read == ["classified/a.json"]


@pytest.mark.parametrize(("wanted", "read", "why"), [(True, ["failed/a.json"], RETRYABLE), (False, [], None)])
def test_failures_are_read_if_they_are_wanted(wanted: bool, read: list[str], why: str | None) -> None:
    bucket = Bucket()
    bucket.put("incoming/a", NOON)
    bucket.put("failed/a.json", NOON, document(outcome="failed", retryable=True))
    found = only(bucket, failures=wanted)
    assert (found.why, bucket.read, found.next_try is not None) == (why, read, wanted)


def test_a_result_that_is_gone_when_it_is_read_is_being_replaced() -> None:
    bucket = Bucket()
    bucket.put("incoming/a", NOON)
    bucket.put("failed/a.json", NOON)
    checked = only(bucket)
    assert (checked.why, checked.next_try, bucket.read) == (None, None, ["failed/a.json"])


@pytest.mark.parametrize(
    ("version", "etag", "source", "why"),
    [
        ("v1", "e", {}, RETRYABLE),
        ("v1", "e", {"version_id": "v2"}, NO_RESULT),
        ("v1", "e", {"version_id": None}, RETRYABLE),  # by its content
        ("v1", "e", {"version_id": None, "etag": "f"}, NO_RESULT),
        ("v1", "e", {"version_id": None, "etag": None}, RETRYABLE),
        ("v1", "e", {"etag": "f"}, RETRYABLE),  # the version decides
        ("null", "e", {}, RETRYABLE),
        ("null", "e", {"etag": "f"}, NO_RESULT),
    ],
)
def test_a_result_belongs_to_a_version_or_to_a_content(
    version: str, etag: str, source: Any, why: str
) -> None:
    bucket = Bucket()
    bucket.put("incoming/a", NOON, version=version, etag=etag)
    bucket.put("failed/a.json", NOON, document(outcome="failed", retryable=True, **source))
    assert only(bucket).why == why


@pytest.mark.parametrize("wrong", [document(outcome="classified"), document("b", "failed"), {}])
def test_a_result_of_another_outcome_or_upload_than_its_key_says_is_none(wrong: Any) -> None:
    bucket = Bucket()
    bucket.put("incoming/a", NOON)
    bucket.put("failed/a.json", NOON, wrong)
    assert only(bucket).why == NO_RESULT


def review(version: str = "v1", etag: str = "e") -> Any:
    source = {"bucket": BUCKET, "key": "incoming/a", "version_id": version, "etag": etag}
    prediction = {
        "outcome": keys.LOW_CONFIDENCE,
        "label": "bicycle",
        "source": source,
        "inference_id": keys.inference_id(BUCKET, "incoming/a", etag),
        "times": {"uploaded": None, "recorded": NOON.isoformat()},
    }
    begun = reviews.begin(prediction, {})
    return reviews.encode(
        reviews.append_decision(begun, id="1", by="Ada", at=NOON.isoformat(), action="none", label=None)
    )


@pytest.mark.parametrize(
    ("written", "found"),
    [(NOON - STEP, False), (NOON, True), (NOON + HOUR - STEP, True), (NOON + HOUR, False)],
)
@pytest.mark.parametrize("outcome", [keys.CLASSIFIED, keys.LOW_CONFIDENCE])
def test_a_review_is_of_a_period_from_its_first_moment_until_before_its_last(
    outcome: str, written: datetime, found: bool
) -> None:
    bucket = Bucket()
    bucket.put("incoming/a", NOON)
    bucket.put(f"{outcome}/a.json", NOON)
    bucket.put("reviews/a.json", written, review())
    checked = only(bucket, reviewed=(NOON, NOON + HOUR))
    assert (checked.review is not None, checked.why, checked.unreviewed) == (found, None, None)
    assert bucket.read == (["reviews/a.json"] if found or outcome == keys.LOW_CONFIDENCE else [])


@pytest.mark.parametrize(
    ("version", "etag", "waits"), [("v1", "e", False), ("v0", "e", True), ("v1", "f", False)]
)
def test_a_decision_about_another_version_leaves_the_image_waiting(
    version: str, etag: str, waits: bool
) -> None:
    bucket = Bucket()
    bucket.put("incoming/a", NOON)
    bucket.put("low-confidence/a.json", NOON + STEP)
    bucket.put("reviews/a.json", NOON, review(version, etag))
    checked = only(bucket, reviewed=(NOON, NOON + HOUR))
    assert checked.unreviewed == (NOON + STEP if waits else None)
    assert checked.review is not None


def test_a_review_that_is_gone_when_it_is_read_is_none() -> None:
    bucket = Bucket()
    bucket.put("incoming/a", NOON)
    bucket.put("low-confidence/a.json", NOON)
    bucket.put("reviews/a.json", NOON)
    checked = only(bucket, reviewed=(NOON, NOON + HOUR))
    assert (checked.unreviewed, checked.review) == (NOON, None)


def test_a_result_whose_key_is_a_digest_is_found_by_its_whole_key() -> None:
    path = "x" * 1020
    location = keys.result_keys(path)[keys.CLASSIFIED]
    for others, why in (
        (["classified"], None), ([], NO_RESULT), (["classified", "failed"], SEVERAL_RESULTS), (["longer"], NO_RESULT),
    ):  # fmt: skip
        bucket = Bucket()
        bucket.put(keys.INCOMING + path, NOON)
        for other in others:
            where = f"{location}.bak" if other == "longer" else keys.result_keys(path)[other]
            bucket.put(where, NOON, document(path, other))
        assert only(bucket).why == why


def test_failures_of_a_period_are_read_and_of_others_the_last_of_each_page_is_returned() -> None:
    bucket = Bucket()
    moments = (-STEP, timedelta(), HOUR, HOUR + STEP, 2 * HOUR, HOUR)
    for name, after in zip("abcdef", moments, strict=True):
        bucket.put(f"failed/{name}.json", NOON + after, document(name, "failed", retryable=name != "c"))
    del bucket.bodies["failed/f.json"]  # replaced since it was listed
    found = list(reconciliation.failures(bucket, BUCKET, NOON, NOON + HOUR))  # type: ignore[arg-type]
    assert [(one.location[7], one.upload) for one in found] == [
        ("b", "incoming/b"), ("c", None), ("d", None), ("f", None)
    ]  # fmt: skip
    assert [one.next_try is not None for one in found] == [True, False, False, False]
    assert sorted(bucket.read) == ["failed/b.json", "failed/c.json", "failed/f.json"]
    assert [one.written for one in found] == [NOON, NOON + HOUR, NOON + HOUR + STEP, NOON + HOUR]
    later = reconciliation.failures(bucket, BUCKET, NOON, NOON + HOUR, after="failed/b.json")  # type: ignore[arg-type]
    assert [one.location[7] for one in later] == ["c", "d", "f"]


@pytest.mark.parametrize(("reviewed", "more"), [(None, []), ((NOON, NOON + HOUR), ["reviews/b"])])
def test_reviews_are_listed_if_they_are_wanted(reviewed: Any, more: list[str]) -> None:
    bucket = Bucket()
    assert list(reconciliation.check(bucket, BUCKET, prefix="b", reviewed=reviewed)) == []  # type: ignore[arg-type]
    expected = ["classified/b", "failed/b", "incoming/b", "low-confidence/b", *more]
    assert sorted(bucket.listed) == sorted(expected)


def test_every_listing_continues_after_the_marker() -> None:
    bucket = Bucket()
    list(reconciliation.check(bucket, BUCKET, after="incoming/b/c", reviewed=(NOON, NOON + HOUR)))  # type: ignore[arg-type]
    prefixes = ("incoming/", "classified/", "low-confidence/", "failed/", "reviews/")
    assert bucket.markers == {prefix: f"{prefix}b/c" for prefix in prefixes}
    list(reconciliation.check(bucket, BUCKET))  # type: ignore[arg-type]
    assert bucket.markers["incoming/"] == bucket.markers["failed/"] == ""
