"""Which upload an inference was of: inference ids back to keys."""

from __future__ import annotations

import json
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from dropsort.contract import keys
from dropsort.contract.text import lines

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST = 50_000  # uploads that are listed: 50 requests


def keys_in_bucket(s3: S3Client, bucket: str, ids: Collection[str], most: int = MOST) -> dict[str, str]:
    """Keys by inference id, of those uploads whose id is among the first `most` of the bucket.

    An id is a digest of key and version, so that a listing is enough and no result is read.
    """
    found: dict[str, str] = {}
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=keys.INCOMING)
    uploads = (item for page in pages for item in page.get("Versions", []))
    for item in islice(uploads, most):
        for version in (item["VersionId"], item["ETag"].strip('"')):
            inference = keys.inference_id(bucket, item["Key"], version)
            if inference in ids:
                found[inference] = item["Key"]
        if len(found) == len(ids):
            break
    return found


def keys_in_file(results: Path, ids: Collection[str]) -> dict[str, str]:
    """Keys by inference id, from a file with one result per line; lines that are none are skipped."""
    found: dict[str, str] = {}
    try:
        text = results.read_text(encoding="utf-8")
    except OSError:
        return found
    for line in lines(text):
        try:
            document = json.loads(line)
            if document["inference_id"] in ids:
                found[document["inference_id"]] = str(document["source"]["key"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return found
