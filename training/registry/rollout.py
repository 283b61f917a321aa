"""Rolls a registered model out: the newest approved version becomes the one that the stack's endpoint runs.

The version becomes stack parameters (`training.registry.rollout_plan`), those a CloudFormation change set on the template that
the stack has. CloudFormation creates a new model and endpoint configuration and updates the endpoint as the template's
DeploymentConfig says: canary traffic first, back to the old fleet if an alarm goes off. The same alarms are rollback triggers of
the stack, so that its parameters (thresholds!) are rolled back with the endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dropsort.contract import stack as stacks
from dropsort.contract import stack_update
from dropsort.contract.progress import OnStep, no_steps
from training.aws.requests import OnRequest, no_request, send
from training.errors import TrainingError
from training.registry import registry
from training.registry.model_packages import ModelPackage
from training.registry.rollout_plan import parameters, plan

if TYPE_CHECKING:
    import boto3

Changes = Mapping[str, tuple[str, str]]  # stack parameter: its value before and after


@dataclass(frozen=True)
class RolloutResult:
    """The end of a roll-out: the version, the stack parameters that differ, and whether they were changed."""

    package: ModelPackage
    changed: Changes
    executed: bool

    def document(self) -> dict[str, Any]:
        """As something that `json.dumps` takes."""
        return {
            "package": self.package.document(),
            "changed": {name: {"from": old, "to": new} for name, (old, new) in self.changed.items()},
            "executed": self.executed,
        }


def execute(
    group: str,
    stack: str,
    session: boto3.Session,
    *,
    version: int | None = None,
    thresholds: bool = True,
    instances: int | None = None,
    on_request: OnRequest = no_request,
    confirm: Callable[[Changes], bool] = lambda changed: True,
    on_step: OnStep = no_steps,
    patience_seconds: float = stack_update.PATIENCE_SECONDS,
) -> RolloutResult:
    """Roll out the newest approved version, or the given approved one, which may be older than the current one.

    Parameters
    ----------
    confirm
        Gets each changed parameter's value before and after, and may decline.
    on_step
        Called with each event of the stack and each stage of the endpoint; half an hour is usual, most of it for the canary.

    Raises
    ------
    TrainingError
        No approved version, a stack that is busy or that does not own its endpoint.
    StackError
        CloudFormation rejected the change or rolled it back, the endpoint does not run the new model, or the time is up.
    """
    package = registry.approved(session, group, version)
    cloudformation = session.client("cloudformation")
    found = stacks.find(cloudformation, stack)
    if found is None:
        raise TrainingError(f"there is no stack {stack}: name it with --stack, its region with --region")
    if found.busy:
        raise TrainingError(f"stack {stack} is {found.status}: wait for the end of that update")
    before = found.parameters
    if before.get("CreateEndpoint") == "false" and before.get("EndpointName"):
        raise TrainingError(
            f"stack {stack} uses endpoint {before['EndpointName']}, which it did not create and cannot update: deploy it "
            "with CreateEndpoint=true and another EndpointName first"
        )
    wanted = parameters(package, thresholds=thresholds, instances=instances)
    changed = {name: (before[name], new) for name, new in wanted.items() if before.get(name, new) != new}
    create, start = plan(
        package, stack, current=before, alarms=found.alarms, thresholds=thresholds, instances=instances
    )
    if not changed or not confirm(changed):
        return RolloutResult(package, changed, executed=False)
    on_request(create)
    change_set = send(create, session)
    stack_update.await_change_set(cloudformation, change_set["Id"])
    on_request(start)
    stack_update.execute(session.client, change_set["StackId"], change_set["Id"], on_step, patience_seconds)
    return RolloutResult(package, changed, executed=True)
