"""Runs of the backlog: a list of uploads that the second state machine, a Distributed Map, classifies; never two runs at once.

A run has a prefix of its own, ``backlog/{id}/``: its list ``uploads.jsonl`` and what Step Functions reports of it. ``backlog/current.json``
names the latest run. Whoever starts one replaces that object under a condition, so of two that start at the same time one fails.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, TYPE_CHECKING

from dropsort.contract import s3_documents
from dropsort.contract.defaults import BACKLOG_CONCURRENCY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

PREFIX = "backlog/"
CURRENT = f"{PREFIX}current.json"
STARTING = timedelta(minutes=1)  # after so long a run that was announced but never started counts as ended


class InProgress(Exception):
    """Another run is in progress; the message names it."""


@dataclass(frozen=True, slots=True)
class BacklogRun:
    """A run: its id, its execution, when it was started and with how many uploads."""

    id: str
    execution: str
    started: str
    uploads: int


class UploadList:
    """The list of a run, in a temporary file until the run starts: memory does not grow with it."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self.count = 0

    def __enter__(self) -> UploadList:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the file."""
        self._file.close()

    def add(self, bucket: str, key: str) -> None:
        """Add an upload."""
        self._file.write(json.dumps({"s3_bucket": bucket, "s3_key": key}).encode() + b"\n")
        self.count += 1

    def extend(self, bucket: str, found: Iterable[str]) -> None:
        """Add uploads by their keys."""
        for key in found:
            self.add(bucket, key)

    def body(self) -> IO[bytes]:
        """The file, from its beginning."""
        self._file.seek(0)
        return self._file


def start(
    s3: S3Client,
    states: SFNClient,
    bucket: str,
    machine: str,
    uploads: UploadList,
    *,
    concurrency: int = BACKLOG_CONCURRENCY,
) -> BacklogRun:
    """Start a run.

    Parameters
    ----------
    s3, states
        boto3 clients of S3 and Step Functions.
    machine
        ARN of the backlog's state machine.
    concurrency
        Executions at the same time.

    Raises
    ------
    InProgress
        Another run is in progress, or was started at the same time.
    botocore.exceptions.ClientError
        S3 or Step Functions failed.
    """
    latest, etag = _latest(s3, bucket)
    if latest is not None and running(states, latest):
        raise InProgress(f"A run with {latest.uploads} uploads is in progress since {latest.started}.")
    now = datetime.now(UTC)
    name = f"{now:%Y-%m-%dT%H-%M-%S}-{uuid.uuid4().hex[:8]}"
    run = BacklogRun(
        name,
        f"{machine.replace(':stateMachine:', ':execution:')}:{name}",
        now.isoformat(timespec="seconds"),
        uploads.count,
    )
    location = f"{PREFIX}{name}/uploads.jsonl"
    s3.put_object(Bucket=bucket, Key=location, Body=uploads.body(), ContentType="application/jsonl")
    if not s3_documents.replace(s3, bucket, CURRENT, asdict(run), etag):
        raise InProgress("Another run was started at the same time.")
    document = {
        "bucket": bucket,
        "uploads": location,
        "results": f"{PREFIX}{name}",
        "max_concurrency": concurrency,
    }
    states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(document))
    return run


def current(s3: S3Client, states: SFNClient, bucket: str) -> BacklogRun | None:
    """The run in progress; None if there is none."""
    latest, _ = _latest(s3, bucket)
    return latest if latest is not None and running(states, latest) else None


def running(states: SFNClient, run: BacklogRun) -> bool:
    """Whether a run is in progress, or about to be."""
    try:
        return bool(states.describe_execution(executionArn=run.execution)["status"] == "RUNNING")
    except Exception as error:
        if s3_documents.code(error) != "ExecutionDoesNotExist":
            raise
    return datetime.now(UTC) - datetime.fromisoformat(run.started) < STARTING


def _latest(s3: S3Client, bucket: str) -> tuple[BacklogRun | None, str | None]:
    """The latest run and the ETag of the object that names it; what is damaged counts as no run."""
    body, etag = s3_documents.read(s3, bucket, CURRENT)
    try:
        document = json.loads(body)
        run = BacklogRun(
            str(document["id"]),
            str(document["execution"]),
            datetime.fromisoformat(document["started"]).astimezone(UTC).isoformat(),
            int(document["uploads"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, etag
    return run, etag
