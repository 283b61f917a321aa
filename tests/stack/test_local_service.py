"""The embedded service as its users meet it: plain clients, captures, metrics, roles."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from dropsort.local.endpoint_config import TYPE
from dropsort.local.service import TEMPLATE, LocalService
from tests.stack.helpers import PATIENCE_SECONDS, sample_image
from tests.stack.upload_folder import UploadFolder

pytestmark = pytest.mark.stack


def captured(s3: Any, bucket: str) -> list[dict[str, Any]]:
    """All capture records of the bucket."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="captures/")
    names = [item["Key"] for page in pages for item in page.get("Contents", [])]
    lines = [line for name in names for line in s3.get_object(Bucket=bucket, Key=name)["Body"].iter_lines()]
    return [json.loads(line) for line in lines]


def test_an_upload_is_captured_under_the_inference_id_of_its_result(
    service: LocalService, s3: Any, wait_for_result: Callable[[str], str]
) -> None:
    # GIVEN a small image, which is sent byte for byte
    content, key = sample_image(1), "incoming/local/captured.png"
    # WHEN it is uploaded, and what the endpoint saw is written
    s3.put_object(Bucket=service.bucket, Key=key, Body=content)
    result = json.loads(s3.get_object(Bucket=service.bucket, Key=wait_for_result(key))["Body"].read())
    service.flush()
    # THEN there is one record of it, with the image and what the result was made of
    records = [
        item
        for item in captured(s3, service.bucket)
        if item["eventMetadata"].get("inferenceId") == result["inference_id"]
    ]
    assert len(records) == 1
    sides = records[0]["captureData"]
    assert sides["endpointInput"]["encoding"] == "BASE64"
    assert base64.b64decode(sides["endpointInput"]["data"]) == content
    assert sides["endpointOutput"]["encoding"] == "JSON"
    answer = json.loads(sides["endpointOutput"]["data"])
    by_label = dict(zip(answer["labels"], answer["probabilities"], strict=True))
    assert by_label == pytest.approx(result["probabilities"])


def test_metrics_of_an_upload_reach_cloudwatch_once(service: LocalService) -> None:
    # GIVEN what CloudWatch has counted so far, of executions that have all ended
    uploads = UploadFolder(service, "local/counted")
    uploads.settled({})

    def results() -> float:
        service.flush()
        now = datetime.now(UTC)
        cloudwatch = service.session().client("cloudwatch")
        points = [
            point
            for metric in ("Classified", "LowConfidence", "Failed")
            for point in cloudwatch.get_metric_statistics(
                Namespace="Dropsort",
                MetricName=metric,
                Dimensions=[{"Name": "Stack", "Value": service.stack}],
                StartTime=now - timedelta(hours=3),
                EndTime=now + timedelta(hours=1),
                Period=86400,
                Statistics=["Sum"],
            )["Datapoints"]
        ]
        return float(sum(point["Sum"] for point in points))

    before = results()
    # WHEN three images are classified
    uploads.settled(uploads.upload({f"{number}.png": sample_image(number) for number in range(3)}))
    # THEN three more are counted, and a second check does not count them again
    deadline = time.monotonic() + PATIENCE_SECONDS
    while results() < before + 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert results() == results() == before + 3


def test_the_plain_aws_client_drops_and_reads(
    service: LocalService, tmp_path: Path, wait_for_result: Callable[[str], str]
) -> None:
    # GIVEN the real client with nothing but the address and the key, as `dropsort up` prints them
    (tmp_path / "a b.png").write_bytes(sample_image(2))
    aws = [sys.executable, "-m", "awscli", "--endpoint-url", service.endpoint_url]
    ours = {key: value for key, value in service.environment.items() if not key.startswith("AWS_ENDPOINT")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **ours}
    # WHEN it copies a folder
    subprocess.run(
        [*aws, "s3", "cp", "--recursive", str(tmp_path), f"s3://{service.bucket}/incoming/plain-client"],
        env=environment,
        check=True,
        capture_output=True,
    )
    key = wait_for_result("incoming/plain-client/a b.png")
    # THEN it can list the result
    listing = subprocess.run(
        [*aws, "s3", "ls", f"s3://{service.bucket}/{key}"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert listing.stdout.strip().endswith("a b.png.json")


def test_the_environment_suffices_for_every_client(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN only the variables that the service names
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    # WHEN plain clients are made
    plain = boto3.Session()
    account = plain.client("sts").get_caller_identity()["Account"]
    answer = plain.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=service.outputs["EndpointName"], Body=sample_image(3), ContentType="application/x-image"
    )
    # THEN they reach the embedded AWS and the embedded endpoint
    assert account == "000000000000"
    assert answer["InvokedProductionVariant"] == "main"
    assert len(json.loads(answer["Body"].read())) == 2


def test_a_functions_role_may_do_its_own_work_only(service: LocalService) -> None:
    # GIVEN credentials of the role of the first function
    session = service.session()
    functions = session.client("lambda")
    role = functions.get_function_configuration(FunctionName=service.outputs["SerializeFunction"])["Role"]
    found = session.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    s3 = boto3.client(
        "s3",
        endpoint_url=service.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
        config=Config(s3={"addressing_style": "path"}),
    )
    # WHEN it writes a result, which is another function's work, THEN it is rejected
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=service.bucket, Key="classified/forged.json", Body=b"{}")


def test_the_template_is_deployed_unchanged(service: LocalService) -> None:
    # GIVEN what CloudFormation was given
    body = service.session().client("cloudformation").get_template(StackName=service.stack)["TemplateBody"]
    # THEN it is the file, SageMaker's resources included
    assert body == TEMPLATE.read_text(encoding="utf-8")
    assert TYPE in body
