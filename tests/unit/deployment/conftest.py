"""S3 in moto, and a CloudFormation that expects its requests one after another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

ARN = "arn:aws:cloudformation:eu-west-1:123456789012:stack/bikes/1"


@pytest.fixture(scope="session")
def cloudformation_client() -> Any:
    return boto3.Session("key", "secret", region_name="eu-west-1").client("cloudformation")


class Aws:
    """Makes clients as a session does; what CloudFormation is to be requested is added in its order."""

    def __init__(self, cloudformation: Any) -> None:
        self.session = boto3.Session("key", "secret", region_name="eu-west-1")
        self.s3, self.stub = self.session.client("s3"), Stubber(cloudformation)
        self._cloudformation = cloudformation

    def __call__(self, service: str) -> Any:
        if service == "cloudformation":
            return self._cloudformation
        return self.s3 if service == "s3" else self.session.client(service)  # type: ignore[call-overload]

    def expect(self, operation: str, response: dict[str, Any], **parameters: Any) -> None:
        """The next request, and what it returns."""
        self.stub.add_response(operation, response, parameters)

    def stack(self, name: str, status: str = "", **members: Any) -> None:
        """The stack is requested by its name or ARN, and has this status; it is not there without one."""
        if not status:
            message = f"Stack with id {name} does not exist"
            self.stub.add_client_error("describe_stacks", "ValidationError", message)
            return
        time = datetime(2026, 11, 26, tzinfo=UTC)
        found = {"StackId": ARN, "StackName": "bikes", "CreationTime": time, "StackStatus": status, **members}
        self.expect("describe_stacks", {"Stacks": [found]}, StackName=name)

    def events(self, *events: tuple[str, str, str]) -> None:
        """The events of the stack are requested; each is id, status and reason, the newest first."""
        time = datetime(2026, 11, 26, tzinfo=UTC)
        found = [
            {"StackId": ARN, "EventId": id, "StackName": "bikes", "Timestamp": time, "LogicalResourceId": "Queue",
             "ResourceType": "AWS::SQS::Queue", "ResourceStatus": status, "ResourceStatusReason": reason}
            for id, status, reason in events
        ]  # fmt: skip
        self.expect("describe_stack_events", {"StackEvents": found}, StackName=ARN)


@pytest.fixture
def aws(cloudformation_client: Any) -> Iterator[Aws]:
    with mock_aws():
        made = Aws(cloudformation_client)
        with made.stub:
            yield made
        made.stub.assert_no_pending_responses()
