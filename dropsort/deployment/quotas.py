"""How many requests to the endpoint at once the account allows and the instances need."""

from __future__ import annotations

from typing import Any

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


def account_concurrency(functions: Any) -> int:
    """Functions that may run at once in the region without those that others have reserved.

    Parameters
    ----------
    functions
        boto3 Lambda client.
    """
    limits = functions.get_account_settings()["AccountLimit"]
    return int(limits.get("UnreservedConcurrentExecutions", limits["ConcurrentExecutions"]))
