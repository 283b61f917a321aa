"""The plan of a roll-out: which parameters of the stack a version sets, and the requests of a dry run."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.unit.training.test_rollout import ALARM, IMAGE, NEW, PACKAGE, PARAMETERS, STACK
from training.aws.container_images import image_uri
from training.aws.requests import check
from training.errors import TrainingError
from training.registry import rollout_plan


def test_a_model_brings_its_own_thresholds_and_labels() -> None:
    assert rollout_plan.parameters(PACKAGE) == {
        "CreateEndpoint": "true",
        "ModelDataUrl": NEW,
        "ModelImageUri": IMAGE,
        "EndpointAccept": "application/json;verbose=true",
        "Labels": "bicycle,motorcycle",
        "Threshold": "0.87",
        "FamiliarityThreshold": "0.02",
        "ModelVersion": "bikes-2.0.0",
    }


def test_the_built_in_algorithm_gets_an_accept_header_that_it_knows() -> None:
    built_in = dataclasses.replace(PACKAGE, image=image_uri("image-classification", "us-east-1"))
    assert rollout_plan.parameters(built_in)["EndpointAccept"] == "application/json"
    # AND of an image that nobody knows the stack's setting is unchanged
    assert "EndpointAccept" not in rollout_plan.parameters(dataclasses.replace(PACKAGE, image="an/image:1"))


def test_the_stack_may_keep_its_thresholds() -> None:
    assert "Threshold" not in rollout_plan.parameters(PACKAGE, thresholds=False)


def test_more_instances_for_a_canary() -> None:
    assert rollout_plan.parameters(PACKAGE, instances=2)["EndpointInstanceCount"] == "2"
    # AND none is for CloudFormation to reject, which names the bounds
    assert rollout_plan.parameters(PACKAGE, instances=0)["EndpointInstanceCount"] == "0"


def test_every_parameter_of_the_stack_is_set_or_unchanged() -> None:
    create, start = rollout_plan.plan(PACKAGE, STACK, current=PARAMETERS, alarms=[ALARM])
    sent = {p["ParameterKey"]: p.get("ParameterValue") for p in create.parameters["Parameters"]}
    assert set(sent) == set(PARAMETERS)
    assert sent["Threshold"] == "0.87"
    assert {name for name, value in sent.items() if value is None} == {"AlarmEmail", "EndpointName"}
    assert create.parameters["ChangeSetName"] == start.parameters["ChangeSetName"]


def test_a_stack_that_is_not_dropsorts_is_rejected() -> None:
    with pytest.raises(TrainingError, match="no parameter ModelDataUrl, ModelImageUri, CreateEndpoint"):
        rollout_plan.plan(PACKAGE, STACK, current={"Environment": "prod"})


def test_a_dry_run_without_an_account_shows_every_request() -> None:
    requests = rollout_plan.plan_without_account(
        "bikes", STACK, region="eu-west-1", bucket="artifacts", image=IMAGE
    )
    for request in requests:
        check(request)
        json.dumps(request.document())
    assert [request.operation for request in requests] == [
        "ListModelPackages",
        "DescribeModelPackage",
        "DescribeStacks",
        "CreateChangeSet",
        "ExecuteChangeSet",
        "CreateModel",
        "CreateEndpointConfig",
        "UpdateEndpoint",
    ]
    # AND the canary can be seen, with the alarms that end it
    update = requests[-1].parameters["DeploymentConfig"]
    assert update["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    assert update["AutoRollbackConfiguration"]["Alarms"][0] == {"AlarmName": "dropsort-endpoint-errors"}
    (trigger,) = requests[3].parameters["RollbackConfiguration"]["RollbackTriggers"]
    assert trigger["Arn"].endswith(":alarm:dropsort-endpoint-errors")
