"""`dropsort deploy`: names that AWS would reject late; nothing is created before everything is checked."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.client import BaseClient
from moto import mock_aws

from dropsort.cli.main import main


@pytest.mark.parametrize("name", ["dropsort-", "-dropsort", "drop_sort", "1sort", "x" * 55])
def test_a_stack_name_that_resources_cannot_be_named_after(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["deploy", "--stack", name])
    assert ended.value.code == 2
    assert "no hyphen at the end" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "Treshold=0.9"], "The template has no parameter Treshold. It has AlarmEmail,"),
        ([], "IAM roles; the account may create 5 more. "),
    ],
    ids=["parameter", "quota"],
)
def test_nothing_is_created_or_uploaded_before_parameters_and_quotas_are_checked(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # GIVEN an account that has five IAM roles left
    calls: list[str] = []
    real = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        if "127.0.0.1" in client.meta.endpoint_url:  # of the local service, which other tests have started
            return real(client, operation, parameters)
        calls.append(operation)
        if operation == "GetAccountSummary":
            return {"SummaryMap": {"Roles": 995, "RolesQuota": 1000}}
        if operation == "ListServiceQuotas":  # moto has none
            return {"Quotas": []}
        return real(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    # WHEN the service is deployed
    with mock_aws(), pytest.raises(SystemExit) as ended:
        main(["deploy", "--region", "eu-west-1", *arguments])
    # THEN nothing but reading was requested
    assert ended.value.code == 1
    assert words in capsys.readouterr().err
    assert all(operation.startswith(("Describe", "Get", "List")) for operation in calls), calls
