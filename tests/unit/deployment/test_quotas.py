"""The reserved concurrency that a deployment proposes, and the quotas that it needs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from dropsort.deployment import quotas
from dropsort.deployment.errors import DeployError


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
    # Lambda rejects a reservation that leaves fewer than a hundred.
    assert proposed == 0 or account - proposed >= quotas.UNRESERVED + quotas.FOR_OTHERS


@pytest.mark.parametrize(
    ("account", "classify", "proposed"),
    [(1000, 20, 40), (1000, 80, 160), (10, 0, 5), (1, 0, 1), (500, 0, 40)],
)
def test_the_backlog_keeps_the_endpoint_busy_and_leaves_half_of_a_small_account(
    account: int, classify: int, proposed: int
) -> None:
    assert quotas.backlog_concurrency(account, classify) == proposed


def test_what_others_have_reserved_is_not_there() -> None:
    class Functions:
        def get_account_settings(self) -> dict[str, dict[str, int]]:
            return {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 700}}

    assert quotas.account_concurrency(Functions()) == 700


class Account:
    """An account's quotas, as its services list them."""

    def __init__(self, *, roles: int = 10, instances: float = 4, rules: int = 2, forbids: str = "") -> None:
        self.values = {
            "IAM": {"SummaryMap": {"Roles": roles, "RolesQuota": 1000}},
            "sagemaker": [{"QuotaName": "ml.m5.xlarge for endpoint usage", "Value": instances}],
            "events": [{"QuotaName": "Rules", "Value": 300.0}],
        }
        self.rules, self.forbids = rules, forbids

    def __call__(self, service: str) -> Any:
        if service == self.forbids:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Get")
        return self

    def get_account_summary(self) -> Any:
        return self.values["IAM"]

    def get_paginator(self, operation: str) -> Any:
        account = self

        class Pages:
            def paginate(self, ServiceCode: str = "", **_: Any) -> list[dict[str, Any]]:
                if operation == "list_rules":
                    return [{"Rules": [{}] * account.rules}]
                return [{"Quotas": []}, {"Quotas": account.values[ServiceCode]}]

        return Pages()


def checked(account: Account, instances: int = 1) -> list[str]:
    said: list[str] = []
    quotas.check(account, 8, 2, ("ml.m5.xlarge", instances), said.append)  # type: ignore[arg-type]  # a part of an account
    return said


def test_a_usual_account_passes() -> None:
    assert checked(Account()) == []


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (Account(roles=995), "needs 8 IAM roles; the account has room for 5"),
        (Account(instances=0), "needs 1 ml.m5.xlarge; the account may run 0"),
        (Account(rules=299), "needs 2 EventBridge rules; there is room for 1"),
    ],
    ids=["roles", "instances", "rules"],
)
def test_a_quota_that_is_too_small_is_reported_before_anything_is_created(
    account: Account, words: str
) -> None:
    with pytest.raises(DeployError, match=f"{words}.*Nothing was created"):
        checked(account)


def test_an_update_needs_a_second_fleet() -> None:
    (said,) = checked(Account(instances=3), instances=2)
    assert "needs 4" in said


@pytest.mark.parametrize("service", ["iam", "service-quotas"])
def test_what_may_not_be_read_is_not_checked(service: str) -> None:
    said = checked(Account(forbids=service, roles=10))
    assert said
    assert all("was not checked" in line for line in said)
