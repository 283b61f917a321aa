"""The requests that CloudFormation sends to SageMaker when a roll-out changes the stack's parameters, from the template.

CloudFormation copies the properties of the template into requests under the same names: a new model, a new
endpoint configuration, and the update of the endpoint with its canary and its alarms.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dropsort.contract.resources import TEMPLATE
from training.aws.requests import AwsRequest, check, service_model
from training.aws.template import Template

_RESOURCES = {
    "Model": ("CreateModel", {"ModelName": "Model.ModelName"}),
    "EndpointConfig": ("CreateEndpointConfig", {"EndpointConfigName": "EndpointConfig.EndpointConfigName"}),
    "Endpoint": ("UpdateEndpoint", {}),
}
ALARMS = ("EndpointErrorsAlarm", "EndpointLatencyAlarm", "EndpointLowConfidenceAlarm")


def requests(
    parameters: Mapping[str, str],
    stack: str,
    region: str,
    *,
    account: str = "123456789012",
    template: Path = TEMPLATE,
) -> list[AwsRequest]:
    """The requests that CloudFormation sends for a stack of the template with these parameters; others have defaults.

    Raises
    ------
    TrainingError
        The template cannot be read, or a request does not fit the service's model.
    """
    found = read(parameters, stack, region, account=account, template=template)
    planned = []
    for resource, (operation, names) in _RESOURCES.items():
        properties = found.properties(resource)
        named = {member: found.values[attribute] for member, attribute in names.items()}
        shape = service_model("sagemaker").operation_model(operation).input_shape
        planned.append(
            AwsRequest("sagemaker", operation, _typed({**named, **properties}, shape), _note(properties))
        )
    for request in planned:
        check(request)
    return planned


def read(
    parameters: Mapping[str, str],
    stack: str,
    region: str,
    *,
    account: str = "123456789012",
    template: Path = TEMPLATE,
) -> Template:
    """The template of such a stack; values that only CloudFormation knows are placeholders of the same form."""
    china = region.startswith("cn-")
    partition = "aws-cn" if china else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    values = {
        "AWS::StackName": stack,
        "AWS::Region": region,
        "AWS::AccountId": account,
        "AWS::Partition": partition,
        "AWS::URLSuffix": "amazonaws.com.cn" if china else "amazonaws.com",
        "Bucket": f"{stack}-bucket",
        "Bucket.Arn": f"arn:{partition}:s3:::{stack}-bucket",
        "EndpointRole.Arn": f"arn:{partition}:iam::{account}:role/{stack}-EndpointRole",
        "EndpointLogs.Arn": f"arn:{partition}:logs:{region}:{account}:log-group:/aws/sagemaker/Endpoints/{stack}:*",
        "Model.ModelName": f"{stack}-Model",
        "EndpointConfig.EndpointConfigName": f"{stack}-EndpointConfig",
        **parameters,
    }
    found = Template(template, values)
    for alarm in ALARMS:
        found.values[alarm] = found.value(found.document["Resources"][alarm]["Properties"]["AlarmName"])
    return found


def _note(properties: Mapping[str, Any]) -> str:
    note = "sent by CloudFormation, which generates the names of model and configuration"
    deployment = properties.get("DeploymentConfig")
    if deployment and deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] != "CANARY":
        note += "; a canary needs two instances, with one all traffic moves at once"
    return note


def _typed(value: Any, shape: Any) -> Any:
    """Parameters are strings; CloudFormation converts them to the types of the service."""
    if shape.type_name == "structure":
        return {name: _typed(member, shape.members[name]) for name, member in value.items()}
    if shape.type_name == "list":
        return [_typed(item, shape.member) for item in value]
    if isinstance(value, str) and shape.type_name in ("integer", "long"):
        return int(value)
    if isinstance(value, str) and shape.type_name in ("float", "double"):
        return float(value)
    return value
