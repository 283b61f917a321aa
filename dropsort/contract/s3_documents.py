"""Small JSON objects in S3 that several writers replace under a condition, and the error codes of S3 that say what happened.

botocore's errors are read by their form, as this package imports the standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MISSING = ("NoSuchKey", "404", "NotFound")
# The version is not there; the last two: it is a delete marker
GONE = (*MISSING, "NoSuchVersion", "MethodNotAllowed", "405")
CONFLICT = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")  # a condition did not hold
CHANGED = CONFLICT + MISSING  # somebody was faster: the object is another one, or gone


def code(error: Exception) -> str:
    """The code of a `botocore.exceptions.ClientError`; "" of anything else."""
    response = getattr(error, "response", None)
    return str(response["Error"]["Code"]) if isinstance(response, dict) and "Error" in response else ""


def read(s3: S3Client, bucket: str, key: str, most: int | None = None) -> tuple[bytes, str | None]:
    """Content and ETag of an object, its first `most` bytes if they are given; empty and None if there is none.

    Raises
    ------
    botocore.exceptions.ClientError
        S3 failed.
    """
    try:
        response = s3.get_object(Bucket=bucket, Key=key)
    except Exception as error:
        if code(error) in MISSING:
            return b"", None
        raise
    with response["Body"] as stream:
        return stream.read(most), response["ETag"]


def replace(
    s3: S3Client,
    bucket: str,
    key: str,
    document: Any,
    etag: str | None,
    metadata: Mapping[str, str] | None = None,
) -> bool:
    """Write a document as JSON if the object still has this ETag, or is still not there (None); whether it was written.

    Raises
    ------
    botocore.exceptions.ClientError
        S3 failed otherwise.
    """
    condition: Any = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    body = json.dumps(document).encode()
    try:
        s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=body,
            ContentType="application/json",
            Metadata=dict(metadata or {}),
            **condition,
        )
    except Exception as error:
        # A condition on an object that has gone in the meantime does not hold either.
        if code(error) in (CONFLICT if etag is None else CHANGED):
            return False
        raise
    return True
