"""The roll-out: from an approved version to stack parameters, through a change set, watched to its end or its undoing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from training.aws.container_images import image_uri
from training.aws.requests import AwsRequest, check
from training.errors import TrainingError
from training.registry import registry, rollout
from training.registry.model_packages import ModelPackage

STACK = "dropsort"
OLD, NEW = "s3://artifacts/models/bikes/old/model.tar.gz", "s3://artifacts/models/bikes/new/model.tar.gz"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
ALARM = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:dropsort-endpoint-errors"
PACKAGE = ModelPackage(
    arn="arn:aws:sagemaker:us-east-1:123456789012:model-package/bikes/7",
    version=7,
    status="Approved",
    image=IMAGE,
    model_data=NEW,
    labels=("bicycle", "motorcycle"),
    metrics={"accuracy": 0.97, "threshold": 0.87, "familiarity_threshold": 0.02},
)
PARAMETERS = {
    "CreateEndpoint": "true",
    "ModelDataUrl": OLD,
    "ModelImageUri": IMAGE,
    "Labels": "bicycle,motorcycle",
    "Threshold": "0.93",
    "FamiliarityThreshold": "0.05",
    "AlarmEmail": "me@example.com",
    "EndpointName": "",
}
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def stack(status: str = "UPDATE_COMPLETE", **changes: str) -> dict[str, Any]:
    """What DescribeStacks answers."""
    parameters = {**PARAMETERS, **changes}
    return {
        "Stacks": [
            {
                "StackName": STACK,
                "CreationTime": NOW,
                "StackStatus": status,
                "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
                "Outputs": [
                    {"OutputKey": "EndpointName", "OutputValue": STACK},
                    {"OutputKey": "EndpointAlarmArns", "OutputValue": ALARM},
                ],
            }
        ]
    }


class Session:
    """A boto3 session whose two clients answer what a test says, each answer held against the service's model."""

    def __init__(self) -> None:
        real = boto3.Session("key", "secret", region_name="us-east-1")
        self.clients = {name: real.client(name) for name in ("cloudformation", "sagemaker")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.stubs.values():
            stub.activate()

    def client(self, name: str) -> Any:
        return self.clients[name]

    def cloudformation(self, method: str, answer: dict[str, Any], **expected: Any) -> None:
        self.stubs["cloudformation"].add_response(method, answer, {"StackName": STACK, **expected})

    def endpoint(self, config: str, status: str = "InService", **more: Any) -> None:
        answer = {
            "EndpointName": STACK,
            "EndpointArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{STACK}",
            "EndpointConfigName": config,
            "EndpointStatus": status,
            "CreationTime": NOW,
            "LastModifiedTime": NOW,
            **more,
        }
        self.stubs["sagemaker"].add_response("describe_endpoint", answer, {"EndpointName": STACK})


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    session = Session()
    monkeypatch.setattr(registry, "approved", lambda *_: PACKAGE)
    yield session
    for stub in session.stubs.values():
        stub.assert_no_pending_responses()


def begin(session: Session, change_set: dict[str, Any]) -> None:
    """The answers up to the change set's state."""
    session.cloudformation("describe_stacks", stack())
    session.cloudformation(
        "create_change_set",
        {"Id": "arn:aws:cloudformation:change-set"},
        ChangeSetName=ANY,
        ChangeSetType="UPDATE",
        Description=ANY,
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=ANY,
        RollbackConfiguration={
            "RollbackTriggers": [{"Arn": ALARM, "Type": "AWS::CloudWatch::Alarm"}],
            "MonitoringTimeInMinutes": 5,
        },
    )
    session.cloudformation("describe_change_set", change_set, ChangeSetName=ANY)


def execute(session: Session, **options: Any) -> rollout.RolloutResult:
    return rollout.execute("bikes", STACK, session, interval=0, **options)


def test_a_model_brings_its_own_thresholds_and_labels() -> None:
    assert rollout.parameters(PACKAGE) == {
        "CreateEndpoint": "true",
        "ModelDataUrl": NEW,
        "ModelImageUri": IMAGE,
        "EndpointAccept": "application/json;verbose=true",
        "Labels": "bicycle,motorcycle",
        "Threshold": "0.87",
        "FamiliarityThreshold": "0.02",
    }


def test_the_built_in_algorithm_is_asked_for_what_it_can_answer() -> None:
    built_in = dataclasses.replace(PACKAGE, image=image_uri("image-classification", "us-east-1"))
    assert rollout.parameters(built_in)["EndpointAccept"] == "application/json"
    # AND of an image that nobody knows the stack's setting is kept
    assert "EndpointAccept" not in rollout.parameters(dataclasses.replace(PACKAGE, image="an/image:1"))


def test_the_stack_may_keep_its_thresholds() -> None:
    assert "Threshold" not in rollout.parameters(PACKAGE, thresholds=False)


def test_more_instances_for_a_canary() -> None:
    assert rollout.parameters(PACKAGE, instances=2)["EndpointInstanceCount"] == "2"


def test_every_parameter_of_the_stack_is_set_or_kept() -> None:
    create, start = rollout.plan(PACKAGE, STACK, current=PARAMETERS, alarms=[ALARM])
    sent = {p["ParameterKey"]: p.get("ParameterValue") for p in create.parameters["Parameters"]}
    assert set(sent) == set(PARAMETERS)
    assert sent["Threshold"] == "0.87"
    assert {name for name, value in sent.items() if value is None} == {"AlarmEmail", "EndpointName"}
    assert create.parameters["ChangeSetName"] == start.parameters["ChangeSetName"]


def test_a_stack_that_is_not_dropsorts_is_refused() -> None:
    with pytest.raises(TrainingError, match="no parameter ModelDataUrl, ModelImageUri, CreateEndpoint"):
        rollout.plan(PACKAGE, STACK, current={"Environment": "prod"})


def test_a_dry_run_without_an_account_shows_every_request() -> None:
    requests = rollout.plan_unseen("bikes", STACK, region="eu-west-1", bucket="artifacts", image=IMAGE)
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


def test_a_dry_run_with_an_account_reads_and_changes_nothing(session: Session) -> None:
    session.cloudformation("describe_stacks", stack())
    seen: list[AwsRequest] = []
    outcome = execute(session, dry_run=True, on_request=seen.append)
    assert [request.operation for request in seen] == [
        "CreateChangeSet",
        "ExecuteChangeSet",
        *("CreateModel", "CreateEndpointConfig", "UpdateEndpoint"),  # CloudFormation's
    ]
    assert outcome.executed is False
    assert outcome.changed == {
        "ModelDataUrl": (OLD, NEW),
        "Threshold": ("0.93", "0.87"),
        "FamiliarityThreshold": ("0.05", "0.02"),
    }
    json.dumps(outcome.document())


def test_a_roll_out_that_goes_well(session: Session) -> None:
    begin(session, {"Status": "CREATE_PENDING"})
    session.cloudformation("describe_change_set", {"Status": "CREATE_COMPLETE"}, ChangeSetName=ANY)
    session.cloudformation("execute_change_set", {}, ChangeSetName=ANY)
    session.cloudformation("describe_stacks", stack("UPDATE_IN_PROGRESS"))
    baking = {"VariantName": "AllTraffic", "VariantStatus": [{"Status": "Baking"}]}
    session.endpoint(
        "old",
        "Updating",
        PendingDeploymentSummary={"EndpointConfigName": "new", "ProductionVariants": [baking]},
    )
    session.cloudformation("describe_stacks", stack("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"))
    session.endpoint("new")
    session.cloudformation("describe_stacks", stack("UPDATE_COMPLETE"))
    session.endpoint("new")
    ended(session, "new")
    phases: list[str] = []
    outcome = execute(session, progress=phases.append, confirm=lambda changed: "Threshold" in changed)
    assert outcome.executed is True
    assert phases == [
        "UPDATE_IN_PROGRESS · endpoint Updating · Baking",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS · endpoint InService",
        "UPDATE_COMPLETE · endpoint InService",
    ]


def ended(session: Session, config: str, **more: Any) -> None:
    """The answers of the last look at stack and endpoint."""
    session.cloudformation("describe_stacks", stack("UPDATE_COMPLETE"))
    session.cloudformation(
        "describe_stack_resource",
        {
            "StackResourceDetail": {
                "LogicalResourceId": "EndpointConfig",
                "PhysicalResourceId": "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/New",
                "ResourceType": "AWS::SageMaker::EndpointConfig",
                "LastUpdatedTimestamp": NOW,
                "ResourceStatus": "CREATE_COMPLETE",
            }
        },
        LogicalResourceId="EndpointConfig",
    )
    session.endpoint(config, **more)


def test_an_endpoint_that_went_back_by_itself_is_found_out(session: Session) -> None:
    begin(session, {"Status": "CREATE_COMPLETE"})
    session.cloudformation("execute_change_set", {}, ChangeSetName=ANY)
    session.cloudformation("describe_stacks", stack("UPDATE_COMPLETE"))
    session.endpoint("old")
    ended(session, "old", FailureReason="alarm dropsort-endpoint-errors is in alarm")
    with pytest.raises(TrainingError, match="on old, not on the new new: alarm dropsort-endpoint-errors"):
        execute(session)


def test_an_undone_update_gives_the_first_reason(session: Session) -> None:
    begin(session, {"Status": "CREATE_COMPLETE"})
    session.cloudformation("execute_change_set", {}, ChangeSetName=ANY)
    session.cloudformation("describe_stacks", stack("UPDATE_ROLLBACK_COMPLETE"))
    session.endpoint("old")

    def event(resource: str, status: str, reason: str = "", kind: str = "AWS::SageMaker::Endpoint") -> Any:
        return {
            "StackId": "id",
            "EventId": "id",
            "StackName": STACK,
            "Timestamp": NOW,
            "LogicalResourceId": resource,
            "ResourceType": kind,
            "ResourceStatus": status,
            **({"ResourceStatusReason": reason} if reason else {}),
        }

    whole = "AWS::CloudFormation::Stack"
    events = [
        event(STACK, "UPDATE_ROLLBACK_COMPLETE", kind=whole),
        event("Model", "DELETE_COMPLETE"),
        event(STACK, "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed: [Endpoint]", whole),
        event("Endpoint", "UPDATE_FAILED", "the canary's alarm went off"),
        event(STACK, "UPDATE_IN_PROGRESS", "User Initiated", whole),
        event("Endpoint", "UPDATE_FAILED", "an older failure"),
    ]
    session.cloudformation("describe_stack_events", {"StackEvents": events})
    with pytest.raises(TrainingError, match="Endpoint: the canary's alarm went off"):
        execute(session)


def test_a_refused_change_set_is_cleared_away(session: Session) -> None:
    begin(session, {"Status": "FAILED", "StatusReason": "Parameter Threshold failed to satisfy constraint"})
    session.cloudformation("delete_change_set", {}, ChangeSetName=ANY)
    with pytest.raises(TrainingError, match="Parameter Threshold failed to satisfy constraint"):
        execute(session)


def test_declined_nothing_is_changed(session: Session) -> None:
    session.cloudformation("describe_stacks", stack())
    assert execute(session, confirm=lambda _: False).executed is False


def test_a_stack_that_runs_the_version_already_is_left_alone(session: Session) -> None:
    session.cloudformation(
        "describe_stacks", stack(ModelDataUrl=NEW, Threshold="0.87", FamiliarityThreshold="0.02")
    )
    outcome = execute(session)
    assert (outcome.changed, outcome.executed) == ({}, False)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: stack("UPDATE_IN_PROGRESS"), "wait for the end of that update"),
        (lambda: stack(CreateEndpoint="false", EndpointName="theirs"), "uses endpoint theirs"),
    ],
)
def test_stacks_that_cannot_be_updated_now(
    session: Session, answer: Callable[[], dict[str, Any]], words: str
) -> None:
    session.cloudformation("describe_stacks", answer())
    with pytest.raises(TrainingError, match=words):
        execute(session)
