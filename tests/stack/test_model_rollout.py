"""The roll-out's CloudFormation half for real: change set, unchanged parameters, rejection, rollback, on the embedded AWS.

The embedded AWS has no SageMaker: the registry and the endpoint are local ones, and in the stack a parameter of
Systems Manager stands where the endpoint configuration is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dropsort.contract.errors import StackError
from dropsort.contract.stack import Stack, find
from dropsort.deployment.deploy import deploy
from dropsort.deployment.package import Packages
from dropsort.local.embedded import EmbeddedAws
from training.errors import TrainingError
from training.registry import rollout

pytestmark = pytest.mark.stack

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
TEXT = {"Type": "String", "Default": ""}
TEMPLATE = {
    "Parameters": {
        "CreateEndpoint": {"Type": "String", "Default": "true"},
        "EndpointName": TEXT,
        "ModelDataUrl": TEXT,
        "ModelImageUri": TEXT,
        "Threshold": {"Type": "Number", "Default": 0.93, "MinValue": 0, "MaxValue": 1},
        "AlarmEmail": TEXT,
        "ArtifactBucket": TEXT,
    },
    "Conditions": {"Breaks": {"Fn::Equals": [{"Ref": "ModelDataUrl"}, "s3://models/broken.tar.gz"]}},
    "Resources": {
        "EndpointConfig": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Type": "String", "Value": {"Fn::Sub": "${ModelDataUrl} at ${Threshold}"}},
        },
        "Broken": {
            "Type": "AWS::Lambda::Url",  # of a function that is not there
            "Condition": "Breaks",
            "DependsOn": "EndpointConfig",
            "Properties": {
                "AuthType": "AWS_IAM",
                "TargetFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:missing",
            },
        },
        "Alarm": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": "endpoint-errors",
                "Namespace": "Dropsort",
                "MetricName": "Failed",
                "Statistic": "Sum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanThreshold",
            },
        },
    },
    "Outputs": {
        "EndpointName": {"Value": {"Ref": "AWS::StackName"}},
        "EndpointAlarmArns": {"Value": {"Fn::GetAtt": ["Alarm", "Arn"]}},
    },
}


class SageMaker:
    """Registry with one version, and an endpoint that runs what the stack says."""

    def __init__(self, cloudformation: Any, model_data: str, threshold: float) -> None:
        self.cloudformation, self.model_data, self.threshold = cloudformation, model_data, threshold

    def list_model_packages(self, **_: Any) -> dict[str, Any]:
        return {"ModelPackageSummaryList": [{"ModelPackageArn": self.arn}]}

    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/bikes/7"

    def describe_model_package(self, **_: Any) -> dict[str, Any]:
        return {
            "ModelPackageArn": self.arn,
            "ModelPackageVersion": 7,
            "ModelApprovalStatus": "Approved",
            "InferenceSpecification": {"Containers": [{"Image": IMAGE, "ModelDataUrl": self.model_data}]},
            "CustomerMetadataProperties": {"threshold": str(self.threshold)},
        }

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        resource = self.cloudformation.describe_stack_resource(
            StackName=EndpointName, LogicalResourceId="EndpointConfig"
        )
        config = resource["StackResourceDetail"]["PhysicalResourceId"]
        return {"EndpointStatus": "InService", "EndpointConfigName": config.rsplit("/", 1)[-1]}


class Session:
    """The embedded AWS's session, with that SageMaker."""

    region_name = "us-east-1"

    def __init__(self, aws: EmbeddedAws, model_data: str, threshold: float) -> None:
        self.session = aws.session()
        self.sagemaker = SageMaker(self.session.client("cloudformation"), model_data, threshold)

    def client(self, service: str) -> Any:
        return self.sagemaker if service == "sagemaker" else self.session.client(service)


@pytest.fixture
def stack(embedded_aws: EmbeddedAws, request: pytest.FixtureRequest) -> str:
    """A stack with one parameter that a roll-out has nothing to do with."""
    name = request.node.name.replace("_", "-")[:60]
    cloudformation = embedded_aws.session().client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(TEMPLATE).replace("endpoint-errors", f"{name}-endpoint-errors"),
        Parameters=[{"ParameterKey": "AlarmEmail", "ParameterValue": "me@example.com"}],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    return name


def described(session: Session, stack: str) -> Stack:
    """The stack, which exists."""
    found = find(session.client("cloudformation"), stack)
    assert found is not None
    return found


def test_a_roll_out_changes_the_model_and_keeps_the_rest(embedded_aws: EmbeddedAws, stack: str) -> None:
    session = Session(embedded_aws, "s3://models/new.tar.gz", 0.87)
    phases: list[str] = []
    # WHEN the version is rolled out
    result = rollout.execute("bikes", stack, session, on_step=phases.append)
    # THEN the stack runs it, with its threshold, and what was not the model's is unchanged
    assert result.executed
    found = described(session, stack)
    assert found.status == "UPDATE_COMPLETE"
    assert found.parameters["ModelDataUrl"] == "s3://models/new.tar.gz"
    assert found.parameters["Threshold"] == "0.87"
    assert found.parameters["AlarmEmail"] == "me@example.com"
    assert any(phase.startswith("UPDATE_COMPLETE") and "::Stack" in phase for phase in phases)
    assert "endpoint InService" in phases
    # AND a second time there is nothing to do
    again = rollout.execute("bikes", stack, session)
    assert (again.executed, again.changed) == (False, {})


def test_a_value_that_the_template_rejects_changes_nothing(embedded_aws: EmbeddedAws, stack: str) -> None:
    session = Session(embedded_aws, "s3://models/new.tar.gz", 87)
    with pytest.raises(TrainingError, match="Threshold"):
        rollout.execute("bikes", stack, session)
    assert described(session, stack).parameters["ModelDataUrl"] == ""


def test_an_update_that_fails_is_undone_thresholds_and_all(embedded_aws: EmbeddedAws, stack: str) -> None:
    session = Session(embedded_aws, "s3://models/broken.tar.gz", 0.5)
    with pytest.raises(StackError, match=r"UPDATE_ROLLBACK_COMPLETE: Broken \(AWS::Lambda::Url\): "):
        rollout.execute("bikes", stack, session)
    found = described(session, stack)
    assert (found.parameters["ModelDataUrl"], found.parameters["Threshold"]) == ("", "0.93")


def test_deploy_too_finds_an_endpoint_that_went_back_by_itself(
    embedded_aws: EmbeddedAws, stack: str, tmp_path: Path
) -> None:
    # GIVEN an endpoint that SageMaker has rolled back: InService, on the former configuration
    session = Session(embedded_aws, "s3://models/new.tar.gz", 0.87)
    session.sagemaker.describe_endpoint = lambda EndpointName: {  # type: ignore[method-assign]
        "EndpointStatus": "InService",
        "EndpointConfigName": "former",
    }
    template = tmp_path / "template.json"
    template.write_text(json.dumps(TEMPLATE).replace("endpoint-errors", f"{stack}-endpoint-errors"))
    # WHEN a model is deployed THEN that is an error, although the stack is complete
    with pytest.raises(
        StackError, match=f"Endpoint {stack} is InService on the configuration former, not on"
    ):
        deploy(session.client, stack, template, {"ModelDataUrl": "s3://models/new.tar.gz"}, Packages({}))
    assert described(session, stack).status == "UPDATE_COMPLETE"
