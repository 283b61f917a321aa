"""Reads reviews, with the predictions that they are about, and the uploads that were reviewed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError as AwsError

from dropsort.client import results
from dropsort.client.results import ahead, listed
from dropsort.contract import reviews, s3_documents

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")
_GONE = (*s3_documents.GONE, *s3_documents.CONFLICT)


def iterate(
    s3: S3Client, bucket: str, *, prefix: str = "", unreadable: Callable[[str], None] = lambda _: None
) -> Iterator[reviews.Review]:
    """Reviews in the order of their keys, those without a decision in force left out, read ahead in parallel.

    Parameters
    ----------
    prefix
        Only of uploads whose path below ``incoming/`` starts so.
    unreadable
        Called with a sentence for every object there that is not a review.
    """

    def read(location: str) -> reviews.Review | str | None:
        body, etag = s3_documents.read(s3, bucket, location)
        try:
            return reviews.parse(body) if etag else None
        except ValueError as error:
            return f"s3://{bucket}/{location} is not a review ({error}): somebody else put it there."

    for found in ahead(read, listed(s3, bucket, f"{reviews.PREFIX}{prefix}")):
        if isinstance(found, str):
            unreadable(found)
        elif found is not None and reviews.in_force(found):
            yield found


def with_results(
    s3: S3Client,
    bucket: str,
    prefix: str = "",
    *,
    found: Iterable[reviews.Review] | None = None,
    unreadable: Callable[[str], None] = lambda _: None,
) -> tuple[Iterator[tuple[str, Mapping[str, Any]]], list[reviews.Review]]:
    """Keys of uploads with their result documents, and the reviews of these uploads: what an audit is made of.

    Parameters
    ----------
    prefix
        Only of uploads whose path below ``incoming/`` starts so.
    found
        The reviews, if they were read already.
    unreadable
        Called with a sentence for every object that is neither.
    """
    if found is None:
        found = iterate(s3, bucket, prefix=prefix, unreadable=unreadable)
    of = list(found)
    read = results.iterate(s3, bucket, prefix=prefix, unreadable=unreadable)
    return ((result.key, result.document) for result in read), of


@dataclass(frozen=True)
class DownloadedImage:
    """A reviewed upload as a file, or why it is none."""

    review: reviews.Review
    path: Path
    fault: str = ""


def download(s3: S3Client, found: Iterable[reviews.Review], folder: Path) -> Iterator[DownloadedImage]:
    """Copy the uploads that were reviewed, in exactly the reviewed version, to ``{inference id}`` with their suffix below `folder`.

    What is there already is not copied again: an interrupted download continues where it stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def copy(review: reviews.Review) -> DownloadedImage:
        source = review.source
        suffix = PurePosixPath(source.key).suffix.lower()
        path = folder / (review.inference_id + (suffix if _SUFFIX.fullmatch(suffix) else ""))
        if path.is_file():
            return DownloadedImage(review, path)
        which: Any = (
            {"VersionId": source.version_id} if source.version_id else {"IfMatch": f'"{source.etag}"'}
        )
        try:
            body = s3.get_object(Bucket=source.bucket, Key=source.key, **which)["Body"].read()
        except AwsError as error:
            if s3_documents.code(error) in _GONE:
                return DownloadedImage(review, path, "the upload that was reviewed is gone")
            raise
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_bytes(body)
        temporary.replace(path)
        return DownloadedImage(review, path)

    yield from ahead(copy, found)
