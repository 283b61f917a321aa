"""A probe upload: whether an upload starts the workflow yet, which a new bucket takes minutes for.

S3 sends events to EventBridge only some minutes after that was configured, and an upload before that never starts anything. The probe is a
text, so that it goes through every part but the endpoint and becomes a result of the outcome failed; both are deleted.
"""

from __future__ import annotations

import time
import uuid
from itertools import dropwhile
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from dropsort.contract import keys
from dropsort.contract.progress import OnStep, no_steps
from dropsort.deployment.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FOLDER = "dropsort-probe/"  # reserved below incoming/
CONTENT = b"A probe of `dropsort deploy`: no image.\n"
PATIENCE_SECONDS = 900.0
LATER_SECONDS = 60.0  # for the results of probes that were uploaded meanwhile
AGAIN_SECONDS = 20.0  # after which another one is uploaded: the event of the last one may be lost


def run(
    s3: S3Client,
    bucket: str,
    on_step: OnStep = no_steps,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    again_seconds: float = AGAIN_SECONDS,
) -> float:
    """Upload probes until one has a result; return the seconds that it took. Nothing of them stays in the bucket.

    Raises
    ------
    DeployError
        No probe has a result after `patience_seconds`.
    """
    began = time.monotonic()
    paths: list[str] = []
    try:
        while True:
            path = f"{FOLDER}{uuid.uuid4().hex}.txt"
            paths.append(path)
            s3.put_object(Bucket=bucket, Key=f"{keys.INCOMING}{path}", Body=CONTENT)
            uploaded = time.monotonic()
            while time.monotonic() - uploaded < again_seconds:
                if any(_has_result(s3, bucket, path) for path in paths[-3:]):
                    seconds = time.monotonic() - began
                    _await_later(s3, bucket, paths)
                    return seconds
                if time.monotonic() - began > patience_seconds:
                    raise DeployError(
                        f"No probe upload has had a result for {patience_seconds / 60:.0f} minutes: uploads may not start the "
                        "workflow yet. Check the dead-letter queue and the log of the workflow, then deploy again; "
                        "`dropsort redrive` starts uploads that were missed."
                    )
                time.sleep(0.2 if len(paths) == 1 else 1.0)
            on_step(
                f"Waiting for S3's events, which take some minutes in a new bucket ({time.monotonic() - began:.0f} s)"
            )
    finally:
        _delete(s3, bucket)


def _has_result(s3: S3Client, bucket: str, path: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=keys.result_keys(path)[keys.FAILED])
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (403, 404):
            raise
        return False
    return True


def _await_later(s3: S3Client, bucket: str, paths: list[str]) -> None:
    """Wait until the probes after the first that has a result have theirs, too: deleted before, they would leave it behind."""
    deadline = time.monotonic() + LATER_SECONDS
    later = list(dropwhile(lambda path: not _has_result(s3, bucket, path), paths))
    while time.monotonic() < deadline and not all(_has_result(s3, bucket, path) for path in later):
        time.sleep(0.5)


def _delete(s3: S3Client, bucket: str) -> None:
    """Delete every version of every probe and its result.

    Results first: the service deletes the result of a deleted upload, too, which would leave a delete marker here.
    """
    for prefix in (f"{keys.FAILED}/{FOLDER}", f"{keys.INCOMING}{FOLDER}"):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
