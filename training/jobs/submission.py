"""Sends a training job through the SageMaker SDK and waits for its end.

The SDK is imported only on submission: it takes a gigabyte on disk (the extra `sagemaker`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.aws.requests import AwsRequest, OnRequest, run, send
from training.errors import TrainingError
from training.jobs import sdk, source
from training.jobs.plan import ENTRY, PREFIX, TrainingJob, plan


def submit(
    job: TrainingJob, session: Any = None, *, dry_run: bool = False, on_request: OnRequest | None = None
) -> str | None:
    """Start the job through the SageMaker SDK and return its name; a dry run passes the requests to `on_request` and sends none.

    Parameters
    ----------
    session
        A boto3 session; a dry run needs none.
    on_request
        Is called with every request before anything is sent.

    Raises
    ------
    TrainingError
        The SDK is not installed, or AWS rejects the job.
    """
    requests = plan(job)
    if dry_run:
        run(requests, None, dry_run=True, on_request=on_request)
        return None
    for request in requests:
        if on_request:
            on_request(request)
    create = requests[-1].parameters
    if job.kind == "built-in":
        return sdk.start(create, session, job.bucket, PREFIX, job.base_name)
    with tempfile.TemporaryDirectory() as folder:
        source.stage(Path(folder))
        return sdk.start(create, session, job.bucket, PREFIX, job.base_name, Path(folder), ENTRY)


def wait(
    name: str, session: Any, progress: Callable[[str], None] | None = None, *, interval: float = 15.0
) -> dict[str, Any]:
    """Wait for the end of a job; `progress` is called with each new phase ("Downloading", "Training", ...).

    Returns
    -------
    dict
        `model_data` (S3 address of model.tar.gz), `metrics` (the last value of each), `billable_seconds`.

    Raises
    ------
    TrainingError
        The job failed or was stopped; the service's reason is in the message.
    """
    phase = ""
    while True:
        found = send(AwsRequest("sagemaker", "DescribeTrainingJob", {"TrainingJobName": name}), session)
        if progress and found.get("SecondaryStatus", phase) != phase:
            phase = found["SecondaryStatus"]
            progress(phase)
        status = found["TrainingJobStatus"]
        if status == "Completed":
            return {
                "model_data": found["ModelArtifacts"]["S3ModelArtifacts"],
                "metrics": {m["MetricName"]: m["Value"] for m in found.get("FinalMetricDataList", ())},
                "billable_seconds": found.get("BillableTimeInSeconds"),
            }
        if status in ("Failed", "Stopped"):
            reason = found.get("FailureReason") or found.get("SecondaryStatus", "no reason given")
            raise TrainingError(
                f"training job {name} {status.lower()}: {reason} (logs: /aws/sagemaker/TrainingJobs in CloudWatch)"
            )
        time.sleep(interval)
