"""Faults half-way: a function killed, the endpoint failing for a while or for good, roles that forbid."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks import processes
from dropsort.contract import keys
from dropsort.local.service import LocalService
from tests.stack.upload_folder import UploadFolder, drawn

pytestmark = pytest.mark.stack


def test_a_function_killed_in_flight_loses_nothing(service: LocalService, tmp_path: Path) -> None:
    # GIVEN functions that run, and images on their way through them
    uploads = UploadFolder(service, "killed")
    content = drawn(tmp_path, 1)[0]
    uploads.settled(uploads.upload({"first.png": content}))
    etags = uploads.upload({f"{number}.png": content + bytes([number]) for number in range(12)})
    # WHEN every process of theirs is killed
    workers = [process.pid for process in processes.descendants() if "ministack-lambda-" in process.command]
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # THEN every image has one result, nearly always its prediction
    assert workers
    results = uploads.settled(etags)
    # AND what this emulator, which ends all workers of a function when one cannot start, hit more often than is retried, is retryable
    for result in results.values():
        assert result["outcome"] == keys.CLASSIFIED or result["reason"]["retryable"], result["reason"]
    results = uploads.final(etags, passing=("throttled", "timeout", "service_error"))
    assert {result["outcome"] for result in results.values()} == {keys.CLASSIFIED}


# What each function's role may not do: read elsewhere, write elsewhere, another function's work.
ROLES = {
    "SerializeFunction": [
        ("get_object", "failed/a.json"),
        ("put_object", "classified/a.json"),
        ("get_object", "captures/a"),
        ("put_object", "incoming/x.png"),
        ("delete_object", "incoming/x.png"),
    ],
    "ClassifyFunction": [
        ("get_object", "incoming/x.png"),
        ("put_object", "classified/x.json"),
        ("list_objects_v2", ""),
    ],
    "FilterFunction": [
        ("get_object", "incoming/x.png"),
        ("put_object", "incoming/x.png"),
        ("put_object", "captures/x"),
        ("delete_object", "incoming/x.png"),
    ],
}


@pytest.mark.parametrize("function", ROLES)
def test_a_functions_role_may_do_nothing_elsewhere(service: LocalService, function: str) -> None:
    # GIVEN credentials of a function's role
    session = service.session()
    settings = session.client("lambda").get_function_configuration(FunctionName=service.outputs[function])
    found = session.client("sts").assume_role(RoleArn=settings["Role"], RoleSessionName="test")["Credentials"]
    s3 = boto3.client(
        "s3",
        endpoint_url=service.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    # WHEN it is used for what is not the function's work THEN each call is rejected
    for call, key in ROLES[function]:
        arguments = {
            "Bucket": service.bucket,
            **({"Key": key} if key else {}),
            **({"Body": b"x"} if call == "put_object" else {}),
        }
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(s3, call)(**arguments)


def test_a_function_cannot_be_made_to_read_elsewhere(service: LocalService) -> None:
    # GIVEN a result, which is not an upload
    uploads = UploadFolder(service, "elsewhere")
    # WHEN the first function is called with its key THEN it rejects the key, before any role has to
    answer = (
        service.session()
        .client("lambda")
        .invoke(
            FunctionName=service.outputs["SerializeFunction"],
            Payload=json.dumps({"s3_bucket": uploads.bucket, "s3_key": "classified/a.png.json"}),
        )
    )
    assert "names no upload" in json.loads(answer["Payload"].read())["errorMessage"]
