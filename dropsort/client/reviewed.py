"""Reads reviews: what people decided, with the predictions that they decided about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError as AwsError

from dropsort.client.results import ahead
from dropsort.contract import reviews

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def iterate(
    s3: S3Client, bucket: str, *, prefix: str = "", unreadable: Callable[[str], None] = lambda _: None
) -> Iterator[reviews.Review]:
    """Reviews in the order of their keys, those without a decision in force left out, read ahead in parallel.

    Parameters
    ----------
    prefix
        Only of uploads whose path below ``incoming/`` starts so.
    unreadable
        Called with a sentence for every object there that is no review.
    """
    locations = (
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=f"{reviews.PREFIX}{prefix}"
        )
        for item in page.get("Contents", [])
    )

    def read(location: str) -> reviews.Review | str | None:
        try:
            return reviews.parse(s3.get_object(Bucket=bucket, Key=location)["Body"].read())
        except AwsError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
        except ValueError as error:
            return f"s3://{bucket}/{location} is no review ({error}): somebody else put it there."

    for found in ahead(read, locations):
        if isinstance(found, str):
            unreadable(found)
        elif found is not None and reviews.in_force(found):
            yield found
