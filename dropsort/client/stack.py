"""Finds a running service by its stack, on AWS or on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError as AwsError

from dropsort.client.errors import NotFoundError

Clients = Callable[[str], Any]
"""Makes a client of a service: ``boto3.Session().client``, which honours AWS_ENDPOINT_URL, or one of your own."""

DEFAULT_NAME = "dropsort"


@dataclass(frozen=True)
class Stack:
    """Where a service's parts are."""

    name: str
    bucket: str
    state_machine: str
    endpoint: str
    outputs: dict[str, str]
    parameters: dict[str, str]


def find(client: Clients, name: str = DEFAULT_NAME) -> Stack:
    """The service of a stack, from its outputs.

    Raises
    ------
    NotFoundError
        If there is no such stack, or it is not one of Dropsort.
    """
    cloudformation = client("cloudformation")
    where = cloudformation.meta.endpoint_url
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except AwsError as error:
        if "does not exist" not in error.response["Error"].get("Message", ""):
            raise
        raise NotFoundError(
            f"There is no stack {name} at {where}: name it with --stack, its region with --region, or start a "
            "service here with `dropsort up` and set the variables that it prints."
        ) from error
    outputs = {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}
    missing = [key for key in ("BucketName", "StateMachineArn", "EndpointName") if not outputs.get(key)]
    if missing:
        raise NotFoundError(
            f"Stack {name} at {where} is {found['StackStatus']} and has no output {', '.join(missing)}: it is not a "
            "Dropsort service, or its deployment has not finished."
        )
    return Stack(
        name=name,
        bucket=outputs["BucketName"],
        state_machine=outputs["StateMachineArn"],
        endpoint=outputs["EndpointName"],
        outputs=outputs,
        parameters={item["ParameterKey"]: item["ParameterValue"] for item in found.get("Parameters", [])},
    )
