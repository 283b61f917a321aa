"""The images of one kind of fault: what was uploaded, and what became of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from dropsort.contract import keys, result

_CLIENTS = 8
_CHECK_SECONDS = 0.5
_SHARE = 5  # a check takes at most one part in so many of the time: thousands of images are not listed all the time


@dataclass(frozen=True)
class Site:
    """A service as the kinds reach it: boto3 clients, and the names that its stack has; ``machine`` is the workflow."""

    s3: Any
    states: Any
    bucket: str
    machine: str
    backlog: str

    def running(self) -> bool:
        """Whether an execution of the workflow runs, or of the backlog."""
        return any(
            self.states.list_executions(stateMachineArn=machine, statusFilter="RUNNING", maxResults=1)[
                "executions"
            ]
            for machine in (self.machine, self.backlog)
        )


@dataclass(frozen=True)
class NewestUpload:
    """The newest upload of a key; ``label`` is what a right prediction has, None if that is not known."""

    etag: str
    version_id: str | None
    label: str | None


@dataclass(frozen=True)
class BatchVerdict:
    """What became of the images.

    ``lost``: no result of any upload of the key, a wrong label, or a final failure that the fault does not warrant. ``doubled``:
    several results of one key. ``stale``: the result of an older upload. ``waiting``: a failure that is to be tried again.
    """

    images: int
    lost: int = 0
    doubled: int = 0
    stale: int = 0
    waiting: int = 0
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether every image has its one result."""
        return not (self.lost or self.doubled or self.stale or self.waiting)


