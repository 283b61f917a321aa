"""Uploads that change without a new image: an object that is copied onto itself keeps its prediction, a deleted one loses its result."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dropsort.local.service import LocalService
from tests.stack.upload_folder import PATIENCE_SECONDS, UploadFolder, drawn

pytestmark = pytest.mark.stack


def test_a_copy_onto_itself_is_renewed_and_a_deleted_upload_loses_its_result(
    service: LocalService, tmp_path: Path
) -> None:
    uploads = UploadFolder(service, "changed")
    names = ("copied.png", "deleted.png")
    before = uploads.settled(uploads.upload(dict(zip(names, drawn(tmp_path), strict=True))))
    # WHEN the metadata of one upload changes, and the other is deleted
    key = uploads.key("copied.png")
    copy = uploads.s3.copy_object(
        Bucket=uploads.bucket,
        Key=key,
        CopySource={"Bucket": uploads.bucket, "Key": key},
        Metadata={"camera": "1"},
        MetadataDirective="REPLACE",
    )
    uploads.s3.delete_object(Bucket=uploads.bucket, Key=uploads.key("deleted.png"))
    deadline = time.monotonic() + PATIENCE_SECONDS
    gone = f"{before['deleted.png']['outcome']}/changed/deleted.png.json"
    while uploads.s3.list_objects_v2(Bucket=uploads.bucket, Prefix=gone)["KeyCount"]:
        assert time.monotonic() < deadline, "the result of the deleted upload is there"
        time.sleep(0.2)
    while (kept := uploads.results()[key])[0]["source"]["version_id"] != copy["VersionId"]:
        assert time.monotonic() < deadline, kept
        time.sleep(0.3)
    assert set(uploads.results()) == {key}
    # THEN the first result is of the new version, with the prediction that was there; a classification would have an id of its own
    (after,) = kept
    for member in ("inference_id", "label", "probabilities", "model", "image"):
        assert after[member] == before["copied.png"][member]
    assert after["times"]["recorded"] > before["copied.png"]["times"]["recorded"]
