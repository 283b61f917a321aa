"""Where the suite runs: an embedded AWS, or an account; and what it creates there, all of which it deletes again."""

from __future__ import annotations

import contextlib
import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NoReturn

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

PREFIX = "dropsort-conformance-"
PATIENCE_SECONDS = 120.0
# A function of the suite: the payload says what it does.
FUNCTION = """
import os, time, uuid

PROCESS = uuid.uuid4().hex

class Busy(Exception):
    pass

def handler(event, context):
    attempt = int(event.get("attempt", 0))
    if attempt < int(event.get("busy", 0)):
        raise Busy("at attempt %d" % attempt)
    if event.get("fails"):
        raise ValueError("of this item")
    if event.get("exits"):
        os._exit(3)
    time.sleep(float(event.get("seconds", 0)))
    return {"attempt": attempt, "item": event.get("item"), "process": PROCESS}
"""


class Account:
    """An account in which everything has the same prefix.

    Parameters
    ----------
    client
        Makes a boto3 client by the name of its service.
    embedded
        Whether this is the embedded AWS, whose known differences are not failures.
    """

    def __init__(self, client: Callable[..., Any], embedded: bool) -> None:
        self._make, self.embedded = client, embedded
        self.prefix = PREFIX + uuid.uuid4().hex[:8]
        self._clean = ExitStack()
        self._clients: dict[str, Any] = {}
        self.left: list[str] = []

    def client(self, service: str) -> Any:
        """A client that tries nothing again by itself."""
        if service not in self._clients:
            config = Config(retries={"total_max_attempts": 1})
            self._clients[service] = self._make(service, config=config)
        return self._clients[service]

    def close(self) -> None:
        """Delete everything; what could not be deleted is in ``left``."""
        self._clean.close()

    def cleanup(self, what: str, call: Callable[..., Any], **arguments: Any) -> None:
        """Delete something at the end, by a call."""

        def delete() -> None:
            try:
                call(**arguments)
            except ClientError as error:
                self.left.append(f"{what}: {error}")

        self._clean.callback(delete)

    def bucket(self, name: str, *, versions: bool = True) -> str:
        """A new bucket."""
        s3 = self.client("s3")
        bucket = f"{self.prefix}-{name}"
        region = s3.meta.region_name
        location = (
            {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        )
        s3.create_bucket(Bucket=bucket, **location)
        self.cleanup(f"bucket {bucket}", s3.delete_bucket, Bucket=bucket)
        self._clean.callback(self._empty, bucket)
        if versions:
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return bucket

    def _empty(self, bucket: str) -> None:
        s3 = self.client("s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                s3.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])

    def role(self, name: str, service: str, statements: list[dict[str, Any]]) -> str:
        """A new role that a service may assume; returns its ARN."""
        iam, role = self.client("iam"), f"{self.prefix}-{name}"
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
        }
        made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
        self.cleanup(f"role {role}", iam.delete_role, RoleName=role)
        policy = {"Version": "2012-10-17", "Statement": statements}
        iam.put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=json.dumps(policy))
        self.cleanup(f"policy of {role}", iam.delete_role_policy, RoleName=role, PolicyName="all")
        return str(made["Role"]["Arn"])

    def function(self, name: str, role: str, **settings: Any) -> str:
        """A new function with the suite's code; returns its ARN."""
        functions, function = self.client("lambda"), f"{self.prefix}-{name}"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("main.py", FUNCTION)
        arguments = {
            "FunctionName": function,
            "Runtime": "python3.13",
            "Handler": "main.handler",
            "Role": role,
            "Code": {"ZipFile": archive.getvalue()},
            "Timeout": 5,
            **settings,
        }
        # A new role takes some seconds until Lambda may assume it.
        made = self.eventually(
            lambda: functions.create_function(**arguments), "InvalidParameterValueException"
        )
        self.cleanup(f"function {function}", functions.delete_function, FunctionName=function)
        self.wait(
            lambda: (
                functions.get_function(FunctionName=function)["Configuration"].get("State", "Active")
                == "Active"
            )
        )
        return str(made["FunctionArn"])

    def machine(self, name: str, role: str, definition: dict[str, Any]) -> str:
        """A new state machine, a standard one, whose executions can be described; returns its ARN."""
        states = self.client("stepfunctions")
        arguments = {"name": f"{self.prefix}-{name}", "definition": json.dumps(definition), "roleArn": role}
        made = self.eventually(lambda: states.create_state_machine(**arguments), "AccessDeniedException")
        arn = str(made["stateMachineArn"])
        self.cleanup(f"state machine {name}", states.delete_state_machine, stateMachineArn=arn)
        return arn

    def run(self, machine: str, started_with: Any) -> dict[str, Any]:
        """Run a state machine; return its execution when it has ended."""
        states = self.client("stepfunctions")
        arn = states.start_execution(stateMachineArn=machine, input=json.dumps(started_with))["executionArn"]
        found: dict[str, Any] = {}

        def ended() -> bool:
            found.update(states.describe_execution(executionArn=arn))
            return found["status"] != "RUNNING"

        self.wait(ended)
        return found

    def wait(self, done: Callable[[], bool]) -> None:
        """Wait for something."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            assert time.monotonic() < deadline, "it did not come"
            time.sleep(0.05 if self.embedded else 1)

    def eventually(self, call: Callable[[], Any], code: str) -> Any:
        """The response of a call, once it no longer fails with an error code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return call()
            except ClientError as error:
                if error.response["Error"]["Code"] != code or time.monotonic() > deadline:
                    raise
                time.sleep(2)

    @contextlib.contextmanager
    def differs(self, how: str) -> Iterator[None]:
        """What the embedded AWS is known to do otherwise: there it has to fail, so that a difference that has gone is noticed."""
        if not self.embedded:
            yield
            return
        try:
            yield
        except (AssertionError, ClientError):
            pytest.xfail(how)
        self._same(how)

    @staticmethod
    def _same(how: str) -> NoReturn:
        pytest.fail(f"The embedded AWS is now like AWS: {how}", pytrace=False)


def code_of(call: Callable[..., Any], **arguments: Any) -> str:
    """The error code of a call; "" if it succeeds."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""
