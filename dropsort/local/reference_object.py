"""The model's reference in the bucket, where the hourly function reads it.

Only what this module put there is ever exchanged or taken away: a reference that somebody else put there, or that the function
made of captures, stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dropsort.contract.reference import FILE, KEY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MARK = "model-folder"  # metadata of the object that came from one


def put(s3: S3Client, bucket: str, model: Path) -> None:
    """Put the reference of a model folder into the bucket, in place of a former model's; one without has none."""
    try:
        there = s3.head_object(Bucket=bucket, Key=KEY)
    except s3.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        there = None
    if there is not None and MARK not in there["Metadata"]:
        return
    path = model / FILE
    if path.is_file():
        s3.put_object(
            Bucket=bucket,
            Key=KEY,
            Body=path.read_bytes(),
            ContentType="application/json",
            Metadata={MARK: "yes"},
        )
    elif there is not None:
        s3.delete_object(Bucket=bucket, Key=KEY)
