"""A service is found by its stack: by its outputs, with the parameters that commands go by."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from dropsort.client import deployed_service
from dropsort.client.errors import NotFoundError

OUTPUTS = {"BucketName": "images", "StateMachineArn": "arn:sort", "EndpointName": "bikes"}


def create(name: str, outputs: dict[str, str], **parameters: str) -> None:
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
        "Parameters": {key: {"Type": "String", "Default": value} for key, value in parameters.items()},
    }
    boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))


def find(name: str) -> deployed_service.DeployedService:
    client: Any = boto3.client
    return deployed_service.find(client, name)


@pytest.mark.usefixtures("aws")
def test_a_service_has_the_outputs_and_parameters_of_its_stack() -> None:
    create("bikes", OUTPUTS, Precision="0.9", ModelVersion="bikes-7", IgnoredPatterns="*.tmp, raw")
    create("plain", OUTPUTS)
    found = find("bikes")
    assert (found.bucket, found.state_machine, found.endpoint) == ("images", "arn:sort", "bikes")
    assert (found.precision, found.model) == (0.9, "bikes-7")
    assert [found.ignored(path) for path in ("cam/a.tmp", "raw/a.jpg", "a.jpg")] == [True, True, False]
    # AND one of a stack without them has their defaults, and gives every upload a result
    plain = find("plain")
    assert (plain.precision, plain.model) == (0.99, "")
    assert [plain.ignored(path) for path in ("cam/a.tmp", "raw/a.jpg", "a.jpg")] == [False, False, False]


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("missing", OUTPUTS)
def test_a_stack_without_one_of_the_outputs_is_no_service(missing: str) -> None:
    create("half", {key: value for key, value in OUTPUTS.items() if key != missing})
    with pytest.raises(NotFoundError, match=f"Stack half .* has no output {missing}: it is not a Dropsort"):
        find("half")


@pytest.mark.usefixtures("aws")
def test_a_stack_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFoundError, match="There is no stack nowhere at https://"):
        find("nowhere")
