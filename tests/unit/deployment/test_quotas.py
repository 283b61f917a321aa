"""The reserved concurrency that a deployment proposes, and the quotas that it needs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

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
        self.error: Exception = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Get")

    def __call__(self, service: str) -> Any:
        assert service in ("iam", "events", "service-quotas")
        if service == self.forbids:
            raise self.error
        return self

    def get_account_summary(self) -> Any:
        return self.values["IAM"]

    def get_paginator(self, operation: str) -> Any:
        account = self

        class Pages:
            def paginate(self, ServiceCode: str = "", PaginationConfig: Any = None) -> list[dict[str, Any]]:
                if operation == "list_rules":
                    return [{"Rules": [{}] * account.rules}]
                assert PaginationConfig == {"PageSize": 100}
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
        (Account(roles=995), "needs 8 IAM roles; the account may create 5 more"),
        (Account(instances=0), "needs 1 ml.m5.xlarge; the account may run 0"),
        (Account(rules=299), "needs 2 EventBridge rules; the account may create 1 more"),
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


@pytest.mark.parametrize(
    ("service", "names"),
    [("iam", ["IAM roles"]), ("events", ["EventBridge rules"]), ("service-quotas", ["EventBridge rules", "endpoint instances"])],
)  # fmt: skip
def test_what_may_not_be_read_is_not_checked(service: str, names: list[str]) -> None:
    account = Account(forbids=service, roles=10)
    for error in (account.error, EndpointConnectionError(endpoint_url="https://iam")):
        account.error = error
        assert checked(account) == [f"The quota of {name} was not checked: {error}" for name in names]


def test_a_quota_that_is_not_listed_at_all_is_no_problem() -> None:
    account = Account(rules=300, instances=0)
    account.values["events"] = account.values["sagemaker"] = []
    assert checked(account) == []


def test_what_is_just_enough_passes() -> None:
    assert checked(Account(roles=992, rules=298, instances=2)) == []
    assert checked(Account(instances=4), instances=2) == []
    (said,) = checked(Account(instances=1))
    assert "may run 1 ml.m5.xlarge" in said
    assert "needs 2." in said


def test_an_endpoint_of_others_needs_no_instances() -> None:
    quotas.check(Account(instances=0), 8, 2, None)  # type: ignore[arg-type]


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(DeployError) as error:
        checked(Account(roles=1000, rules=300, instances=0))
    for words in ("8 IAM roles; the account may create 0 more.", "2 EventBridge rules; the account may create 0 more.",
                  "1 ml.m5.xlarge; the account may run 0 (quota 'ml.m5.xlarge for endpoint usage')."):  # fmt: skip
        assert words in str(error.value)


def test_a_quota_that_the_account_does_not_list_has_its_default_and_an_unknown_one_is_none() -> None:
    class Defaults(Account):
        def get_paginator(self, operation: str) -> Any:
            listed = super().get_paginator(operation)
            if operation == "list_service_quotas":
                self.values["events"], self.values["sagemaker"] = [], []
            if operation == "list_aws_default_service_quotas":
                self.values["events"] = [
                    {"QuotaName": "Other", "Value": 0.0},
                    {"QuotaName": "Rules", "Value": 1.0},
                ]
            return listed

    with pytest.raises(DeployError, match="2 EventBridge rules; the account may create -1 more"):
        checked(Defaults())


def test_without_reservations_of_others_all_may_run() -> None:
    class Functions:
        def get_account_settings(self) -> dict[str, dict[str, int]]:
            return {"AccountLimit": {"ConcurrentExecutions": 1000}}

    assert quotas.account_concurrency(Functions()) == 1000  # type: ignore[arg-type]


def test_the_numbers_that_a_proposal_is_made_of() -> None:
    assert (quotas.PER_INSTANCE, quotas.UNRESERVED, quotas.FOR_OTHERS) == (20, 100, 400)
