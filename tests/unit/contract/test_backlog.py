"""Runs of the backlog: one at a time, whoever starts them (moto's services)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dropsort.contract import backlog
from dropsort.contract.backlog import InProgress, UploadList

BUCKET = "images"
DEFINITION = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Pass", "End": True}}})


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any, str]]:
    """S3, Step Functions and a state machine."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        s3, states = boto3.client("s3", "us-east-1"), boto3.client("stepfunctions", "us-east-1")
        s3.create_bucket(Bucket=BUCKET)
        role = "arn:aws:iam::123456789012:role/states"
        made = states.create_state_machine(name="backlog", definition=DEFINITION, roleArn=role)
        yield s3, states, made["stateMachineArn"]


def start(s3: Any, states: Any, machine: str, *keys: str) -> backlog.BacklogRun:
    with UploadList() as uploads:
        uploads.extend(BUCKET, keys or ("incoming/a.png",))
        return backlog.start(s3, states, BUCKET, machine, uploads, concurrency=3)


def test_one_run_at_a_time(aws: tuple[Any, Any, str]) -> None:
    s3, states, machine = aws
    run = start(s3, states, machine, "incoming/a b.png", "incoming/é\n.png")
    # GIVEN a run with every upload in its list, whatever its key
    document = json.loads(states.describe_execution(executionArn=run.execution)["input"])
    lines = s3.get_object(Bucket=BUCKET, Key=document["uploads"])["Body"].read().splitlines()
    assert [json.loads(line)["s3_key"] for line in lines] == ["incoming/a b.png", "incoming/é\n.png"]
    assert document["max_concurrency"] == 3
    assert backlog.current(s3, states, BUCKET) == run
    # THEN there is no second one before it has ended
    with pytest.raises(InProgress, match="2 uploads is in progress since"):
        start(s3, states, machine)
    states.stop_execution(executionArn=run.execution)
    assert backlog.current(s3, states, BUCKET) is None
    assert start(s3, states, machine).id != run.id


def test_of_two_that_start_at_the_same_time_one_fails(aws: tuple[Any, Any, str]) -> None:
    s3, states, machine = aws

    class Slow:
        """S3 for one that is overtaken after it has found no run in progress."""

        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def put_object(self, **request: Any) -> Any:
            if request["Key"] == backlog.CURRENT:
                start(s3, states, machine)
            return s3.put_object(**request)

    with pytest.raises(InProgress, match="at the same time"):
        start(Slow(), states, machine)
    assert len(states.list_executions(stateMachineArn=machine)["executions"]) == 1


def test_a_run_that_was_announced_but_not_started_blocks_the_next_for_a_minute(
    aws: tuple[Any, Any, str],
) -> None:
    s3, states, machine = aws

    class Dying:
        """Step Functions for one that dies before it starts its run."""

        def __getattr__(self, name: str) -> Any:
            return getattr(states, name)

        def start_execution(self, **_: Any) -> Any:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        start(s3, Dying(), machine)
    with pytest.raises(InProgress):
        start(s3, states, machine)
    document = json.loads(s3.get_object(Bucket=BUCKET, Key=backlog.CURRENT)["Body"].read())
    document["started"] = (datetime.now(UTC) - timedelta(minutes=2)).isoformat()
    s3.put_object(Bucket=BUCKET, Key=backlog.CURRENT, Body=json.dumps(document).encode())
    assert start(s3, states, machine)


def test_what_a_run_gets_and_where_it_is_announced(aws: tuple[Any, Any, str]) -> None:
    s3, states, machine = aws
    before = datetime.now(UTC).replace(microsecond=0)
    with UploadList() as uploads:
        uploads.extend(BUCKET, ["incoming/a.png", "incoming/b.png"])
        uploads.add("others", "incoming/c.png")
        run = backlog.start(s3, states, BUCKET, machine, uploads)
    # By default as many at the same time as the template says.
    assert json.loads(states.describe_execution(executionArn=run.execution)["input"]) == {
        "bucket": BUCKET, "uploads": f"backlog/{run.id}/uploads.jsonl", "results": f"backlog/{run.id}", "max_concurrency": 40
    }  # fmt: skip
    listed = s3.get_object(Bucket=BUCKET, Key=f"backlog/{run.id}/uploads.jsonl")
    assert listed["ContentType"] == "application/jsonl"
    assert listed["Body"].read() == (
        b'{"s3_bucket": "images", "s3_key": "incoming/a.png"}\n{"s3_bucket": "images", "s3_key": "incoming/b.png"}\n'
        b'{"s3_bucket": "others", "s3_key": "incoming/c.png"}\n'
    )
    named = json.loads(s3.get_object(Bucket=BUCKET, Key="backlog/current.json")["Body"].read())
    assert named == {"id": run.id, "execution": run.execution, "started": run.started, "uploads": 3}
    assert before <= datetime.fromisoformat(run.started) <= datetime.now(UTC)
    moment, _, rest = run.id.rpartition("-")
    assert abs(datetime.strptime(moment, "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC) - before) < timedelta(
        minutes=5
    )
    assert len(rest) == 8
    assert run.execution == f"{machine.replace('stateMachine', 'execution')}:{run.id}"


@pytest.mark.parametrize("started", [-59, -60, -61])
def test_after_a_minute_a_run_that_never_started_counts_as_ended(
    aws: tuple[Any, Any, str], started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, states, machine = aws

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 1, 1, tzinfo=tz)

    monkeypatch.setattr(backlog, "datetime", Clock)
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=started)
    run = backlog.BacklogRun("x", f"{machine.replace('stateMachine', 'execution')}:x", at.isoformat(), 1)
    assert backlog.running(states, run) is (started > -60)


def test_a_damaged_announcement_is_none_and_another_error_is_raised(aws: tuple[Any, Any, str]) -> None:
    s3, states, machine = aws
    for body in (
        b"{",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"id": "a", "execution": "e", "started": "soon", "uploads": 1}',
    ):
        s3.put_object(Bucket=BUCKET, Key=backlog.CURRENT, Body=body)
        assert backlog.current(s3, states, BUCKET) is None
    with pytest.raises(Exception, match="InvalidArn"):
        backlog.running(states, backlog.BacklogRun("x", "no ARN", "2026-01-01T00:00:00+00:00", 1))
    # GIVEN one that replaces a damaged announcement
    assert backlog.current(s3, states, BUCKET) is None
    run = start(s3, states, machine)
    assert backlog.current(s3, states, BUCKET) == run
