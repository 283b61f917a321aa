"""A split dataset as SageMaker's channels want it: indexes, augmented manifests, and the upload that skips what is there.

Below the S3 prefix: `train/`, `validation/`, `test/` with a folder a label, `train_lst/train.lst` and
`validation_lst/validation.lst` (number, class from 0, path below the pictures' folder, with tabs), `manifests/`, and
`labels.json`. Our own script reads the folders, the built-in algorithm the indexes.
"""

from __future__ import annotations

import csv
import hashlib
import json
import posixpath
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from training.dataset import PARTS, Dataset, Picture
from training.errors import TrainingError

Progress = Callable[[int, int, str], None]  # done, total, S3 key


class Entry(NamedTuple):
    """A picture and where it lies below its part's folder."""

    picture: Picture
    name: str


def entries(data: Dataset, part: str) -> list[Entry]:
    """The pictures of a part with names that are unique: `label/file`, a digest of the folder added where two collide."""
    pictures = data.part(part)
    count = Counter((p.label, p.path.name) for p in pictures)
    found = []
    for p in pictures:
        name = p.path.name
        if count[p.label, name] > 1:
            name = f"{hashlib.sha256(str(p.path.parent).encode()).hexdigest()[:8]}-{name}"
        found.append(Entry(p, f"{p.label}/{name}"))
    return found


def lst(data: Dataset, part: str) -> str:
    """The part's `.lst` index."""
    rows = enumerate(entries(data, part))
    return "".join(f"{number}\t{data.number(entry.picture)}\t{entry.name}\n" for number, entry in rows)


def augmented_manifest(data: Dataset, part: str, prefix: str) -> str:
    """The part as JSON lines; `prefix` (say s3://bucket/pictures) goes before each path."""
    lines = []
    for entry in entries(data, part):
        reference = posixpath.join(prefix, part, entry.name)
        label = {"class": data.number(entry.picture), "class-metadata": {"class-name": entry.picture.label}}
        lines.append(json.dumps({"source-ref": reference, **label}, ensure_ascii=False) + "\n")
    return "".join(lines)


def write(data: Dataset, folder: Path, *, prefix: str = "") -> list[Path]:
    """Writes the indexes and manifests of all parts, `labels.json`, `split.csv`, and `rejected.csv` into `folder`.

    `prefix` is the S3 address that the pictures have or will have; without it the manifests name local files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"labels.json": json.dumps(data.labels, ensure_ascii=False) + "\n"}
    for part in PARTS:
        if data.part(part):
            texts[f"{part}.lst"] = lst(data, part)
            texts[f"{part}.manifest"] = (
                augmented_manifest(data, part, prefix) if prefix else _local(data, part)
            )
    written = []
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)
    rows = [[str(p.path), p.label, p.part, p.group] for p in data.pictures]
    written.append(_table(folder / "split.csv", ["path", "label", "split", "group"], rows))
    written.append(
        _table(folder / "rejected.csv", ["path", "reason"], [[str(p), why] for p, why in data.bad])
    )
    return written


def _local(data: Dataset, part: str) -> str:
    lines = augmented_manifest(data, part, "").splitlines()
    paths = [entry.picture.path.resolve() for entry in entries(data, part)]
    named = (
        json.dumps({**json.loads(x), "source-ref": str(p)}, ensure_ascii=False)
        for x, p in zip(lines, paths, strict=True)
    )
    return "".join(line + "\n" for line in named)


def _table(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def _objects(data: Dataset, prefix: str, address: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for part in PARTS:
        for entry in entries(data, part):
            yield f"{prefix}{part}/{entry.name}", entry.picture.path.read_bytes
        if data.part(part):
            index, manifest = lst(data, part), augmented_manifest(data, part, address)
            yield f"{prefix}{part}_lst/{part}.lst", index.encode
            yield f"{prefix}manifests/{part}.manifest", manifest.encode
    labels = json.dumps(data.labels, ensure_ascii=False)
    yield f"{prefix}labels.json", labels.encode


class Uploaded(NamedTuple):
    """How many objects were sent, and how many were there already with the same content."""

    sent: int
    skipped: int


def upload(
    data: Dataset,
    client: Any,
    bucket: str,
    prefix: str = "training/pictures",
    *,
    progress: Progress = lambda *_: None,
) -> Uploaded:
    """Puts pictures, indexes and manifests below `prefix`, leaving alone what is there with the same content.

    `client` is a boto3 S3 client. Content is compared by MD5, which S3 gives as the ETag of a plain put; an object under
    a KMS key has another and is sent again. Start it again after an interruption: it goes on where it stopped.
    """
    prefix = prefix.strip("/") + "/"
    there = {}
    try:
        for listing in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            there.update({o["Key"]: o["ETag"].strip('"') for o in listing.get("Contents", [])})
    except client.exceptions.ClientError as error:
        raise TrainingError(f"the bucket {bucket} cannot be listed: {error}") from error
    objects = list(_objects(data, prefix, f"s3://{bucket}/{prefix.rstrip('/')}"))
    sent = 0
    for done, (key, read) in enumerate(objects, 1):
        content = read()
        if there.get(key) != hashlib.md5(content, usedforsecurity=False).hexdigest():
            try:
                client.put_object(Bucket=bucket, Key=key, Body=content)
            except client.exceptions.ClientError as error:
                raise TrainingError(f"{key} could not be uploaded to {bucket}: {error}") from error
            sent += 1
        progress(done, len(objects), key)
    return Uploaded(sent, len(objects) - sent)
