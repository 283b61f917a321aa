"""Finds a running service by its stack, on AWS or on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dropsort.client.errors import NotFoundError
from dropsort.contract import ignored_paths
from dropsort.contract import stack as stacks
from dropsort.contract.clients import Clients
from dropsort.contract.defaults import PRECISION, STACK


@dataclass(frozen=True)
class DeployedService:
    """The parts of a running service, with the outputs and parameters of its stack."""

    name: str
    bucket: str
    state_machine: str
    endpoint: str
    outputs: dict[str, str]
    parameters: dict[str, str]

    @cached_property
    def ignored(self) -> ignored_paths.Matcher:
        """Whether the service gives an upload no result, by its path below ``incoming/``."""
        return ignored_paths.parse(self.parameters.get("IgnoredPatterns", ""))

    @property
    def model(self) -> str:
        """Version of the model that its predictions name; "" if the stack has none."""
        return self.parameters.get("ModelVersion", "")

    @property
    def precision(self) -> float:
        """The target precision, 0 to 1: that the model's threshold was chosen for."""
        return float(self.parameters.get("Precision", PRECISION))


def find(client: Clients, name: str = STACK) -> DeployedService:
    """The service of a stack, from its outputs.

    Raises
    ------
    NotFoundError
        There is no such stack, or it is not one of Dropsort.
    """
    cloudformation = client("cloudformation")
    address = cloudformation.meta.endpoint_url
    stack = stacks.find(cloudformation, name)
    if stack is None:
        raise NotFoundError(
            f"There is no stack {name} at {address}: name it with --stack, its region with --region, or start a "
            "service here with `dropsort up` and set the variables that it prints."
        )
    outputs = stack.outputs
    missing = [key for key in ("BucketName", "StateMachineArn", "EndpointName") if not outputs.get(key)]
    if missing:
        raise NotFoundError(
            f"Stack {name} at {address} is {stack.status} and has no output {', '.join(missing)}: it is not a "
            "Dropsort service, or its deployment has not finished."
        )
    return DeployedService(
        name=name,
        bucket=outputs["BucketName"],
        state_machine=outputs["StateMachineArn"],
        endpoint=outputs["EndpointName"],
        outputs=outputs,
        parameters=stack.parameters,
    )
