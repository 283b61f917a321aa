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
from tests.stack.sorting import PATIENCE_SECONDS, Sorting, drawn

pytestmark = pytest.mark.stack


def failures(sorting: Sorting, names: list[str], content: bytes) -> dict[str, str]:
    """Uploads whose results are replaced by failures that may pass."""
    etags = sorting.upload(dict.fromkeys(names, content))
    for name, result in sorting.settled(etags).items():
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
        key = f"{sorting.folder}/{name}.json"
        sorting.s3.put_object(Bucket=sorting.bucket, Key=f"failed/{key}", Body=json.dumps(document).encode())
        sorting.s3.delete_object(Bucket=sorting.bucket, Key=f"{result['outcome']}/{key}")
    return etags


def test_failures_that_may_pass_get_their_results_by_themselves(
    service: LocalService, tmp_path: Path
) -> None:
    # GIVEN failures that may pass
    sorting = Sorting(service, "backlog")
    names = [f"{number} é+.png" for number in range(12)]
    etags = failures(sorting, names, drawn(tmp_path, 1)[0])
    # WHEN nobody does anything, but for the function's schedule, which is not waited for here
    functions: Any = service.session().client("lambda")
    deadline = time.monotonic() + PATIENCE_SECONDS
    outcomes: set[str] = set()
    while outcomes != {keys.CLASSIFIED} and time.monotonic() < deadline:
        event = json.dumps({"interval_seconds": 3600}).encode()
        answer = functions.invoke(FunctionName=service.outputs["BacklogFunction"], Payload=event)
        assert "FunctionError" not in answer, answer["Payload"].read()
        time.sleep(1)
        outcomes = {result["outcome"] for result in sorting.settled(etags).values()}
    # THEN each has one result
    assert outcomes == {keys.CLASSIFIED}
    assert redrive.find(sorting.s3, sorting.bucket, prefix="backlog/") == []
    # AND the run that Step Functions reports is bounded as its input says
    (run, *_) = sorting.states.list_executions(stateMachineArn=service.outputs["BacklogStateMachineArn"])[
        "executions"
    ]
    (found,) = sorting.states.list_map_runs(executionArn=run["executionArn"])["mapRuns"]
    described = sorting.states.describe_map_run(mapRunArn=found["mapRunArn"])
    assert described["maxConcurrency"] == redrive.concurrency(deployed_service.find(service.session().client))
