"""What parameters name: an endpoint, a bus, a key or a model that is not there is an error before anything changes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from dropsort.deployment import existing_resources
from dropsort.deployment.errors import DeployError


class SageMaker:
    """SageMaker with endpoints, or without the permission to look them up."""

    def __init__(self, *names: str, problem: str = "", status: str = "InService") -> None:
        self.names, self.problem, self.status = names, problem, status

    def __call__(self, _service: str) -> Any:
        return self

    def describe_endpoint(self, EndpointName: str) -> dict[str, str]:
        problem = self.problem or ("" if EndpointName in self.names else "Could not find endpoint")
        if problem:
            raise ClientError(
                {"Error": {"Code": "ValidationException", "Message": problem}}, "DescribeEndpoint"
            )
        arn = f"arn:aws:sagemaker:eu-west-1:111122223333:endpoint/{EndpointName.lower()}"
        return {"EndpointArn": arn, "EndpointStatus": self.status}

    def list_endpoints(self, MaxResults: int) -> dict[str, Any]:
        return {"Endpoints": [{"EndpointName": name} for name in self.names[:MaxResults]]}


def checked(client: Any, before: dict[str, str] | None = None, **values: str) -> tuple[Any, list[str]]:
    steps: list[str] = []
    return existing_resources.check(client, values, before or {}, steps.append), steps


def test_an_endpoint_with_capitals_brings_its_arn() -> None:
    expected = {"EndpointArn": "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/bikes"}
    assert checked(SageMaker("Bikes"), CreateEndpoint="false", EndpointName="Bikes") == (expected, [])
    _, steps = checked(SageMaker("Bikes", status="Updating"), CreateEndpoint="false", EndpointName="Bikes")
    assert "is Updating: images wait" in steps[0]


def test_an_endpoint_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    # GIVEN a stack that uses an endpoint of somebody else: its name alone is given
    before = {"CreateEndpoint": "false", "EndpointName": "bikes"}
    with pytest.raises(
        DeployError, match=r"no endpoint nope in this region; it has bikes, cars\. Check --endpoint"
    ):
        checked(SageMaker("bikes", "cars"), before, EndpointName="nope")
    with pytest.raises(DeployError, match="there is no endpoint at all"):
        checked(SageMaker(), before, EndpointName="nope")
    many = SageMaker(*(f"e{number}" for number in range(30)))
    with pytest.raises(DeployError, match="e8, e9, …"):
        checked(
            many,
            CreateEndpoint="false",
            EndpointArn="arn:aws:sagemaker:eu-west-1:111122223333:endpoint/nope",
        )
    # AND one of the stack's own is named before it is there, and what is not given is not looked up
    assert checked(SageMaker(), EndpointName="new") == ({}, [])
    assert checked(SageMaker(), before, Threshold="0.5") == ({}, [])


@pytest.mark.parametrize(("count", "words"), [(10, r"it has e0, .*, e9\."), (11, r"it has e0, .*, e9, …\.")])
def test_ten_names_are_shown_and_whether_there_are_more(count: int, words: str) -> None:
    names = [f"e{number}" for number in range(count)]
    with pytest.raises(DeployError, match=words):
        checked(SageMaker(*names), CreateEndpoint="false", EndpointName="nope")

    def missing(Name: str) -> None:
        raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "DescribeEventBus")

    client = SimpleNamespace(
        describe_event_bus=missing,
        list_event_buses=lambda Limit: {"EventBuses": [{"Name": name} for name in names[:Limit]]},
    )
    with pytest.raises(DeployError, match=words):
        checked(lambda _: client, EventBusName="nope")


def test_an_arn_is_looked_up_by_the_name_in_it() -> None:
    arn = "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/bikes"
    assert checked(SageMaker("bikes"), CreateEndpoint="false", EndpointArn=arn) == ({}, [])


def test_without_the_permission_capitals_need_the_arn_and_others_nothing() -> None:
    client = SageMaker(problem="not authorized")
    with pytest.raises(DeployError, match="-p EndpointArn=ARN"):
        checked(client, CreateEndpoint="false", EndpointName="Bikes")
    found, steps = checked(client, CreateEndpoint="false", EndpointName="bikes")
    assert found == {}
    assert "was not checked" in steps[0]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield lambda service: boto3.client(service, "us-east-1")


def test_a_bus_a_key_and_a_model_have_to_be_there(account: Any) -> None:
    arn = account("kms").create_key()["KeyMetadata"]["Arn"]
    account("s3").create_bucket(Bucket="models")
    account("s3").put_object(Bucket="models", Key="model.tar.gz", Body=b"x")
    good = {"EventBusName": "default", "KmsKeyArn": arn, "ModelDataUrl": "s3://models/model.tar.gz"}
    assert checked(account, **good) == ({}, [])
    with pytest.raises(DeployError, match=r"no event bus nope in this region; it has default\."):
        checked(account, EventBusName="nope")
    other = arn.rsplit("/", 1)[0] + "/11111111-2222-3333-4444-555555555555"
    with pytest.raises(DeployError, match=r"There is no KMS key .*check -p KmsKeyArn"):
        checked(account, KmsKeyArn=other)
    with pytest.raises(DeployError, match="There is no bucket nowhere: check --artifact-bucket"):
        checked(account, ArtifactBucket="nowhere")
    for url in ("s3://models/other.tar.gz", "s3://nowhere/model.tar.gz"):
        with pytest.raises(DeployError, match=f"There is no {url}: check -p ModelDataUrl"):
            checked(account, ModelDataUrl=url)
