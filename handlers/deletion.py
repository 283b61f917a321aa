"""Function for "Object Deleted" events: deletes the result of a deleted upload, its review and its ground truth.

A result is deleted only if its upload is not there: results are read first, then the upload, and a result is deleted under the condition
that it has not changed since. So whatever is uploaded at the same time keeps its result. If the newest version alone was deleted, so that
an older one is there again, the result of the deleted version is deleted, and the backlog function starts the older one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dropsort.contract import keys, reviews, s3_documents
from handlers import aws
from handlers.telemetry import note, observed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

if aws.starting():
    aws.s3()


@observed
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Delete the result of a deleted upload.

    Raises
    ------
    KeyError, ValueError
        The event is not one of S3, or of a key outside ``incoming/``.
    ClientError
        S3 failed; Lambda retries.
    """
    detail = event["detail"]
    bucket, key = detail["bucket"]["name"], detail["object"]["key"]
    note(s3_key=key)
    return {
        "s3_key": key,
        "deleted": delete_result(aws.s3(), bucket, key, detail["object"].get("version-id")),
    }


def delete_result(s3: S3Client, bucket: str, key: str, version: str | None = None) -> list[str]:
    """Delete result and review of an upload that is not there any more; return the keys of what was deleted.

    Parameters
    ----------
    version
        The version that was deleted, if it is known.
    """
    path = keys.path_of(key)
    if not path:
        return []
    # The result is deleted last: whoever deletes again after a failure still finds out from it to which upload the rest belongs.
    locations = (reviews.key(path), *keys.result_keys(path).values())
    found = {location: there for location in locations if (there := head(s3, bucket, location))}
    upload = head(s3, bucket, key) if found else None
    deleted = []
    for location, there in found.items():
        of = there["Metadata"].get("version-id")
        if upload is not None and (not of or of != version or of == upload.get("VersionId")):
            continue
        if location == locations[0]:
            # A prediction that was taken over has the inference id of an earlier version.
            metadata = there["Metadata"]
            inference_id = metadata.get("inference-id") or keys.inference_id(
                bucket, key, of or metadata.get("etag", "")
            )
            s3.delete_object(Bucket=bucket, Key=reviews.ground_truth_key(inference_id))
        try:
            s3.delete_object(Bucket=bucket, Key=location, IfMatch=there["ETag"])
        except ClientError as error:
            if s3_documents.code(error) not in s3_documents.CHANGED:
                raise
        else:
            deleted.append(location)
    return deleted


def head(s3: S3Client, bucket: str, key: str) -> HeadObjectOutputTypeDef | None:
    """The response to a HEAD request; None if there is no such object.

    Raises
    ------
    ClientError
        S3 failed.
    """
    try:
        return s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if s3_documents.code(error) in s3_documents.GONE:
            return None
        raise
