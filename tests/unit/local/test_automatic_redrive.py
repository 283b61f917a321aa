"""Uploads that nobody works on are started again, and only those (moto's S3 and Step Functions)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dropsort.local import automatic_redrive
from dropsort.local.automatic_redrive import AutomaticRedrive

BUCKET = "pictures"
DEFINITION = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Pass", "End": True}}})


class Service:
    """A bucket and a state machine that does nothing."""

    def __init__(self) -> None:
        self.s3: Any = boto3.client("s3", "us-east-1")
        self.states: Any = boto3.client("stepfunctions", "us-east-1")
        self.s3.create_bucket(Bucket=BUCKET)
        role = "arn:aws:iam::123456789012:role/states"
        made = self.states.create_state_machine(name="dropsort", definition=DEFINITION, roleArn=role)
        self.machine = made["stateMachineArn"]
        self.said: list[str] = []
        self.automatic_redrive = AutomaticRedrive(
            self.s3, self.states, BUCKET, self.machine, self.said.append
        )

    def upload(self, *names: str) -> None:
        for name in names:
            self.s3.put_object(Bucket=BUCKET, Key=f"incoming/{name}", Body=b"x")

    def result(self, name: str, **reason: Any) -> None:
        upload = self.s3.head_object(Bucket=BUCKET, Key=f"incoming/{name}")
        document = {
            "outcome": "failed" if reason else "classified",
            "source": {"key": f"incoming/{name}", "etag": upload["ETag"].strip('"')},
            "times": {"recorded": upload["LastModified"].isoformat()},
            "reason": reason,
        }
        folder = document["outcome"]
        self.s3.put_object(Bucket=BUCKET, Key=f"{folder}/{name}.json", Body=json.dumps(document).encode())

    def end_executions(self) -> None:
        """Moto's executions run until somebody stops them."""
        listed = self.states.list_executions(stateMachineArn=self.machine, statusFilter="RUNNING")
        for item in listed["executions"]:
            self.states.stop_execution(executionArn=item["executionArn"])

    def look(self) -> int:
        """Check while no execution runs."""
        self.end_executions()
        return self.automatic_redrive.look()

    def started(self) -> list[str]:
        listed = self.states.list_executions(stateMachineArn=self.machine)["executions"]
        inputs = [
            self.states.describe_execution(executionArn=item["executionArn"])["input"] for item in listed
        ]
        assert all(json.loads(item)["s3_bucket"] == BUCKET for item in inputs)
        return sorted(json.loads(item)["s3_key"] for item in inputs)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Moto's services, in which every upload is old enough."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(automatic_redrive, "MIN_AGE_SECONDS", -10.0)
    with mock_aws():
        yield Service()


def test_after_a_start_everything_without_a_result_is_started(service: Service) -> None:
    # GIVEN uploads with and without results, one of them failed for a reason that may pass
    service.upload("a.png", "b.png", "c d+%2B.png", "e.png")
    service.result("a.png")
    service.result("e.png", code="throttled", retryable=True)
    # WHEN the next life looks
    assert service.automatic_redrive.look(everything=True) == 2
    # THEN those without are started; what failed stays, for somebody to decide
    assert service.started() == ["incoming/b.png", "incoming/c d+%2B.png"]


def test_what_moves_is_left_alone(service: Service) -> None:
    # GIVEN uploads of which one gets its result between two looks
    service.upload("a.png", "b.png", "c.png")
    assert service.automatic_redrive.look() == 0
    service.result("a.png")
    # THEN the others are thought to be on their way
    assert service.automatic_redrive.look() == 0
    assert service.started() == []


def test_what_has_stalled_is_started_a_few_times_only(service: Service) -> None:
    service.upload("a.png")
    assert [service.look() for _ in range(6)] == [0, 1, 1, 1, 0, 0]
    assert len(service.started()) == automatic_redrive.TRIES


def test_what_an_execution_still_works_on_is_not_started_again(service: Service) -> None:
    # GIVEN an endpoint so slow that nothing changes between two checks
    service.upload("a.png")
    document = json.dumps({"s3_bucket": BUCKET, "s3_key": "incoming/a.png"})
    running = service.states.start_execution(stateMachineArn=service.machine, input=document)
    # THEN nothing is started beside the execution that runs
    assert [service.automatic_redrive.look() for _ in range(3)] == [0, 0, 0]
    assert len(service.started()) == 1
    # AND once it has ended without a result the upload is started again
    service.states.stop_execution(executionArn=running["executionArn"])
    assert service.automatic_redrive.look() == 1


def test_doubled_and_outdated_results_are_mended(service: Service) -> None:
    # GIVEN a key whose result is of an older upload, and one with two results
    service.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    service.upload("new.png", "two.png", "well.png")
    for name in ("new.png", "two.png", "well.png"):
        service.result(name)
    service.result("two.png", code="not_an_image", retryable=False)
    stale = service.s3.get_object(Bucket=BUCKET, Key="classified/new.png.json")["Body"].read()
    service.s3.put_object(Bucket=BUCKET, Key="incoming/new.png", Body=b"newer")
    service.s3.put_object(Bucket=BUCKET, Key="classified/new.png.json", Body=stale)
    # THEN both are started again
    assert service.automatic_redrive.look(everything=True) == 2
    assert service.started() == ["incoming/new.png", "incoming/two.png"]


def test_a_result_edited_by_hand_disables_nothing(service: Service) -> None:
    service.upload("a.png", "b.png", "c.png")
    service.result("a.png")
    for name, body in (("b.png", b'{"reason": "because"}'), ("c.png", b"[" * 100_000)):
        service.s3.put_object(Bucket=BUCKET, Key=f"failed/{name}.json", Body=body)
    assert service.automatic_redrive.look(everything=True) == 2
    assert service.started() == ["incoming/b.png", "incoming/c.png"]


def test_retryable_failures_are_started_again_when_nothing_else_is_under_way(service: Service) -> None:
    # GIVEN more failures than are started at a time, of an endpoint that is still down
    names = [f"{number:02}.png" for number in range(40)]
    service.upload(*names)
    for name in names:
        service.result(name, code="throttled", retryable=True)
    # THEN a few others are started each time
    assert service.automatic_redrive.look() == automatic_redrive.FEWEST
    assert service.automatic_redrive.look() == 0, "the executions still run"
    assert service.look() == automatic_redrive.FEWEST
    assert len(set(service.started())) == 2 * automatic_redrive.FEWEST
    # WHEN the endpoint works again, THEN twice as many, until none is left
    for name in (key.removeprefix("incoming/") for key in service.started()):
        service.s3.delete_object(Bucket=BUCKET, Key=f"failed/{name}.json")
        service.result(name)
    assert service.look() == 2 * automatic_redrive.FEWEST


def test_an_upload_that_comes_back_is_tried_anew(service: Service) -> None:
    service.upload("a.png")
    for _ in range(6):
        service.look()
    service.result("a.png")
    service.look()
    service.s3.delete_object(Bucket=BUCKET, Key="classified/a.png.json")
    assert [service.look() for _ in range(3)] == [0, 1, 1]


def test_a_bucket_that_is_gone_is_reported_and_survived(service: Service) -> None:
    service.s3.delete_bucket(Bucket=BUCKET)
    service.automatic_redrive._report = lambda text: (
        service.said.append(text),
        service.automatic_redrive.stop(),
    )  # type: ignore[func-returns-value]
    service.automatic_redrive._run(at_once=True)
    assert "could not be picked up" in service.said[0]
