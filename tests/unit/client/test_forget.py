"""What is stored of an image is found and removed, whole, and nothing of any other image (moto's S3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dropsort.client import forget
from dropsort.client.stack import Service
from dropsort.contract import keys
from tests.unit.client.conftest import BUCKET

SERVICE = Service("dropsort", BUCKET, "arn", "bikes", {}, {})
KEY = "incoming/cam/a.jpg"


def line(**meta: str) -> bytes:
    return json.dumps({"captureData": {}, "eventMetadata": meta, "eventVersion": "0"}).encode()


def stored(s3: Any, prefix: str = "") -> dict[str, int]:
    """Versions and deletion markers by key."""
    counts: dict[str, int] = {}
    found = s3.list_object_versions(Bucket=BUCKET, Prefix=prefix)
    for item in (*found.get("Versions", ()), *found.get("DeleteMarkers", ())):
        counts[item["Key"]] = counts.get(item["Key"], 0) + 1
    return counts


def test_everything_of_an_image_goes_and_nothing_else(s3: Any, write_result: Callable[..., str]) -> None:
    # GIVEN an image that was uploaded twice and deleted once, with results of both, and images with similar keys
    ids = []
    for body in (b"first", b"second"):
        put = s3.put_object(Bucket=BUCKET, Key=KEY, Body=body)
        ids.append(keys.inference_id(BUCKET, KEY, put["VersionId"]))
        write_result(KEY)
    write_result(KEY, "failed")
    s3.delete_object(Bucket=BUCKET, Key="failed/cam/a.jpg.json")
    others = ["incoming/cam/a.jpg.jpg", "incoming/cam/a"]
    for other in others:
        s3.put_object(Bucket=BUCKET, Key=other, Body=b"x")
        write_result(other)
    # AND captures of this hour, of several images in a file, and ground truth
    hour = f"captures/bikes/main/{datetime.now(UTC):%Y/%m/%d/%H}"
    shared, own, foreign = f"{hour}/1.jsonl", f"{hour}/2.jsonl", f"{hour}/3.jsonl"
    another = line(eventId="e", inferenceId="f" * 64)
    damaged = b'{"eventMetadata": ' + ids[0].encode()
    files = {
        shared: [line(eventId="1", inferenceId=ids[0]), another, damaged],
        own: [line(eventId="2", inferenceId=ids[1])],
        foreign: [another],
        "truth/2026/11/26/00/1.jsonl": [line(eventId=ids[1]), line(eventId="f" * 64)],
    }
    for name, lines in files.items():
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"\n".join(lines) + b"\n")
    # WHEN it is found THEN nothing is changed
    before = stored(s3)
    found = forget.find(s3, SERVICE, KEY, "truth/")
    assert (found.uploads, found.results, found.captured, found.labelled) == (2, 4, 2, 1)
    assert stored(s3) == before
    # WHEN it is removed
    forget.remove(s3, SERVICE, found)
    # THEN no version of it is left, and everything of the others is
    gone = {KEY, own, *keys.result_keys("cam/a.jpg").values()}
    assert stored(s3) == {name: count for name, count in before.items() if name not in gone}
    assert s3.get_object(Bucket=BUCKET, Key=shared)["Body"].read().splitlines() == [another, damaged]
    assert (
        len(s3.get_object(Bucket=BUCKET, Key="truth/2026/11/26/00/1.jsonl")["Body"].read().splitlines()) == 1
    )
    assert forget.find(s3, SERVICE, KEY, "truth/").empty


def test_a_key_elsewhere_is_rejected(s3: Any) -> None:
    with pytest.raises(ValueError, match="is not below incoming/"):
        forget.find(s3, SERVICE, "captures/a")
