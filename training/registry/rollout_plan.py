"""The requests of a roll-out, as data: stack parameters of a model version, and the change set that sets them. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dropsort.contract.defaults import threshold_parameters, version_parameter
from training.aws import endpoint_requests
from training.aws.requests import AwsRequest, check
from training.errors import TrainingError
from training.registry.model_packages import APPROVED, ModelPackage, list_request

ACCOUNT = "123456789012"  # where a dry run without an account needs one
# Accept header by image: our models return labels and familiarity, the built-in algorithm a list of probabilities only.
ACCEPT = {"/pytorch-inference": "application/json;verbose=true", "/image-classification": "application/json"}
CAPABILITIES = ["CAPABILITY_IAM"]
MONITORING_MINUTES = 5  # after the update, in which an alarm still rolls the stack back


def parameters(
    package: ModelPackage, *, thresholds: bool = True, instances: int | None = None
) -> dict[str, str]:
    """The stack parameters that make the stack run this version.

    With `thresholds` the stack takes the model's own, which were chosen on its validation data. Without, it keeps its
    current ones. `instances` sets the number of instances: a
    canary needs two or more.
    """
    wanted = {"CreateEndpoint": "true", "ModelDataUrl": package.model_data, "ModelImageUri": package.image}
    wanted |= version_parameter({"model": package.name})
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
    """The requests that roll a version out: the change set and its execution.

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
        "Description": f"Model version {package.version}: {package.arn}",
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
        "" if current is not None else "every other parameter of the stack, with UsePreviousValue, is added"
    )
    requests = [
        AwsRequest("cloudformation", "CreateChangeSet", create, note),
        AwsRequest("cloudformation", "ExecuteChangeSet", {"StackName": stack, "ChangeSetName": change_set}),
    ]
    for request in requests:
        check(request)
    return requests


def plan_without_account(
    group: str,
    stack: str,
    *,
    region: str,
    bucket: str,
    image: str,
    thresholds: bool = True,
    instances: int = 2,
) -> list[AwsRequest]:
    """Every request of a roll-out, for a dry run without an account.

    Values that only the registry and the stack know are placeholders of the same form, and noted.
    """
    arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:model-package/{group}/1"
    placeholder = ModelPackage(
        arn, 1, APPROVED, image, f"s3://{bucket}/models/{group}/0123456789abcdef/model.tar.gz"
    )
    alarm = f"arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{stack}-endpoint-errors"
    create, start = plan(placeholder, stack, alarms=[alarm], instances=instances)
    more = (
        "labels and thresholds of the version are added" if thresholds else "the version's labels are added"
    )
    wanted = {**parameters(placeholder, instances=instances), "ArtifactBucket": bucket}
    return [
        list_request(group, APPROVED),
        AwsRequest(
            "sagemaker", "DescribeModelPackage", {"ModelPackageName": arn}, "the newest approved version"
        ),
        AwsRequest(
            "cloudformation", "DescribeStacks", {"StackName": stack}, "parameters, and the alarms to watch"
        ),
        AwsRequest(create.service, create.operation, create.parameters, f"{create.note}; {more}"),
        start,
        *endpoint_requests.requests(wanted, stack, region),
    ]
