"""From an image on a page back to its upload, and everything about one upload."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dropsort.client.image_history import find, upload_key
from dropsort.client.trace import keys_in_bucket, keys_in_file
from dropsort.contract import keys, reviews
from tests.unit.client.conftest import BUCKET

KEY = "incoming/cam/a.jpg"


def test_inference_ids_lead_back_to_keys(s3: Any, tmp_path: Path) -> None:
    # GIVEN uploads, one of them twice, and ids of both of its versions, by version and by ETag, and of something else
    versions = [s3.put_object(Bucket=BUCKET, Key=KEY, Body=body)["VersionId"] for body in (b"1", b"2")]
    other = s3.put_object(Bucket=BUCKET, Key="incoming/b.jpg", Body=b"3")["ETag"].strip('"')
    ids = {keys.inference_id(BUCKET, KEY, version): KEY for version in versions}
    ids[keys.inference_id(BUCKET, "incoming/b.jpg", other)] = "incoming/b.jpg"

    # THEN a listing finds them all, and no more than it may list
    assert keys_in_bucket(s3, BUCKET, {*ids, "unknown"}) == ids
    assert keys_in_bucket(s3, BUCKET, ids, most=1).keys() < ids.keys()

    # AND so does a file of results, with lines that are none
    lines = [json.dumps({"inference_id": "1", "source": {"key": KEY}}), "{cut", '{"inference_id": "2"}', "[]"]
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    assert keys_in_file(tmp_path / "results.jsonl", {"1", "2"}) == {"1": KEY}
    assert keys_in_file(tmp_path, ["1"]) == {}  # a folder, which cannot be read
    assert keys_in_file(tmp_path / "nowhere.jsonl", {"1"}) == {}


def test_the_history_of_an_image_has_its_review(s3: Any, write_result: Callable[..., str]) -> None:
    # GIVEN an upload with its result
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"1")
    location = write_result(KEY, inference_id="a" * 64)
    unreviewed = find(s3, BUCKET, KEY)
    assert (unreviewed.decisions, unreviewed.earlier) == ((), False)

    # WHEN it is reviewed
    prediction = json.loads(s3.get_object(Bucket=BUCKET, Key=location)["Body"].read())
    review = reviews.append_decision(
        reviews.begin(prediction, {}),
        id="d1",
        by="ada",
        at="2026-11-26T09:00:00+00:00",
        action="label",
        label="van",
    )
    s3.put_object(
        Bucket=BUCKET, Key=reviews.key("cam/a.jpg"), Body=json.dumps(reviews.encode(review)).encode()
    )

    # THEN its history has the decision; something else under that key is none
    (decision,) = find(s3, BUCKET, KEY).decisions
    assert (decision.by, decision.label, decision.was.label) == ("ada", "van", "bicycle")
    s3.put_object(Bucket=BUCKET, Key=reviews.key("cam/a.jpg"), Body=b"[]")
    assert find(s3, BUCKET, KEY).decisions == ()
    # AND so is a review of another image
    s3.put_object(Bucket=BUCKET, Key="incoming/b.jpg", Body=b"2")
    body = json.dumps(reviews.encode(review)).encode()
    s3.put_object(Bucket=BUCKET, Key=reviews.key("b.jpg"), Body=body)
    assert find(s3, BUCKET, "incoming/b.jpg").decisions == ()


@pytest.mark.parametrize("name", ["cam/a.jpg", KEY, f"s3://{BUCKET}/{KEY}"])
def test_an_upload_may_be_named_by_its_path_its_key_or_its_address(name: str) -> None:
    assert upload_key(name, BUCKET) == KEY