class ImageBatch:
    """Images below a folder of their own.

    Parameters
    ----------
    folder
        Below ``incoming/``.
    count
        Number of images.
    images
        Contents and their labels, taken in turn; each upload gets some bytes more at its end, so that no two are alike.
    """

    def __init__(self, folder: str, count: int, images: Sequence[tuple[bytes, str]]) -> None:
        self.folder, self.count, self._images = folder, count, images
        self.uploads: dict[str, NewestUpload] = {}
        self.deleted: set[str] = set()
        self.final: set[str] = set()
        """Reason codes of final failures that are right for this fault."""
        self._sent = 0
        # ETag of a result that is right, by key, location and upload
        self._right: dict[tuple[str, str, NewestUpload], str] = {}

    def key(self, index: int) -> str:
        """Key of an image."""
        return f"{keys.INCOMING}{self.folder}/{index:05d}.png"

    def content(self, index: int) -> bytes:
        """Content for one upload, unlike every other's."""
        self._sent += 1
        return self._images[index % len(self._images)][0] + f" {self._sent}".encode()

    def put(self, site: Site, index: int, content: bytes | None = None) -> NewestUpload:
        """Upload one image, and record it as the newest of its key."""
        key = self.key(index)
        put = site.s3.put_object(Bucket=site.bucket, Key=key, Body=content or self.content(index))
        label = self._images[index % len(self._images)][1] if content is None else None
        self.uploads[key] = NewestUpload(put["ETag"].strip('"'), put.get("VersionId"), label)
        return self.uploads[key]

    def put_all(self, site: Site, indices: Iterable[int] | None = None, clients: int = _CLIENTS) -> None:
        """Upload all images, or some, several at a time."""
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(lambda index: self.put(site, index), indices or range(self.count)))

    def delete(self, site: Site, index: int) -> None:
        """Delete an upload."""
        key = self.key(index)
        site.s3.delete_object(Bucket=site.bucket, Key=key)
        self.uploads.pop(key, None)
        self.deleted.add(key)

    def results(self, site: Site) -> dict[str, list[str]]:
        """Keys of the results of each key, found by listing; a key that has none is not in it."""
        return {key: list(locations) for key, locations in self._listed(site).items()}

    def _listed(self, site: Site) -> dict[str, dict[str, str]]:
        """ETags of the results of each key, by their keys."""
        path_of = {
            location: key
            for key in (*self.uploads, *self.deleted)
            for location in keys.result_keys(keys.path_of(key)).values()
        }
        found: dict[str, dict[str, str]] = {}
        for outcome in keys.OUTCOMES:
            pages = site.s3.get_paginator("list_objects_v2").paginate(
                Bucket=site.bucket, Prefix=f"{outcome}/{self.folder}/"
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    if item["Key"] in path_of:
                        found.setdefault(path_of[item["Key"]], {})[item["Key"]] = item["ETag"]
        return found

    def check(self, site: Site) -> BatchVerdict:
        """What became of the images by now."""
        found = self._listed(site)
        examples: dict[str, str] = {}
        counts = {"lost": 0, "doubled": 0, "stale": 0, "waiting": 0}

        def add(name: str, key: str, why: str) -> None:
            counts[name] += 1
            examples.setdefault(name, f"{key}: {why}")

        for key, locations in found.items():
            if len(locations) > 1:
                add("doubled", key, ", ".join(locations))
        missing = [key for key in self.uploads if key not in found]
        for key in missing:
            add("lost", key, "no result")
        unread = [
            (key, location, etag)
            for key, upload in self.uploads.items()
            if len(found.get(key, ())) == 1
            for location, etag in found[key].items()
            if self._right.get((key, location, upload)) != etag
        ]
        with ThreadPoolExecutor(_CLIENTS) as pool:
            judged = pool.map(lambda item: self._judge(site, *item[:2]), unread)
            for (key, location, etag), (name, why) in zip(unread, judged, strict=True):
                if name:
                    add(name, key, why)
                else:
                    self._right[key, location, self.uploads[key]] = etag
        return BatchVerdict(self.count, **counts, examples=examples)

    def _judge(self, site: Site, key: str, location: str) -> tuple[str, str]:
        """What is wrong with a key's only result, and why; "" if it is right."""
        try:
            body = site.s3.get_object(Bucket=site.bucket, Key=location)["Body"].read()
            document = result.parse(body, key)
        except (ValueError, ClientError) as error:
            return "lost", str(error)
        upload, source = self.uploads[key], document["source"]
        same = (source.get("version_id") or upload.version_id) == upload.version_id
        if source.get("etag") != upload.etag or not same:
            return "stale", f"of {source.get('etag')}, and {upload.etag} is the newest"
        reason = document.get("reason") or {}
        if reason.get("retryable"):
            return "waiting", str(reason)
        if document["outcome"] == keys.FAILED and reason.get("code") not in self.final:
            return "lost", str(reason)
        if document["label"] is not None and upload.label not in (None, document["label"]):
            return "lost", f"it is a {upload.label}, not a {document['label']}"
        return "", ""

    def drain(self, site: Site, patience_seconds: float) -> tuple[BatchVerdict, float]:
        """Wait until every image has its one result and nothing runs; return what there is then, and the seconds that it took.

        Parameters
        ----------
        patience_seconds
            How long to go on; then whatever is there is the verdict.
        """
        begin = time.monotonic()
        finished: float | None = None
        while True:
            started = time.monotonic()
            verdict = self.check(site)
            now = time.monotonic()
            if not verdict.finished or site.running():
                finished = None
            elif finished is None:
                finished = now  # once more: something late may have come in between
            else:
                return verdict, finished - begin
            if now - begin > patience_seconds:
                return verdict, now - begin
            time.sleep(max(_CHECK_SECONDS, _SHARE * (now - started)))

    def last_recorded(self, site: Site) -> float:
        """When the last result was recorded, in seconds since the epoch."""

        def recorded(location: str) -> float:
            body = site.s3.get_object(Bucket=site.bucket, Key=location)["Body"].read()
            return datetime.fromisoformat(result.parse(body)["times"]["recorded"]).timestamp()

        with ThreadPoolExecutor(_CLIENTS) as pool:
            return max(pool.map(recorded, (name for found in self.results(site).values() for name in found)))

    def overwrite_result(self, site: Site, key: str, body: bytes) -> None:
        """Put something in place of a key's result, as a user could."""
        (location,) = self.results(site)[key]
        site.s3.put_object(Bucket=site.bucket, Key=location, Body=body)


def events_of(queue: Any, url: str, count: int, patience_seconds: float = 30.0) -> list[dict[str, Any]]:
    """The events of so many uploads, from a queue that a rule sends them to."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + patience_seconds
    while len(found) < count and time.monotonic() < deadline:
        for message in queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
            "Messages", ()
        ):
            found.append(json.loads(message["Body"]))
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found
