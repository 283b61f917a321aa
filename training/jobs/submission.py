"""Sends a training job through the SageMaker SDK and waits for its end.

The SDK is imported only on submission: it takes a gigabyte on disk (the extra `sagemaker`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from dropsort.contract.progress import OnStep, no_steps
from training.aws.requests import OnRequest, no_request
from training.errors import TrainingError
from training.jobs import sdk, source
from training.jobs.plan import ENTRY, PREFIX, TrainingJob, plan

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.type_defs import DescribeTrainingJobResponseTypeDef

PATIENCE_SECONDS = 7200.0  # twice the longest wait of a job's defaults


@dataclass(frozen=True)
class JobResult:
    """A completed training job: S3 address of its model.tar.gz, the last value of each metric, seconds that are billed."""

    model_data: str
    metrics: Mapping[str, float]
    billable_seconds: int | None

    def document(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return asdict(self)


def submit(job: TrainingJob, session: boto3.Session, on_request: OnRequest = no_request) -> str:
    """Start the job through the SageMaker SDK and return its name.

    Parameters
    ----------
    on_request
        Called with every request before anything is sent.

    Raises
    ------
    TrainingError
        The SDK is not installed, or AWS rejects the job.
    """
    requests = plan(job)
    for request in requests:
        on_request(request)
    create = requests[-1].parameters
    if job.kind == "built-in":
        return sdk.start(create, session, job.bucket, PREFIX, job.base_name)
    with tempfile.TemporaryDirectory() as folder:
        source.stage(Path(folder))
        return sdk.start(create, session, job.bucket, PREFIX, job.base_name, Path(folder), ENTRY)


def wait(
    name: str,
    session: boto3.Session,
    on_step: OnStep = no_steps,
    *,
    interval_seconds: float = 15.0,
    patience_seconds: float = PATIENCE_SECONDS,
) -> JobResult:
    """Wait for the end of a job; `on_step` is called with each new phase ("Downloading", "Training", ...).

    Raises
    ------
    TrainingError
        The job failed or was stopped (with the service's reason), or has not ended after `patience_seconds`.
    """
    sagemaker = session.client("sagemaker")
    deadline = time.monotonic() + patience_seconds
    phase = ""
    while True:
        found = _describe(sagemaker, name)
        current = found.get("SecondaryStatus", phase)
        if current != phase:
            phase = current
            on_step(phase)
        status = found["TrainingJobStatus"]
        if status == "Completed":
            return JobResult(
                model_data=found["ModelArtifacts"]["S3ModelArtifacts"],
                metrics={m["MetricName"]: m["Value"] for m in found.get("FinalMetricDataList", ())},
                billable_seconds=found.get("BillableTimeInSeconds"),
            )
        if status in ("Failed", "Stopped"):
            reason = found.get("FailureReason") or found.get("SecondaryStatus", "no reason given")
            raise TrainingError(
                f"training job {name} {status.lower()}: {reason} (logs: /aws/sagemaker/TrainingJobs in CloudWatch)"
            )
        if time.monotonic() > deadline:
            raise TrainingError(
                f"training job {name} is still {status} ({phase or 'no phase yet'}) after {patience_seconds / 60:.0f} minutes. "
                f"It continues: watch it with `aws sagemaker describe-training-job --training-job-name {name}`, or end it "
                f"with `aws sagemaker stop-training-job --training-job-name {name}`"
            )
        time.sleep(interval_seconds)


def _describe(sagemaker: SageMakerClient, name: str) -> DescribeTrainingJobResponseTypeDef:
    try:
        return sagemaker.describe_training_job(TrainingJobName=name)
    except (BotoCoreError, ClientError) as error:
        raise TrainingError(f"training job {name} cannot be described: {error}") from error
