"""The roll-out of a registered model: the newest approved version becomes what the stack's endpoint runs.

The version turns into stack parameters, those into a CloudFormation change set on the template that the stack already
has. CloudFormation then makes a new model and endpoint configuration and has SageMaker update the endpoint as the
template's DeploymentConfig says: canary traffic first, back to the old fleet if an alarm goes off. The same alarms are
given to CloudFormation as rollback triggers, so that the stack's parameters (thresholds!) go back with the endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dropsort.contract.defaults import threshold_parameters
from training.aws import endpoint
from training.aws.requests import AwsRequest, OnRequest, check, run, send
from training.aws.stack import Stack, await_change_set, await_update, describe_stack
from training.errors import TrainingError
from training.registry import registry
from training.registry.model_packages import APPROVED, ModelPackage, list_request

ACCOUNT = "123456789012"  # where a dry run without an account needs one
# What to ask of a model: ours answers with labels and familiarity, the built-in algorithm with a list and nothing else.
ACCEPT = {"/pytorch-inference": "application/json;verbose=true", "/image-classification": "application/json"}
CAPABILITIES = ["CAPABILITY_IAM"]
MONITORING_MINUTES = 5  # after the update, in which an alarm still rolls the stack back


@dataclass(frozen=True)
class RolloutResult:
    """How a roll-out ended. `changed` maps each stack parameter to its values before and after."""

    package: ModelPackage
    changed: Mapping[str, tuple[str, str]]
    executed: bool

    def document(self) -> dict[str, Any]:
        """As something that `json.dumps` takes."""
        return {
            "package": self.package.document(),
            "changed": {name: {"from": old, "to": new} for name, (old, new) in self.changed.items()},
            "executed": self.executed,
        }


def parameters(
    package: ModelPackage, *, thresholds: bool = True, instances: int | None = None
) -> dict[str, str]:
    """The stack parameters that make the stack run this version.

    With `thresholds` the model brings its own, chosen on its own validation data: one model's threshold says nothing
    about another's. Without, the stack keeps those that it has. `instances` changes how many serve the model, too: a
    canary needs two or more.
    """
    wanted = {"CreateEndpoint": "true", "ModelDataUrl": package.model_data, "ModelImageUri": package.image}
    for image, accept in ACCEPT.items():
        if image in package.image:
            wanted["EndpointAccept"] = accept
    if package.labels:
        wanted["Labels"] = ",".join(package.labels)
    if thresholds:
        wanted |= threshold_parameters(package.metrics)
    if instances is not None:
        wanted["EndpointInstanceCount"] = str(instances)
    return wanted


def plan(
    package: ModelPackage,
    stack: str,
    *,
    current: Mapping[str, str] | None = None,
    alarms: Sequence[str] = (),
    thresholds: bool = True,
    instances: int | None = None,
    now: datetime | None = None,
) -> list[AwsRequest]:
    """The requests that roll a version out: the change set and its execution; nothing is sent.

    Parameters
    ----------
    current
        The stack's parameters; those that the model does not set keep their values. None if they are not known.
    alarms
        ARNs of alarms that roll the stack back.
    """
    wanted = parameters(package, thresholds=thresholds, instances=instances)
    if current is not None:
        missing = [
            name for name in ("ModelDataUrl", "ModelImageUri", "CreateEndpoint") if name not in current
        ]
        if missing:
            raise TrainingError(
                f"stack {stack} has no parameter {', '.join(missing)}: is it Dropsort's? `dropsort deploy` updates it"
            )
        wanted = {name: value for name, value in wanted.items() if name in current}
    kept = [name for name in current or () if name not in wanted]
    change_set = f"rollout-{package.version}-{now or datetime.now():%Y%m%d%H%M%S}"
    create: dict[str, Any] = {
        "StackName": stack,
        "ChangeSetName": change_set,
        "ChangeSetType": "UPDATE",
        "Description": f"Model version {package.version}: {package.arn}"[:1024],
        "UsePreviousTemplate": True,
        "Capabilities": CAPABILITIES,
        "Parameters": [
            *({"ParameterKey": name, "ParameterValue": value} for name, value in wanted.items()),
            *({"ParameterKey": name, "UsePreviousValue": True} for name in kept),
        ],
    }
    if alarms:
        create["RollbackConfiguration"] = {
            "RollbackTriggers": [{"Arn": arn, "Type": "AWS::CloudWatch::Alarm"} for arn in alarms],
            "MonitoringTimeInMinutes": MONITORING_MINUTES,
        }
    note = (
        ""
        if current is not None
        else "every other parameter of the stack, with UsePreviousValue, comes on top"
    )
    requests = [
        AwsRequest("cloudformation", "CreateChangeSet", create, note),
        AwsRequest("cloudformation", "ExecuteChangeSet", {"StackName": stack, "ChangeSetName": change_set}),
    ]
    for request in requests:
        check(request)
    return requests


def plan_unseen(
    group: str,
    stack: str,
    *,
    region: str,
    bucket: str,
    image: str,
    thresholds: bool = True,
    instances: int = 2,
) -> list[AwsRequest]:
    """Every request of a roll-out, as far as it can be known without asking anybody: for a dry run without an account.

    What only the registry and the stack can say is filled in with values of the same form, and noted.
    """
    arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:model-package/{group}/1"
    made_up = ModelPackage(
        arn, 1, APPROVED, image, f"s3://{bucket}/models/{group}/0123456789abcdef/model.tar.gz"
    )
    alarm = f"arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{stack}-endpoint-errors"
    create, start = plan(made_up, stack, alarms=[alarm], thresholds=thresholds, instances=instances)
    told = (
        "labels and thresholds of the version come on top"
        if thresholds
        else "the version's labels come on top"
    )
    wanted = {**parameters(made_up, instances=instances), "ArtifactBucket": bucket}
    return [
        list_request(group, APPROVED),
        AwsRequest(
            "sagemaker", "DescribeModelPackage", {"ModelPackageName": arn}, "the newest approved version"
        ),
        AwsRequest(
            "cloudformation", "DescribeStacks", {"StackName": stack}, "parameters, and the alarms to watch"
        ),
        AwsRequest(create.service, create.operation, create.parameters, f"{create.note}; {told}"),
        start,
        *endpoint.requests(wanted, stack, region),
    ]


def execute(
    group: str,
    stack: str,
    session: Any,
    *,
    version: int | None = None,
    thresholds: bool = True,
    instances: int | None = None,
    dry_run: bool = False,
    on_request: OnRequest | None = None,
    confirm: Callable[[Mapping[str, tuple[str, str]]], bool] | None = None,
    progress: Callable[[str], None] | None = None,
    interval: float = 15.0,
) -> RolloutResult:
    """Roll the newest approved version out (or a given approved one: that is also the way back to an older model).

    Parameters
    ----------
    dry_run
        Asks the registry and the stack, reports the requests that would change something, and sends none of them.
    confirm
        Is shown each changed parameter's old and new value, and may decline.
    progress
        Hears what the stack and the endpoint are doing; half an hour is usual, most of it watching the canary.
    interval
        Seconds between two looks.

    Raises
    ------
    TrainingError
        No approved version, a busy stack, a refused change, or an update that was rolled back: with the reason.
    """
    package = registry.approved(session, group, version)
    found = describe_stack(session, stack)
    if found.status.endswith("_IN_PROGRESS"):
        raise TrainingError(f"stack {stack} is {found.status}: wait for the end of that update")
    before = found.parameters
    if before.get("CreateEndpoint") == "false" and before.get("EndpointName"):
        raise TrainingError(
            f"stack {stack} uses endpoint {before['EndpointName']}, which it did not make and cannot update: deploy it "
            "with CreateEndpoint=true and another EndpointName first"
        )
    wanted = parameters(package, thresholds=thresholds, instances=instances)
    changed = {name: (before[name], new) for name, new in wanted.items() if before.get(name, new) != new}
    requests = plan(
        package, stack, current=before, alarms=found.alarms, thresholds=thresholds, instances=instances
    )
    if not changed or dry_run:
        if changed:
            region, account = package.arn.split(":")[3:5]
            foretold = endpoint.requests({**before, **wanted}, stack, region, account=account)
            run([*requests, *foretold], session, dry_run=True, on_request=on_request)
        return RolloutResult(package, changed, executed=False)
    if confirm and not confirm(changed):
        return RolloutResult(package, changed, executed=False)
    create, start = requests
    run([create], session, dry_run=False, on_request=on_request)
    await_change_set(session, create.parameters, interval)
    run([start], session, dry_run=False, on_request=on_request)
    await_update(session, stack, progress, interval)
    _check_endpoint(session, found)
    return RolloutResult(package, changed, executed=True)


def _check_endpoint(session: Any, before: Stack) -> None:
    """SageMaker may have gone back to the old fleet by itself; then the stack's word that all is well is not enough."""
    after = describe_stack(session, before.name)
    name = after.outputs.get("EndpointName", "")
    resource = {"StackName": before.name, "LogicalResourceId": "EndpointConfig"}
    detail = send(AwsRequest("cloudformation", "DescribeStackResource", resource), session)[
        "StackResourceDetail"
    ]
    wanted = detail["PhysicalResourceId"].rsplit("/", 1)[-1].lower()
    serving = send(AwsRequest("sagemaker", "DescribeEndpoint", {"EndpointName": name}), session)
    if serving["EndpointStatus"] != "InService" or serving["EndpointConfigName"].lower() != wanted:
        raise TrainingError(
            f"endpoint {name} is {serving['EndpointStatus']} on {serving['EndpointConfigName']}, not on the new "
            f"{wanted}: {serving.get('FailureReason', 'an alarm went off')}. "
            "Roll the version before out again, so that the stack says what the endpoint runs"
        )
