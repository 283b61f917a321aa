"""The bucket and results of the client's tests, for commands that run against them, and reviews."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from dropsort.contract import reviews
from tests.unit.client.conftest import BUCKET, aws, s3, service, settled_soon, write_result

__all__ = ["aws", "record", "s3", "service", "settled_soon", "write_result"]

TEMPLATE = {
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    "Outputs": {
        "BucketName": {"Value": BUCKET},
        "StateMachineArn": {"Value": "arn:aws:states:us-east-1:123456789012:stateMachine:sort"},
        "EndpointName": {"Value": "dropsort"},
    },
}


@pytest.fixture
def deployed(s3: Any) -> None:
    """The service's stack, of which commands read the outputs."""
    boto3.client("cloudformation").create_stack(StackName="dropsort", TemplateBody=json.dumps(TEMPLATE))


@pytest.fixture
def record(s3: Any, deployed: None, write_result: Callable[..., str]) -> Callable[..., None]:
    """Records a result, and reviews it: `record(number, outcome, action, label)`."""

    def record(
        number: int,
        outcome: str = "classified",
        action: str = "",
        label: str | None = None,
        *,
        body: bytes = b"",
        by: str = "ann",
    ) -> None:
        key = f"incoming/{number:03}.jpg"
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        location = write_result(key, outcome, inference_id=f"{number:064x}", review=None)
        if not action:
            return
        prediction = json.loads(s3.get_object(Bucket=BUCKET, Key=location)["Body"].read())
        found = reviews.append_decision(
            reviews.begin(prediction, {}),
            id="1",
            by=by,
            at="2026-11-26T10:00:00+00:00",
            action=action,  # type: ignore[arg-type]
            label=label,
        )
        s3.put_object(
            Bucket=BUCKET, Key=reviews.key(f"{number:03}.jpg"), Body=json.dumps(reviews.encode(found))
        )
        s3.delete_object(Bucket=BUCKET, Key=location)
        became = reviews.result_of(found)
        where = f"{became['outcome']}/{number:03}.jpg.json"
        s3.put_object(Bucket=BUCKET, Key=where, Body=json.dumps(became))

    return record
