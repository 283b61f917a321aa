"""Removes everything that is stored of an image: all versions of the upload, of its results and of its review, captures, ground truth.

Captures are searched in the hours in which a result of the image was written, as it was sent to the endpoint then. What remains are counts,
which name no image, and its key: in lines of logs until `LogRetentionDays` have passed; in ``backlog/{run}/`` for 30 days, if a run of the
backlog classified it; and in ``reviews-claims/*.json`` until the reviewer who claimed it claims other images, in earlier versions of that
object until `CaptureRetentionDays` have passed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError as AwsError

from dropsort.client import results
from dropsort.client.deployed_service import DeployedService
from dropsort.client.errors import ClientError
from dropsort.client.image_history import versions_of
from dropsort.contract import keys, reviews, s3_documents

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CAPTURE_ID, TRUTH_ID = "inferenceId", "eventId"  # members that name the image
ATTEMPTS = 5  # to rewrite a file that others write to


@dataclass
class StoredImage:
    """What is stored of one image: versions and deletion markers by their keys, and keys of files with lines of it."""

    key: str
    ids: set[str]
    versions: list[tuple[str, str]]
    uploads: int
    results: int
    reviews: int
    captures: list[str]
    captured: int
    ground_truth: list[str]
    labelled: int

    @property
    def empty(self) -> bool:
        """Whether nothing is stored."""
        return not (self.versions or self.captured or self.labelled)


def find(s3: S3Client, service: DeployedService, key: str, ground_truth: str) -> StoredImage:
    """Everything that is stored of one image; nothing is changed.

    Parameters
    ----------
    key
        Key of the upload.
    ground_truth
        Prefix in the service's bucket below which ground truth is; empty for none.

    Raises
    ------
    ValueError
        The key is not below ``incoming/``.
    """
    bucket = service.bucket
    uploads = list(versions_of(s3, bucket, key))
    locations = keys.result_keys(keys.path_of(key)).values()
    stored = [item for location in locations for item in versions_of(s3, bucket, location)]
    ids = {
        keys.inference_id(bucket, key, version)
        for item in uploads
        for version in (item["VersionId"], item.get("ETag", "").strip('"'))
    }
    for location in locations:
        with contextlib.suppress(results.UnreadableResult):
            # After a renewal, a result has the inference id of an earlier version, which may have expired.
            recorded = results.get(s3, bucket, location)
            if recorded and isinstance(recorded.document.get("inference_id"), str):
                ids.add(recorded.document["inference_id"])
    review = reviews.key(keys.path_of(key))
    with contextlib.suppress(ValueError):  # an upload that has gone is named there
        ids.add(reviews.parse(s3_documents.read(s3, bucket, review)[0], key).inference_id)
    reviewed = [
        item
        for name in (review, *map(reviews.ground_truth_key, ids))
        for item in versions_of(s3, bucket, name)
    ]
    captures, captured = _captures(s3, service, [item["LastModified"] for item in stored], ids)
    truth, labelled = _files(s3, bucket, [ground_truth] if ground_truth else [], ids, TRUTH_ID)
    return StoredImage(
        key,
        ids,
        [(item["Key"], item["VersionId"]) for item in (*uploads, *stored, *reviewed)],
        len(uploads),
        len(stored),
        len(reviewed),
        captures,
        captured,
        truth,
        labelled,
    )


def remove(s3: S3Client, service: DeployedService, found: StoredImage) -> None:
    """Remove what `find` has found; the upload first, so that no execution begins in the meantime.

    Files with lines of other images are read again: what was written to them since they were found stays.

    Raises
    ------
    ClientError
        Others keep changing a file; it is left as it is.
    """
    for key, version in found.versions:
        s3.delete_object(Bucket=service.bucket, Key=key, VersionId=version)
    for files, member in ((found.captures, CAPTURE_ID), (found.ground_truth, TRUTH_ID)):
        for key in files:
            _rewrite(s3, service.bucket, key, found.ids, member)


def _rewrite(s3: S3Client, bucket: str, key: str, ids: set[str], member: str) -> None:
    """Replace a JSON-lines file by its lines of other ids, and remove its earlier versions; remove it if there are none."""
    for _ in range(ATTEMPTS):
        older = list(versions_of(s3, bucket, key))
        newest = next((item for item in older if item["IsLatest"] and "ETag" in item), None)
        try:
            if newest is not None:
                body = s3.get_object(Bucket=bucket, Key=key, IfMatch=newest["ETag"])["Body"].read()
                stay = [line for line in _lines(body) if not _is_of(line, ids, member)]
                if stay:
                    content = b"\n".join(stay) + b"\n"
                    s3.put_object(Bucket=bucket, Key=key, Body=content, IfMatch=newest["ETag"])
        except AwsError as error:
            if s3_documents.code(error) in s3_documents.CHANGED:
                continue
            raise
        for item in older:
            s3.delete_object(Bucket=bucket, Key=key, VersionId=item["VersionId"])
        return
    raise ClientError(
        f"s3://{bucket}/{key} was changed by others {ATTEMPTS} times while it was rewritten: remove its lines with "
        f"{member} {' or '.join(sorted(ids))} yourself."
    )


def _captures(
    s3: S3Client, service: DeployedService, recorded: Iterable[datetime], ids: set[str]
) -> tuple[list[str], int]:
    """Keys of capture files with records of the image; and the number of those records."""
    root = f"{keys.CAPTURES}/{service.endpoint}/"
    listed = s3.list_objects_v2(Bucket=service.bucket, Prefix=root, Delimiter="/")
    # The request is before the result, at times in the hour before
    hours = {f"{moment - timedelta(hours=back):%Y/%m/%d/%H}/" for moment in recorded for back in (0, 1)}
    prefixes = [
        f"{variant['Prefix']}{hour}" for variant in listed.get("CommonPrefixes", ()) for hour in hours
    ]
    return _files(s3, service.bucket, prefixes, ids, CAPTURE_ID)


def _files(
    s3: S3Client, bucket: str, prefixes: Iterable[str], ids: set[str], member: str
) -> tuple[list[str], int]:
    """Keys of JSON-lines files below prefixes that have lines of these ids; and how many such lines."""
    found: list[str] = []
    count = 0
    for prefix in sorted(prefixes):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
                lines = sum(_is_of(line, ids, member) for line in _lines(body))
                if lines:
                    found.append(item["Key"])
                    count += lines
    return found, count


def _lines(body: bytes) -> list[bytes]:
    return [line for line in body.split(b"\n") if line.strip()]


def _is_of(line: bytes, ids: set[str], member: str) -> bool:
    if not any(one.encode() in line for one in ids):  # most lines are not parsed
        return False
    try:
        meta = json.loads(line)["eventMetadata"]
        return meta.get(member) in ids
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
