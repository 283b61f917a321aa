"""Reads the upload of an event from S3: exactly its version, or why it cannot be read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dropsort.contract import s3_documents
from dropsort.contract.times import moment
from handlers.rejections import Rejection
from handlers.uploads import Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Overwritten(Exception):
    """The bucket keeps no versions and a newer upload has replaced this one, whose own event will see to it."""


def read(s3: S3Client, upload: Upload, max_bytes: int) -> tuple[Upload, bytes | Rejection]:
    """Read exactly the upload of an event: its version, or its ETag where there are no versions.

    Parameters
    ----------
    max_bytes
        Larger objects are rejected without being read.

    Returns
    -------
    Upload, bytes or Rejection
        The upload with what S3 says of it, and the object; or why it is not read: ``empty_object``,
        ``object_too_large``, ``object_not_found``, ``object_archived``, ``unreadable_encryption``.

    Raises
    ------
    Overwritten
        A newer upload is there.
    """
    which: dict[str, Any] = {"Bucket": upload.bucket, "Key": upload.key}
    if upload.version_id:
        which["VersionId"] = upload.version_id
    elif upload.etag:
        which["IfMatch"] = upload.etag
    try:
        response = s3.get_object(**which)
    except ClientError as error:
        code = s3_documents.code(error)
        if code in s3_documents.GONE:
            return upload, Rejection("object_not_found")
        if code in s3_documents.CONFLICT:
            raise Overwritten from error
        if code == "InvalidObjectState":
            return upload, Rejection("object_archived")
        if _encrypted(error):
            return upload, Rejection("unreadable_encryption")
        raise
    with response["Body"] as stream:
        size = response["ContentLength"]
        # What S3 says counts, whatever the input says: people can start executions, too.
        known = replace(
            upload,
            version_id=upload.version_id or _version(response.get("VersionId")),
            etag=response["ETag"].strip('"'),
            size=size,
            uploaded=moment(response["LastModified"], "seconds"),
        )
        if size > max_bytes:
            return known, Rejection("object_too_large", f"It has {size} bytes; {max_bytes} are read.")
        if size == 0:
            return known, Rejection("empty_object")
        return known, stream.read()


def _encrypted(error: ClientError) -> bool:
    """Whether the uploader's own encryption keeps the object from being read: SSE-C, or a KMS key of somebody else.

    S3 has no code of its own for either; without a key that only the uploader has, and with a key that is disabled, deleted
    or in an account that does not allow its use, no retry helps. A plain AccessDenied, of a policy, is not among them.
    """
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code.startswith("KMS."):  # KMS.DisabledException, KMS.NotFoundException, KMS.KMSInvalidStateException
        return True
    if code == "InvalidRequest":
        return "Server Side Encryption" in message
    return code == "AccessDenied" and (
        "kms:" in message or "ciphertext refers to a customer master key" in message
    )


def _version(version_id: str | None) -> str | None:
    return None if version_id == "null" else version_id  # what was there before versioning
