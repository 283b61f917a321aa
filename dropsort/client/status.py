"""The state of a service: uploads in progress and waiting, images to review, failures by reason, the backlog's run, endpoint, alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError
from botocore.exceptions import ClientError as AwsError

from dropsort.client import redrive, results
from dropsort.client.deployed_service import DeployedService
from dropsort.contract import backlog, keys, reconciliation
from dropsort.contract.clients import Clients, is_missing_endpoint
from dropsort.contract.defaults import LONGEST_EXECUTION, MODEL_PARAMETERS

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricAlarmTypeDef

THRESHOLDS = (*MODEL_PARAMETERS.values(), "LabelThresholds")


@dataclass
class Status:
    """What is counted; `oldest` is the oldest upload that has had no result for longer than `LONGEST_EXECUTION`, `endpoint` is
    SageMaker's word, `model` and `thresholds` are those of the stack.

    `unreviewed` are images of low confidence that nobody has decided about; of them, the oldest result was written at `oldest_unreviewed`.
    """

    uploads: int = 0
    in_progress: int = 0
    retryable: int = 0
    without_result: int = 0
    oldest: str = ""
    oldest_uploaded: datetime | None = None
    unreviewed: int = 0
    oldest_unreviewed: datetime | None = None
    failed: Counter[str] = field(default_factory=Counter)
    run: backlog.BacklogRun | None = None
    run_items: dict[str, int] = field(default_factory=dict)
    endpoint: str = ""
    endpoint_name: str = ""
    model: str = ""
    thresholds: dict[str, str] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As one JSON document."""
        return {
            "uploads": self.uploads,
            "in_progress": self.in_progress,
            "retryable": self.retryable,
            "without_result": self.without_result,
            "oldest": self.oldest or None,
            "oldest_uploaded": self.oldest_uploaded,
            "unreviewed": self.unreviewed,
            "oldest_unreviewed": self.oldest_unreviewed,
            "failed": dict(self.failed.most_common()),
            "run": {
                "id": self.run.id,
                "started": self.run.started,
                "uploads": self.run.uploads,
                **self.run_items,
            }
            if self.run
            else None,
            "endpoint": self.endpoint,
            "endpoint_name": self.endpoint_name,
            "model": self.model or None,
            "thresholds": self.thresholds,
            "alarms": self.alarms,
        }


def read(
    client: Clients, service: DeployedService, in_alarm: Callable[[MetricAlarmTypeDef], bool] = lambda _: True
) -> Status:
    """Read the state: lists all uploads, results and reviews, and reads the results below ``failed/``.

    Parameters
    ----------
    in_alarm
        Whether an alarm that CloudWatch says is in alarm is so by its own rules: an emulator's may ignore them.
    """
    found, s3, now = Status(), client("s3"), datetime.now(UTC)
    for checked in reconciliation.check(s3, service.bucket, ignored=service.ignored, reviewed=(now, now)):
        upload = checked.upload
        found.uploads += 1
        if checked.unreviewed:
            found.unreviewed += 1
            found.oldest_unreviewed = min(found.oldest_unreviewed or checked.unreviewed, checked.unreviewed)
        if checked.why == reconciliation.RETRYABLE:
            found.retryable += 1
        elif checked.why and now - upload.written < LONGEST_EXECUTION:
            found.in_progress += 1
        elif checked.why:
            found.without_result += 1
            if found.oldest_uploaded is None or upload.written < found.oldest_uploaded:
                found.oldest, found.oldest_uploaded = upload.key, upload.written
    for result in results.iterate(s3, service.bucket, outcomes=(keys.FAILED,)):
        if not result.retryable:  # those wait
            found.failed[str(result.reason.get("code"))] += 1
    found.run = backlog.current(s3, client("stepfunctions"), service.bucket)
    if found.run:
        found.run_items = redrive.counts(client("stepfunctions"), found.run) or {}
    found.endpoint, found.endpoint_name = _endpoint(client, service), service.endpoint
    found.model = service.model
    found.thresholds = {
        name: service.parameters[name] for name in THRESHOLDS if service.parameters.get(name, "") != ""
    }
    alarms = client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{service.name}-", StateValue="ALARM")
    found.alarms = sorted(
        alarm["AlarmName"]
        for alarm in alarms["MetricAlarms"]
        if alarm["StateValue"] == "ALARM" and in_alarm(alarm)
    )
    return found


def _endpoint(client: Clients, service: DeployedService) -> str:
    """SageMaker's status of the endpoint; "not found" where there is none of that name, "unknown" without a response."""
    try:
        return str(client("sagemaker").describe_endpoint(EndpointName=service.endpoint)["EndpointStatus"])
    except AwsError as error:
        return "not found" if is_missing_endpoint(error.response) else "unknown"
    except BotoCoreError:
        return "unknown"
