"""A split dataset as SageMaker's channels: indexes, augmented manifests, and an upload that skips unchanged objects.

Below the S3 prefix: `train/`, `validation/`, `test/` with one folder per label, `train_lst/train.lst` and
`validation_lst/validation.lst` (number, class from 0, path below the images' folder, with tabs), `manifests/`, and
`labels.json`. Our own script reads the folders, the built-in algorithm the indexes.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from training.dataset.images import PARTS, Dataset, LabelledImage
from training.errors import TrainingError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OnObject = Callable[[int, int, str], None]  # done, total, S3 key


class ChannelImage(NamedTuple):
    """An image and its path below its part's folder."""

    image: LabelledImage
    name: str


def channel_images(data: Dataset, part: str) -> list[ChannelImage]:
    """The images of a part with names that are unique: `label/file`, a digest of the folder added where two collide."""
    images = data.part(part)
    # As S3 keys of uploads
    names = [os.fsencode(p.path.name).decode(errors="backslashreplace") for p in images]
    count = Counter((p.label, name) for p, name in zip(images, names, strict=True))
    found = []
    for p, name in zip(images, names, strict=True):
        if count[p.label, name] > 1:
            name = f"{hashlib.sha256(os.fsencode(p.path.parent)).hexdigest()[:8]}-{name}"
        found.append(ChannelImage(p, f"{p.label}/{name}"))
    return found


def lst(data: Dataset, part: str) -> str:
    """The part's `.lst` index."""
    rows = enumerate(channel_images(data, part))
    return "".join(f"{number}\t{data.number(item.image)}\t{item.name}\n" for number, item in rows)


def augmented_manifest(data: Dataset, part: str, prefix: str) -> str:
    """The part as JSON lines; `prefix` (say s3://bucket/images) goes before each path."""
    lines = []
    for item in channel_images(data, part):
        reference = posixpath.join(prefix, part, item.name)
        label = {"class": data.number(item.image), "class-metadata": {"class-name": item.image.label}}
        lines.append(json.dumps({"source-ref": reference, **label}) + "\n")
    return "".join(lines)


def _objects(data: Dataset, prefix: str, address: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for part in PARTS:
        for item in channel_images(data, part):
            yield f"{prefix}{part}/{item.name}", item.image.path.read_bytes
        if data.part(part):
            index, manifest = lst(data, part), augmented_manifest(data, part, address)
            yield f"{prefix}{part}_lst/{part}.lst", index.encode
            yield f"{prefix}manifests/{part}.manifest", manifest.encode
    labels = json.dumps(data.labels)
    yield f"{prefix}labels.json", labels.encode


class UploadedChannels(NamedTuple):
    """How many objects were sent, and how many existed already with the same content."""

    sent: int
    skipped: int


def upload(
    data: Dataset,
    client: S3Client,
    bucket: str,
    prefix: str = "training/images",
    *,
    progress: OnObject = lambda *_: None,
) -> UploadedChannels:
    """Puts images, indexes and manifests below `prefix`, skipping objects that exist with the same content.

    `client` is a boto3 S3 client. Content is compared by MD5, which S3 gives as the ETag of a plain put; an object under
    a KMS key has another and is sent again. Called again after an interruption, it continues where it stopped.
    """
    prefix = prefix.strip("/") + "/"
    existing: dict[str, str] = {}
    try:
        for listing in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            existing.update({o["Key"]: o["ETag"] for o in listing.get("Contents", [])})
    except client.exceptions.ClientError as error:
        raise TrainingError(f"the bucket {bucket} cannot be listed: {error}") from error
    objects = list(_objects(data, prefix, f"s3://{bucket}/{prefix.rstrip('/')}"))
    sent = 0
    for done, (key, read) in enumerate(objects, 1):
        content = read()
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if existing.get(key) != f'"{digest}"':  # an ETag has quotation marks
            try:
                client.put_object(Bucket=bucket, Key=key, Body=content)
            except client.exceptions.ClientError as error:
                raise TrainingError(f"{key} could not be uploaded to {bucket}: {error}") from error
            sent += 1
        progress(done, len(objects), key)
    return UploadedChannels(sent, len(objects) - sent)
