"""The two sides that ``benchmarks.pipeline`` compares, on one embedded AWS: Dropsort, and a plain three-function workflow.

The baseline's Retry also names ``Lambda.Unknown``, which is what this emulator calls a throttled invocation: as published it would lose
executions here that it would not lose on AWS.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import boto3

from dropsort.contract.keys import INCOMING
from dropsort.deployment.package import CACHE, SERVICE, Packages
from dropsort.local import shared_layer
from dropsort.local.service import LocalService

BASELINE = Path(__file__).with_name("baseline")


class Arm(Protocol):
    """One side: how an image is submitted, and which workflow runs it."""

    name: str
    machine: str
    bucket: str
    functions: tuple[str, ...]

    def submit(self, name: str, image: bytes) -> None:
        """Submit one image under a name of its own; returns when it is accepted."""

    def key_of(self, started_with: Mapping[str, Any]) -> str:
        """The name of the image that an execution with this input is about."""


@dataclass
class Ours:
    """Dropsort: an upload, nothing else."""

    service: LocalService
    name: str = "dropsort"

    def __post_init__(self) -> None:
        self._s3 = self.service.session().client("s3")
        self.bucket = self.service.bucket
        self.machine = self.service.outputs["StateMachineArn"]
        self.functions = tuple(
            self.service.outputs[name] for name in ("SerializeFunction", "ClassifyFunction", "FilterFunction")
        )

    def submit(self, name: str, image: bytes) -> None:
        """Upload."""
        self._s3.put_object(Bucket=self.bucket, Key=f"{INCOMING}{name}", Body=image)

    def key_of(self, started_with: Mapping[str, Any]) -> str:
        """From the event."""
        key: str = started_with["detail"]["object"]["key"]
        return key.removeprefix(INCOMING)


class Baseline:
    """The baseline: an upload, and an execution started manually.

    Parameters
    ----------
    adapted
        Spare it two things that the embedded AWS does and AWS does not: every function prints a line, since it waits 50 ms for one
        after an invocation that prints none, and no image is below the threshold, since it ends a process that raised.
    """

    def __init__(self, service: LocalService, *, adapted: bool = False) -> None:
        session = service.session()
        self.name = "adapted baseline" if adapted else "baseline"
        stem = self.name.replace(" ", "-")
        self.bucket = f"bench-{stem}"
        self._s3, self._states = session.client("s3"), session.client("stepfunctions")
        self._s3.create_bucket(Bucket=self.bucket)
        role = _role(session.client("iam"), stem)
        client = session.client("lambda")
        layer = client.publish_layer_version(LayerName=stem, Content={"ZipFile": _libraries_layer()})[
            "LayerVersionArn"
        ]
        environment = {
            "ENDPOINT": service.outputs["EndpointName"],
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": service.runtime_url,
            **({"PRINTS": "1", "THRESHOLD": "0"} if adapted else {}),
        }
        functions = {
            part: _function(client, f"{stem}-{part}", part, role, layer, environment)
            for part in ("serialize", "classify", "filter")
        }
        self.functions = tuple(f"{stem}-{part}" for part in functions)
        self.machine = self._states.create_state_machine(
            name=stem, definition=json.dumps(_definition(functions)), roleArn=role, type="STANDARD"
        )["stateMachineArn"]

    def submit(self, name: str, image: bytes) -> None:
        """Upload, then start."""
        self._s3.put_object(Bucket=self.bucket, Key=name, Body=image)
        started_with = {"image_data": "", "s3_bucket": self.bucket, "s3_key": name, "inferences": []}
        self._states.start_execution(stateMachineArn=self.machine, input=json.dumps(started_with))

    def key_of(self, started_with: Mapping[str, Any]) -> str:
        """From the hand-written input."""
        key: str = started_with["s3_key"]
        return key


def _libraries_layer() -> bytes:
    """A layer that points at boto3 unpacked and compiled, as the service's own layer does here: none starts slower than the other."""
    folder = CACHE
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"boto3-whole-{boto3.__version__}.zip"
    if not archive.exists():
        archive.write_bytes(boto3_whole())
    shared = shared_layer.share(Packages({SERVICE.libraries_parameter: archive}), folder / "shared")
    return shared.archives[SERVICE.libraries_parameter].read_bytes()


def make_cold(service: LocalService, arm: Arm) -> None:
    """End the workers of an arm's functions: any update of their settings does."""
    client = service.session().client("lambda")
    for name in arm.functions:
        timeout = client.get_function_configuration(FunctionName=name)["Timeout"]
        client.update_function_configuration(FunctionName=name, Timeout=timeout)


def _role(iam: Any, stem: str) -> str:
    trust = {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]}
    allow = {"Effect": "Allow", "Action": ["s3:*", "sagemaker:*", "logs:*", "lambda:*"], "Resource": "*"}
    arn: str = iam.create_role(
        RoleName=stem,
        AssumeRolePolicyDocument=json.dumps(
            _policy({"Effect": "Allow", "Principal": trust, "Action": "sts:AssumeRole"})
        ),
    )["Role"]["Arn"]
    iam.put_role_policy(RoleName=stem, PolicyName="all", PolicyDocument=json.dumps(_policy(allow)))
    return arn


def _policy(statement: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [statement]}


def _function(client: Any, name: str, part: str, role: str, layer: str, environment: dict[str, str]) -> str:
    arn: str = client.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler=f"{part}.handler",
        Role=role,
        Code={"ZipFile": _zip([(BASELINE / f"{part}.py", f"{part}.py")])},
        Layers=[layer],
        Timeout=30,
        MemorySize=512,
        Environment={"Variables": environment},
    )["FunctionArn"]
    return arn


def boto3_whole() -> bytes:
    """What Lambda's own runtime has of boto3, as a zip: whole, its resources included."""
    site = Path(boto3.__file__).parent.parent
    files = []
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py"):
        for path in [site / name] if (site / name).is_file() else (site / name).rglob("*"):
            parts = path.relative_to(site).parts
            unused = (
                parts[:2] == ("botocore", "data")
                and len(parts) > 3
                and parts[2] not in ("s3", "sagemaker-runtime", "sts")
            )
            if path.is_file() and not unused and "__pycache__" not in parts:
                files.append((path, "/".join(("python", *parts))))
    return _zip(files)


def _zip(files: Iterable[tuple[Path, str]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, name in files:
            archive.write(path, name)
    return buffer.getvalue()


def _definition(functions: Mapping[str, str]) -> dict[str, Any]:
    retry = {
        "ErrorEquals": [
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
            "Lambda.TooManyRequestsException",
            "Lambda.Unknown",
        ],
        "IntervalSeconds": 2,
        "MaxAttempts": 6,
        "BackoffRate": 2,
    }
    names = list(functions)
    states: dict[str, Any] = {}
    for name, after in zip(names, [*names[1:], None], strict=True):
        states[name] = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "OutputPath": "$.Payload",
            "Parameters": {"Payload.$": "$", "FunctionName": functions[name]},
            "Retry": [retry],
            **({"Next": after} if after else {"End": True}),
        }
    return {"StartAt": names[0], "States": states}
