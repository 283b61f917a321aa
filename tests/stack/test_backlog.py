"""The backlog in the embedded AWS: what failed while the endpoint was away has its result without a person once it is back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dropsort.client import deployed_service, redrive
from dropsort.contract import keys
from dropsort.local.service import LocalService
from tests.stack.upload_folder import PATIENCE_SECONDS, UploadFolder, drawn

pytestmark = pytest.mark.stack


def failures(uploads: UploadFolder, names: list[str], content: bytes) -> dict[str, str]:
    """Uploads whose results are replaced by failures that may pass."""
    etags = uploads.upload(dict.fromkeys(names, content))
    for name, result in uploads.settled(etags).items():
        members = (
            "label",
            "confidence",
            "probabilities",
            "familiarity",
            "threshold",
            "familiarity_threshold",
        )
        document = result | {"outcome": "failed"} | dict.fromkeys(members)
        document["reason"] = {"code": "throttled", "message": "m", "retryable": True}
        key = f"{uploads.folder}/{name}.json"
        uploads.s3.put_object(Bucket=uploads.bucket, Key=f"failed/{key}", Body=json.dumps(document).encode())
        uploads.s3.delete_object(Bucket=uploads.bucket, Key=f"{result['outcome']}/{key}")
    return etags


def test_failures_that_may_pass_get_their_results_by_themselves(
    service: LocalService, tmp_path: Path
) -> None:
    # GIVEN failures that may pass
    uploads = UploadFolder(service, "backlog")
    names = [f"{number} é+.png" for number in range(12)]
    etags = failures(uploads, names, drawn(tmp_path, 1)[0])
    # WHEN nobody does anything, but for the function's schedule, which is not waited for here
    functions: Any = service.session().client("lambda")
    deadline = time.monotonic() + PATIENCE_SECONDS
    outcomes: set[str] = set()
    while outcomes != {keys.CLASSIFIED} and time.monotonic() < deadline:
        event = json.dumps({"interval_seconds": 3600}).encode()
        answer = functions.invoke(FunctionName=service.outputs["BacklogFunction"], Payload=event)
        assert "FunctionError" not in answer, answer["Payload"].read()
        time.sleep(1)
        outcomes = {result["outcome"] for result in uploads.settled(etags).values()}
    # THEN each has one result
    assert outcomes == {keys.CLASSIFIED}
    assert redrive.find(uploads.s3, uploads.bucket, prefix="backlog/") == []
    # AND the run that Step Functions reports is bounded as its input says
    (run, *_) = uploads.states.list_executions(stateMachineArn=service.outputs["BacklogStateMachineArn"])[
        "executions"
    ]
    (found,) = uploads.states.list_map_runs(executionArn=run["executionArn"])["mapRuns"]
    described = uploads.states.describe_map_run(mapRunArn=found["mapRunArn"])
    assert described["maxConcurrency"] == redrive.concurrency(deployed_service.find(service.session().client))
