"""Selects uploads to classify again and starts a run of the backlog for them.

Running twice is harmless: the same upload gives the same result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dropsort.client import results
from dropsort.client.deployed_service import DeployedService
from dropsort.client.errors import ClientError
from dropsort.contract import backlog, keys, reconciliation
from dropsort.contract.backlog import BacklogRun, UploadList
from dropsort.contract.clients import Clients
from dropsort.contract.defaults import BACKLOG_CONCURRENCY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

SECONDS_EACH = 0.4  # of one execution, for the estimate


@dataclass(frozen=True)
class UnfinishedUpload:
    """An upload to start again, and why."""

    key: str
    uploaded: datetime | None  # None where only its result was read
    why: str


@dataclass(frozen=True)
class Selection:
    """Which uploads to classify again; without any criterion those without a final result.

    Parameters
    ----------
    everything
        Every upload.
    reasons, outcomes, label
        Uploads whose result has one of these reason codes, one of these outcomes, this label.
    model_before
        Uploads whose prediction is of a model version that sorts before this one, or of one without a version.
    """

    everything: bool = False
    reasons: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    label: str | None = None
    model_before: str | None = None

    @property
    def by_result(self) -> bool:
        """Whether results decide."""
        return bool(self.reasons or self.outcomes or self.label or self.model_before)

    def why(self, result: results.Result) -> str | None:
        """Why the upload of a result is selected; None if it is not: a reviewed result stays, whatever is predicted."""
        if result.document.get("review"):
            return None
        if self.reasons and result.reason.get("code") not in self.reasons:
            return None
        if self.label is not None and result.label != self.label:
            return None
        version = (result.document.get("model") or {}).get("version")
        if self.model_before is not None:
            if result.label is None or (version and _order(str(version)) >= _order(self.model_before)):
                return None
            return f"model {version}"
        return str(result.reason.get("code") or result.outcome)


def _order(version: str) -> list[tuple[int, int, str]]:
    """The order of versions: numbers by value, so that bikes-1.9.0 comes before bikes-1.10.0."""
    parts = re.findall(r"\d+|\D+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def select(
    s3: S3Client,
    bucket: str,
    selection: Selection = Selection(),
    *,
    prefix: str = "",
    min_age_seconds: float = 0.0,
    ignored: Callable[[str], bool] = reconciliation.DEFAULT_IGNORED,
    unreadable: Callable[[str], None] = lambda _: None,
    too_young: Callable[[str], None] = lambda _: None,
) -> Iterator[UnfinishedUpload]:
    """The selected uploads, about in the order of their keys; memory does not grow with their number.

    Parameters
    ----------
    prefix
        Only uploads whose path below ``incoming/`` starts so.
    min_age_seconds
        Leave out younger uploads: they may be in progress.
    ignored
        Whether the service ignores an upload, by its path below ``incoming/``.
    unreadable
        Called with a sentence for every object that is not a result, where results decide.
    too_young
        Called with the key of every upload that only its age leaves out.
    """
    if selection.by_result:
        outcomes = selection.outcomes or keys.OUTCOMES
        for result in results.iterate(s3, bucket, outcomes=outcomes, prefix=prefix, unreadable=unreadable):
            why = selection.why(result)
            if why is not None:
                yield UnfinishedUpload(result.key, None, why)
        return
    now = datetime.now(UTC)
    for checked in reconciliation.check(s3, bucket, prefix=prefix, ignored=ignored):
        upload = checked.upload
        age = max(0.0, (now - upload.written).total_seconds())  # S3's clock may be ahead of this one
        wanted = checked.why or (selection.everything and not checked.ignored)
        if wanted and age < min_age_seconds:
            too_young(upload.key)
        elif wanted:
            yield UnfinishedUpload(upload.key, upload.written, checked.why or "selected")


def find(
    s3: S3Client, bucket: str, *, prefix: str = "", min_age_seconds: float = 0.0
) -> list[UnfinishedUpload]:
    """Uploads that have no result, one of an older upload, several, or one whose failure may pass."""
    return list(select(s3, bucket, prefix=prefix, min_age_seconds=min_age_seconds))


def estimated_seconds(uploads: int, concurrency: int) -> float:
    """How long a run takes about, if the endpoint keeps up."""
    return uploads * SECONDS_EACH / concurrency


def concurrency(service: DeployedService) -> int:
    """The concurrency of a run that the stack is set to."""
    return int(service.parameters.get("BacklogConcurrency") or BACKLOG_CONCURRENCY)


def start(
    client: Clients, service: DeployedService, uploads: UploadList, at_once: int | None = None
) -> BacklogRun:
    """Start a run of the backlog.

    Raises
    ------
    dropsort.client.errors.ClientError
        Another run is in progress, or the stack is of an older version and has no backlog.
    """
    machine = service.outputs.get("BacklogStateMachineArn")
    if not machine:
        raise ClientError(
            f"Stack {service.name} has no backlog: update it with `dropsort deploy --stack {service.name}`."
        )
    try:
        return backlog.start(
            client("s3"),
            client("stepfunctions"),
            service.bucket,
            machine,
            uploads,
            concurrency=at_once or concurrency(service),
        )
    except backlog.InProgress as error:
        raise ClientError(f"{error} Try again when it has ended: `dropsort status`.") from error


def counts(states: SFNClient, run: BacklogRun) -> dict[str, int] | None:
    """Executions of a run by their status, as Step Functions counts them; None before it has begun."""
    listed = states.list_map_runs(executionArn=run.execution)["mapRuns"]
    if not listed:
        return None
    found: Mapping[str, Any] = states.describe_map_run(mapRunArn=listed[0]["mapRunArn"])["itemCounts"]
    return {name: int(found.get(name, 0)) for name in ("pending", "running", "succeeded", "failed", "total")}
