"""The plan of a roll-out: which parameters of the stack a version sets, and the requests of a dry run."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import datetime

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
    found = rollout_plan.parameters(dataclasses.replace(PACKAGE, labels=()), thresholds=False)
    assert not {"Threshold", "FamiliarityThreshold", "Labels"} & set(found)


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
    assert create.note == ""
    # AND those that the stack does not have are not set, nor has the change set a name of another time
    now = datetime(2026, 1, 2, 3, 4, 5)
    few = dict.fromkeys(("CreateEndpoint", "ModelDataUrl", "ModelImageUri", "Other"), "x")
    create, _ = rollout_plan.plan(PACKAGE, STACK, current=few, now=now)
    assert create.parameters["ChangeSetName"] == "rollout-7-20260102030405"
    assert create.parameters["Parameters"] == [
        {"ParameterKey": "CreateEndpoint", "ParameterValue": "true"},
        {"ParameterKey": "ModelDataUrl", "ParameterValue": NEW},
        {"ParameterKey": "ModelImageUri", "ParameterValue": IMAGE},
        {"ParameterKey": "Other", "UsePreviousValue": True},
    ]
    assert "RollbackConfiguration" not in create.parameters


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
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/bikes/1"
    listed, described, stack, create, start = requests[:5]
    assert listed.parameters == {
        "ModelPackageGroupName": "bikes", "SortBy": "CreationTime", "SortOrder": "Descending", "ModelApprovalStatus": "Approved",
    }  # fmt: skip
    assert (described.parameters, described.note) == (
        {"ModelPackageName": arn},
        "the newest approved version",
    )
    assert (stack.parameters, stack.note) == ({"StackName": STACK}, "parameters, and the alarms to watch")
    name = start.parameters["ChangeSetName"]
    assert re.fullmatch(r"rollout-1-\d{14}", name)
    assert start.parameters == {"StackName": STACK, "ChangeSetName": name}
    wanted = {
        "CreateEndpoint": "true", "ModelDataUrl": "s3://artifacts/models/bikes/0123456789abcdef/model.tar.gz",
        "ModelImageUri": IMAGE, "ModelVersion": "", "EndpointAccept": "application/json;verbose=true", "EndpointInstanceCount": "2",
    }  # fmt: skip
    assert create.parameters == {
        "StackName": STACK, "ChangeSetName": name, "ChangeSetType": "UPDATE", "Description": f"Model version 1: {arn}",
        "UsePreviousTemplate": True, "Capabilities": ["CAPABILITY_IAM"],
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in wanted.items()],
        "RollbackConfiguration": create.parameters["RollbackConfiguration"],
    }  # fmt: skip
    every = "every other parameter of the stack, with UsePreviousValue, is added"
    assert create.note == f"{every}; labels and thresholds of the version are added"
    model, config, _ = (request.parameters for request in requests[5:])
    assert model["PrimaryContainer"]["ModelDataUrl"] == wanted["ModelDataUrl"]
    assert config["ProductionVariants"][0]["InitialInstanceCount"] == 2
    # AND without thresholds, or with more instances, so are they
    other = rollout_plan.plan_without_account(
        "bikes", STACK, region="eu-west-1", bucket="artifacts", image=IMAGE, thresholds=False, instances=3
    )
    assert other[3].note == f"{every}; the version's labels are added"
    assert other[3].parameters["Parameters"][-1]["ParameterValue"] == "3"
    assert other[6].parameters["ProductionVariants"][0]["InitialInstanceCount"] == 3
    # AND the canary can be seen, with the alarms that end it
    update = requests[-1].parameters["DeploymentConfig"]
    assert update["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    assert update["AutoRollbackConfiguration"]["Alarms"][0] == {"AlarmName": "dropsort-endpoint-errors"}
    (trigger,) = requests[3].parameters["RollbackConfiguration"]["RollbackTriggers"]
    assert trigger == {
        "Arn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:dropsort-endpoint-errors",
        "Type": "AWS::CloudWatch::Alarm",
    }
