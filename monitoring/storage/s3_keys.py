"""Objects whose keys obstore does not support, through boto3: keys with empty or dot segments or control characters.

S3 allows ``captures//bikes/a.jsonl``, and a destination written with one slash too many makes such keys; obstore cannot
list a prefix that holds one. boto3 is slower, so only such listings and such objects go through it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from dropsort.contract import s3_documents
from monitoring.errors import MissingFileError, StorageError
from monitoring.storage.base import BucketAccess

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

_CHUNK = 1024 * 1024  # bytes, of a streamed read


class AnyKeys:
    """Lists and reads objects of a bucket, whatever their keys; values as obstore returns them."""

    def __init__(self, bucket: str, access: BucketAccess) -> None:
        session = boto3.Session(profile_name=access.profile, region_name=access.region)
        self._client: S3Client = session.client("s3", endpoint_url=access.endpoint_url)
        self._bucket = bucket

    def objects(self, prefix: str, after: str = "") -> Iterator[dict[str, Any]]:
        """List the objects below `prefix` whose keys come after `after`, in their order."""
        with self._errors("list", prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, StartAfter=after):
                yield from map(_meta, page.get("Contents", ()))

    def level(self, prefix: str) -> dict[str, list[Any]]:
        """List the objects and the folders (with their slash) right below `prefix`."""
        with self._errors("list", prefix):
            pages = self._client.get_paginator("list_objects_v2")
            found = list(pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/"))
        return {
            "objects": [_meta(one) for page in found for one in page.get("Contents", ())],
            "common_prefixes": [one["Prefix"] for page in found for one in page.get("CommonPrefixes", ())],
        }

    def chunks(self, key: str, start: int) -> Iterator[bytes]:
        """Stream an object from byte `start` on; raises MissingFileError."""
        with self._errors("read", key):
            if start:
                found = self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={start}-")
            else:  # an empty object has no range
                found = self._client.get_object(Bucket=self._bucket, Key=key)
            yield from found["Body"].iter_chunks(_CHUNK)

    @contextlib.contextmanager
    def _errors(self, verb: str, name: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            address = f"s3://{self._bucket}/{name}"
            if s3_documents.code(error) in s3_documents.MISSING:
                raise MissingFileError(f"Cannot {verb} {address}: there is no such object.") from error
            first = " ".join(str(error).split())[:300]
            raise StorageError(f"Cannot {verb} {address}: {first}") from error


def _meta(found: ObjectTypeDef) -> dict[str, Any]:
    return {
        "path": found["Key"],
        "size": found["Size"],
        "e_tag": found.get("ETag"),
        "last_modified": found["LastModified"],
    }
