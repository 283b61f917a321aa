"""Uploads that change without a new image: an object that is copied onto itself keeps its prediction, a deleted one loses its result."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dropsort.local.service import LocalService
from tests.stack.sorting import PATIENCE_SECONDS, Sorting, drawn

pytestmark = pytest.mark.stack


def test_a_copy_onto_itself_is_renewed_and_a_deleted_upload_loses_its_result(
    service: LocalService, tmp_path: Path
) -> None:
    sorting = Sorting(service, "changed")
    names = ("copied.png", "deleted.png")
    before = sorting.settled(sorting.upload(dict(zip(names, drawn(tmp_path), strict=True))))
    # WHEN the metadata of one upload changes, and the other is deleted
    key = sorting.key("copied.png")
    copy = sorting.s3.copy_object(
        Bucket=sorting.bucket,
        Key=key,
        CopySource={"Bucket": sorting.bucket, "Key": key},
        Metadata={"camera": "1"},
        MetadataDirective="REPLACE",
    )
    sorting.s3.delete_object(Bucket=sorting.bucket, Key=sorting.key("deleted.png"))
    deadline = time.monotonic() + PATIENCE_SECONDS
    gone = f"{before['deleted.png']['outcome']}/changed/deleted.png.json"
    while sorting.s3.list_objects_v2(Bucket=sorting.bucket, Prefix=gone)["KeyCount"]:
        assert time.monotonic() < deadline, "the result of the deleted upload is there"
        time.sleep(0.2)
    while (kept := sorting.results()[key])[0]["source"]["version_id"] != copy["VersionId"]:
        assert time.monotonic() < deadline, kept
        time.sleep(0.3)
    assert set(sorting.results()) == {key}
    # THEN the first result is of the new version, with the prediction that was there; a classification would have an id of its own
    (after,) = kept
    for member in ("inference_id", "label", "probabilities", "model", "image"):
        assert after[member] == before["copied.png"][member]
    assert after["times"]["recorded"] > before["copied.png"]["times"]["recorded"]
