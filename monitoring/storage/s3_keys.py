"""Keys that obstore has no name for, through boto3: those with empty or dot segments or control characters.

S3 allows ``captures//bikes/a.jsonl``, and a destination written with one slash too many makes such keys; obstore refuses
to list a prefix that holds one. boto3 is slower, so only such listings and such objects go through it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from monitoring.errors import MonitoringError
from monitoring.storage.base import Access

_CHUNK = 1024 * 1024  # bytes, of a streamed read


class AnyKeys:
    """Lists and reads objects of a bucket, whatever their keys; values as obstore gives them."""

    def __init__(self, bucket: str, access: Access) -> None:
        session = boto3.Session(profile_name=access.profile, region_name=access.region)
        self._client = session.client("s3", endpoint_url=access.endpoint_url)
        self._bucket = bucket

    def objects(self, prefix: str, after: str = "") -> Iterator[dict[str, Any]]:
        """List the objects below `prefix` whose keys come after `after`, in their order."""
        with self._errors("list", prefix):
            for page in self._pages(Prefix=prefix, StartAfter=after):
                yield from map(_meta, page.get("Contents", ()))

    def level(self, prefix: str) -> dict[str, list[Any]]:
        """List the objects and the folders (with their slash) right below `prefix`."""
        with self._errors("list", prefix):
            pages = list(self._pages(Prefix=prefix, Delimiter="/"))
        return {
            "objects": [_meta(found) for page in pages for found in page.get("Contents", ())],
            "common_prefixes": [f["Prefix"] for page in pages for f in page.get("CommonPrefixes", ())],
        }

    def chunks(self, key: str, start: int) -> Iterator[bytes]:
        """Stream an object from byte `start` on; raises FileNotFoundError if it is gone."""
        span = {"Range": f"bytes={start}-"} if start else {}
        with self._errors("read", key):
            body = self._client.get_object(Bucket=self._bucket, Key=key, **span)["Body"]
            yield from body.iter_chunks(_CHUNK)

    def _pages(self, **query: str) -> Iterator[dict[str, Any]]:
        wanted = {name: value for name, value in query.items() if value}
        pages: Any = self._client.get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=self._bucket, **wanted)

    @contextlib.contextmanager
    def _errors(self, verb: str, name: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                raise FileNotFoundError(name) from error
            first = " ".join(str(error).split())[:300]
            raise MonitoringError(f"Cannot {verb} s3://{self._bucket}/{name}: {first}") from error


def _meta(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": found["Key"],
        "size": found["Size"],
        "e_tag": found.get("ETag"),
        "last_modified": found["LastModified"],
    }
