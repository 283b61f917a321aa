"""The reserved concurrency that a deployment proposes."""

from __future__ import annotations

import pytest

from dropsort.deployment import quotas


@pytest.mark.parametrize(
    ("account", "instances", "proposed"),
    [
        (1000, 1, 20),
        (1000, 4, 80),
        (1000, 100, 500),
        (10, 1, 0),
        (500, 1, 0),
        (510, 1, 10),
        (3000, 2, 40),
        (1000, 0, 20),
    ],
)
def test_instances_and_quota_decide(account: int, instances: int, proposed: int) -> None:
    assert quotas.classify_concurrency(account, instances) == proposed
    # Lambda refuses a reservation that leaves fewer than a hundred.
    assert proposed == 0 or account - proposed >= quotas.UNRESERVED + quotas.FOR_OTHERS


def test_what_others_have_reserved_is_not_there() -> None:
    class Functions:
        def get_account_settings(self) -> dict[str, dict[str, int]]:
            return {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 700}}

    assert quotas.account_concurrency(Functions()) == 700
