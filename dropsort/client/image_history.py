"""Everything that the bucket stores of one image: the versions of its upload, its result, and what people decided of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from dropsort.client import files, results
from dropsort.client.errors import NotFoundError
from dropsort.client.results import Result
from dropsort.client.trace import MOST
from dropsort.contract import keys, reviews, s3_documents
from dropsort.contract.text import printable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


MOST_FOLDERS = 8  # that are left out, one after the other, in search of a key


@dataclass(frozen=True)
class UploadVersion:
    """One version of an upload; `size` in bytes, None for a mark of its deletion."""

    version_id: str
    written: datetime
    size: int | None


@dataclass(frozen=True)
class ImageHistory:
    """An image by its key: versions of its upload, newest first, and its results: one, none yet, or two for a moment.

    `decisions` are those of its review, the oldest first; `earlier` says that it is of an upload that a newer one has replaced.
    """

    key: str
    versions: list[UploadVersion]
    results: list[Result]
    decisions: tuple[reviews.ReviewDecision, ...] = ()
    earlier: bool = False


def upload_key(name: str, bucket: str) -> str:
    """The key of an upload, from whatever names it: a path below ``incoming/``, a key, or an address of S3.

    Examples
    --------
    >>> upload_key("cam1/a.jpg", "b"), upload_key("s3://b/incoming/cam1/a.jpg", "b")
    ('incoming/cam1/a.jpg', 'incoming/cam1/a.jpg')
    """
    name = name.removeprefix(f"s3://{bucket}/")
    return name if name.startswith(keys.INCOMING) else keys.INCOMING + name


def versions_of(s3: S3Client, bucket: str, key: str) -> Iterator[dict[str, Any]]:
    """All versions and deletion markers of one key, as S3 lists them; only versions have a ``Size`` and an ``ETag``."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
        listed: list[Any] = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        yield from (item for item in listed if item["Key"] == key)
        if page.get("NextKeyMarker", key) != key:  # the key itself comes first of all that begin with it
            return


def find(s3: S3Client, bucket: str, key: str) -> ImageHistory:
    """The history of an upload; if none has this key, that of the only one whose name is shown in the same way.

    Raises
    ------
    NotFoundError
        There is neither an upload nor a result of this key.
    UnreadableResult
        The object under the key of its result is not one.
    """
    history = None if _has_other_bytes(key) else _of_key(s3, bucket, key)
    alike = [] if history else _shown_alike(s3, bucket, key)
    if len(alike) == 1:
        history = _of_key(s3, bucket, alike[0])
    if history is None:
        advice = f" {len(alike)} uploads are shown by this name." if len(alike) > 1 else ""
        advice = advice or _advice(s3, bucket, keys.path_of(files.escaped_name(key)).rstrip("/"))
        raise NotFoundError(f"There is no upload {key} in s3://{bucket}, and no result of it.{advice}")
    return history


def _of_key(s3: S3Client, bucket: str, key: str) -> ImageHistory | None:
    """The history of the upload of this very key; None if there is neither an upload nor a result."""
    versions = [
        UploadVersion(item["VersionId"], item["LastModified"], item.get("Size"))
        for item in versions_of(s3, bucket, key)
    ]
    locations = keys.result_keys(keys.path_of(key)).values()
    found = [result for location in locations if (result := results.get(s3, bucket, location)) is not None]
    if not versions and not found:
        return None
    versions.sort(key=lambda version: version.written, reverse=True)
    review = _review(s3, bucket, key)
    if review is None:
        return ImageHistory(key, versions, found)
    return ImageHistory(key, versions, found, review.decisions, _is_earlier(review, found, versions))


def _has_other_bytes(name: str) -> bool:
    """Whether a name of the command line has bytes that are not UTF-8, which no key has."""
    return any("\udc80" <= sign <= "\udcff" for sign in name)


def _shown_alike(s3: S3Client, bucket: str, key: str) -> list[str]:
    """Keys of uploads with the name that `key` has in tables and on pages, in a file system, or in another Unicode normalisation.

    A key with characters that are not shown has a replacement character in their place; `drop` escapes some of them.
    """
    found = set[str]()
    for name in {_shown(key), _shown(files.escaped_name(key))}:
        if name == key and name.isascii():  # only the key itself is shown so
            continue
        # Listed up to the first character that may differ
        begin = name.encode("ascii", "replace").decode().split("?")[0]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=begin)
        listed = (item["Key"] for page in pages for item in page.get("Contents", ()))
        found |= {one for one in islice(listed, MOST) if _shown(one) == name}
    return sorted(found)


def _shown(name: str) -> str:
    """A name as it is shown, composed."""
    return unicodedata.normalize("NFC", printable(name))


def _advice(s3: S3Client, bucket: str, path: str) -> str:
    """What to name in place of a path that is none: images below it, or the same file without its first folders."""
    if path and _first_key(s3, bucket, f"{keys.INCOMING}{path}/"):
        return f" Images are below it: dropsort results --prefix {path}/"
    parts = path.split("/")
    for begin in range(1, min(len(parts), MOST_FOLDERS)):
        shorter = "/".join(parts[begin:])
        if _first_key(s3, bucket, keys.INCOMING + shorter) == keys.INCOMING + shorter:
            return f" There is {keys.INCOMING}{shorter}: dropsort results {shorter}"
    return ""


def _first_key(s3: S3Client, bucket: str, prefix: str) -> str | None:
    """The first key that begins so."""
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents")
    return found[0]["Key"] if found else None


def _is_earlier(review: reviews.Review, found: list[Result], versions: list[UploadVersion]) -> bool:
    """Whether a review is of an earlier upload: by the results, or without any by the time of the newest upload."""
    if found:
        return all(result.document.get("inference_id") != review.inference_id for result in found)
    last = max((datetime.fromisoformat(decision.at) for decision in review.decisions), default=None)
    return last is not None and versions[0].written > last


def _review(s3: S3Client, bucket: str, key: str) -> reviews.Review | None:
    """The review of an upload; None if the object under its key is not a review of it."""
    content, _ = s3_documents.read(s3, bucket, reviews.key(keys.path_of(key)))
    try:
        return reviews.parse(content, key)
    except ValueError:
        return None
