"""What the tests of the backlog run in: a bucket, a state machine that does nothing, and the functions of the workflow in this process."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
from PIL import Image

from handlers import classify, serialize
from handlers.backlog import BacklogInvocation, BacklogSettings
from handlers.backlog_state import BacklogState
from tests.unit.handlers.conftest import BUCKET

DEFINITION = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Pass", "End": True}}})


CONTEXT = SimpleNamespace(
    function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="1"
)


def image(seed: int) -> bytes:
    content = io.BytesIO()
    Image.effect_noise((16, 16), 20 + seed).save(content, "PNG")
    return content.getvalue()


class Functions:
    """Lambda, which runs the workflow's functions in this process."""

    def __init__(self) -> None:
        self.invoked: list[str] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        self.invoked.append(FunctionName)
        handler = {"serialize": serialize.handler, "classify": classify.handler}[FunctionName]
        try:
            found: Any = handler(json.loads(Payload), CONTEXT)
            return {"Payload": io.BytesIO(json.dumps(found).encode())}
        except Exception as error:
            body = json.dumps({"errorType": type(error).__name__}).encode()
            return {"Payload": io.BytesIO(body), "FunctionError": "Unhandled"}


class BacklogSetup:
    """A bucket, a state machine that does nothing, and the functions in front of an endpoint."""

    def __init__(self) -> None:
        self.s3: Any = boto3.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        self.states: Any = boto3.client("stepfunctions")
        role = "arn:aws:iam::123456789012:role/states"
        made = self.states.create_state_machine(name="backlog", definition=DEFINITION, roleArn=role)
        self.machine = made["stateMachineArn"]
        self.functions = Functions()
        self.now = datetime.now(UTC)

    def upload(self, name: str) -> dict[str, Any]:
        put = self.s3.put_object(Bucket=BUCKET, Key=f"incoming/{name}", Body=image(len(name)))
        return {"key": f"incoming/{name}", "etag": put["ETag"].strip('"'), "version_id": put["VersionId"]}

    def result(
        self,
        source: dict[str, Any],
        retryable: bool | None = None,
        age: float = 0.0,
        code: str = "service_error",
    ) -> None:
        """Write a result; `age` in seconds from the upload to the recording."""
        now = datetime.now(UTC)
        outcome = "classified" if retryable is None else "failed"
        reason = None if retryable is None else {"code": code, "message": "m", "retryable": retryable}
        times = {"uploaded": (now - timedelta(seconds=age)).isoformat(), "recorded": now.isoformat()}
        document = {"outcome": outcome, "source": source, "reason": reason, "times": times}
        key = f"{outcome}/{source['key'].removeprefix('incoming/')}.json"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(document).encode())

    def tick(self, later: float = 5.0, seconds: float = 60.0) -> tuple[BacklogInvocation, BacklogState]:
        """Run the function once, so many seconds from now, with so many to run."""
        made = BacklogSettings(BUCKET, self.machine, 7, "serialize", "classify")
        tick = BacklogInvocation(
            made,
            self.s3,
            self.states,
            self.functions,
            self.now + timedelta(seconds=later),
            timedelta(minutes=10),
            timedelta(hours=1),
            time.monotonic() + seconds,
        )
        return tick, tick.run()

    def started(self) -> list[list[str]]:
        """Names of the uploads of each run, the newest first; checks what the runs are started with."""
        runs = []
        for item in self.states.list_executions(stateMachineArn=self.machine)["executions"]:
            document = json.loads(self.states.describe_execution(executionArn=item["executionArn"])["input"])
            assert (document["bucket"], document["max_concurrency"]) == (BUCKET, 7)
            body = self.s3.get_object(Bucket=BUCKET, Key=document["uploads"])["Body"].read().decode()
            uploads = [json.loads(line) for line in body.splitlines()]
            assert {upload["s3_bucket"] for upload in uploads} == {BUCKET}
            runs.append([upload["s3_key"].removeprefix("incoming/") for upload in uploads])
        return runs

    def end_runs(self) -> None:
        """Moto's executions run until somebody stops them."""
        for item in self.states.list_executions(stateMachineArn=self.machine)["executions"]:
            self.states.stop_execution(executionArn=item["executionArn"])
