"""The roll-out's CloudFormation half for real: change set, kept parameters, rejection, rollback, on the embedded AWS.

The embedded AWS has no SageMaker: the registry and the endpoint answer from here, and in the stack a parameter of
Systems Manager stands where the endpoint configuration is.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from dropsort.local.embedded import EmbeddedAws
from training.aws.stack import describe_stack
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


def test_a_roll_out_changes_the_model_and_keeps_the_rest(embedded_aws: EmbeddedAws, stack: str) -> None:
    session = Session(embedded_aws, "s3://models/new.tar.gz", 0.87)
    phases: list[str] = []
    # WHEN the version is rolled out
    outcome = rollout.execute("bikes", stack, session, progress=phases.append, interval=0.2)
    # THEN the stack runs it, with its threshold, and has kept what was not the model's
    assert outcome.executed
    found = describe_stack(session, stack)
    assert found.status == "UPDATE_COMPLETE"
    assert found.parameters["ModelDataUrl"] == "s3://models/new.tar.gz"
    assert found.parameters["Threshold"] == "0.87"
    assert found.parameters["AlarmEmail"] == "me@example.com"
    assert phases[-1] == "UPDATE_COMPLETE · endpoint InService"
    # AND a second time there is nothing to do
    again = rollout.execute("bikes", stack, session, interval=0.2)
    assert (again.executed, again.changed) == (False, {})


def test_a_value_that_the_template_refuses_changes_nothing(embedded_aws: EmbeddedAws, stack: str) -> None:
    session = Session(embedded_aws, "s3://models/new.tar.gz", 87)
    with pytest.raises(TrainingError, match="Threshold"):
        rollout.execute("bikes", stack, session, interval=0.2)
    assert describe_stack(session, stack).parameters["ModelDataUrl"] == ""


def test_an_update_that_fails_is_undone_thresholds_and_all(embedded_aws: EmbeddedAws, stack: str) -> None:
    session = Session(embedded_aws, "s3://models/broken.tar.gz", 0.5)
    with pytest.raises(TrainingError, match=r"undone.*UPDATE_ROLLBACK_COMPLETE: Broken: "):
        rollout.execute("bikes", stack, session, interval=0.2)
    found = describe_stack(session, stack)
    assert (found.parameters["ModelDataUrl"], found.parameters["Threshold"]) == ("", "0.93")
