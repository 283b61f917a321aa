"""The model's reference in the bucket, where the hourly function reads it.

Only what this module put there is ever exchanged or taken away: a reference that somebody else put there, or that the function
made of captures, stays.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from dropsort.contract.reference import FILE, KEY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MARK = "model-folder"  # metadata of the object that came from one


def put(s3: S3Client, bucket: str, model: Path, version: str | None = None) -> None:
    """Put the reference of a model folder into the bucket, in place of a former model's; one without has none.

    Parameters
    ----------
    version
        Version of the model: captures of another one are not compared with the reference.
    """
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
            Body=_named(path.read_bytes(), version),
            ContentType="application/json",
            Metadata={MARK: "yes"},
        )
    elif there is not None:
        s3.delete_object(Bucket=bucket, Key=KEY)


def _named(content: bytes, version: str | None) -> bytes:
    """A list of predictions together with the version of the model; anything else as it is."""
    try:
        found = json.loads(content)
    except ValueError:
        return content
    if version is None or not isinstance(found, list):
        return content
    return json.dumps({"model": version, "predictions": found}, ensure_ascii=False).encode()
