"""The account's quotas that a deployment needs: checked before it begins, and the concurrency of the endpoint that they allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from dropsort.contract.clients import Clients
from dropsort.contract.defaults import BACKLOG_CONCURRENCY
from dropsort.contract.progress import OnStep, no_steps
from dropsort.deployment.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_service_quotas import ServiceQuotasClient

PER_INSTANCE = 20  # five times the vCPUs of an ml.m5.xlarge: its workers never wait, and its queue of 100 requests never fills
UNRESERVED = 100  # Lambda keeps so many for functions that reserve nothing
FOR_OTHERS = 400  # Serialize, Filter, and the account's other functions


def classify_concurrency(account_concurrency: int, instances: int) -> int:
    """The reserved concurrency of Classify to propose; 0, that is none, where the account's quota is too small to reserve from.

    Parameters
    ----------
    account_concurrency
        Functions that may run at once in the region.
    instances
        Instances that the endpoint may grow to.

    Examples
    --------
    >>> classify_concurrency(1000, 1), classify_concurrency(10, 1)
    (20, 0)
    """
    spare = account_concurrency - UNRESERVED - FOR_OTHERS
    return max(0, min(PER_INSTANCE * max(1, instances), spare))


def backlog_concurrency(account_concurrency: int, classify: int) -> int:
    """The executions at the same time of a run of the backlog to propose: what keeps the endpoint busy, and leaves half of a small account.

    Parameters
    ----------
    account_concurrency
        Functions that may run at once in the region.
    classify
        Reserved concurrency of Classify; 0 if none is reserved.

    Examples
    --------
    >>> backlog_concurrency(1000, 80), backlog_concurrency(10, 0)
    (160, 5)
    """
    # Each is in Classify about half of its time.
    return 2 * classify or max(1, min(BACKLOG_CONCURRENCY, account_concurrency // 2))


def account_concurrency(functions: LambdaClient) -> int:
    """Functions that may run at once in the region without those that others have reserved.

    Parameters
    ----------
    functions
        boto3 Lambda client.
    """
    limits = functions.get_account_settings()["AccountLimit"]
    return int(limits.get("UnreservedConcurrentExecutions", limits["ConcurrentExecutions"]))


def check(
    client: Clients, roles: int, rules: int, instances: tuple[str, int] | None, on_step: OnStep = no_steps
) -> None:
    """Check that the account's quotas let a first deployment succeed.

    A quota that these credentials may not read is not checked; `on_step` is called with its name.

    Parameters
    ----------
    client
        Makes a client of a service.
    roles, rules
        How many IAM roles and EventBridge rules the template has.
    instances
        Instance type of an endpoint of the stack's own, and how many it may grow to.

    Raises
    ------
    DeployError
        A quota is too small; the message says which, and where to request more.
    """
    checks: list[tuple[str, Callable[[], str]]] = [
        ("IAM roles", lambda: _roles(client("iam"), roles)),
        ("EventBridge rules", lambda: _rules(client("events"), client("service-quotas"), rules)),
    ]
    if instances:
        checks.append(
            ("endpoint instances", lambda: _instances(client("service-quotas"), *instances, on_step))
        )
    problems = []
    for name, find in checks:
        try:
            problem = find()
        except (ClientError, BotoCoreError) as error:
            on_step(f"The quota of {name} was not checked: {error}")
        else:
            problems += [problem] if problem else []
    if problems:
        raise DeployError(
            f"{' '.join(problems)} Request more at https://console.aws.amazon.com/servicequotas, or deploy in another region or "
            "account. Nothing was created."
        )


def _roles(iam: IAMClient, needed: int) -> str:
    summary = iam.get_account_summary()["SummaryMap"]
    free = summary["RolesQuota"] - summary["Roles"]
    return (
        "" if free >= needed else f"The stack needs {needed} IAM roles; the account may create {free} more."
    )


def _rules(events: EventBridgeClient, service_quotas: ServiceQuotasClient, needed: int) -> str:
    most = _quota(service_quotas, "events", "Rules")
    if most is None:
        return ""
    there = sum(len(page["Rules"]) for page in events.get_paginator("list_rules").paginate())
    free = int(most) - there
    return (
        ""
        if free >= needed
        else f"The stack needs {needed} EventBridge rules; the account may create {free} more."
    )


def _instances(service_quotas: ServiceQuotasClient, kind: str, needed: int, on_step: OnStep) -> str:
    most = _quota(service_quotas, "sagemaker", f"{kind} for endpoint usage")
    if most is None:
        return ""
    if most < needed:
        return f"The endpoint needs {needed} {kind}; the account may run {most:.0f} (quota '{kind} for endpoint usage')."
    if most < 2 * needed:
        on_step(
            f"The account may run {most:.0f} {kind}: an update of the endpoint, which starts a second fleet before it ends the first, "
            f"needs {2 * needed}. Request them before you deploy another model."
        )
    return ""


def _quota(service_quotas: ServiceQuotasClient, service: str, name: str) -> float | None:
    """The account's value of a quota, else its default; None if there is no quota of that name."""
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        for page in service_quotas.get_paginator(operation).paginate(
            ServiceCode=service, PaginationConfig={"PageSize": 100}
        ):
            for quota in page["Quotas"]:
                if quota["QuotaName"] == name:
                    return float(quota["Value"])
    return None
