"""`dropsort deploy`: names that AWS would reject late, endpoints of others, and the quotas of the template."""

from __future__ import annotations

from typing import Any

import click
import pytest
from botocore.exceptions import ClientError

from dropsort.cli import deployment
from dropsort.cli.main import main


class Endpoints:
    """SageMaker with one endpoint, whose name has capitals, or without the permission to look."""

    def __init__(self, problem: str = "", status: str = "InService") -> None:
        self.problem, self.status = problem, status

    def client(self, _service: str) -> Endpoints:
        return self

    def describe_endpoint(self, EndpointName: str) -> dict[str, str]:
        if self.problem:
            error = {"Error": {"Code": "ValidationException", "Message": self.problem}}
            raise ClientError(error, "DescribeEndpoint")
        arn = f"arn:aws:sagemaker:eu-west-1:111122223333:endpoint/{EndpointName.lower()}"
        return {"EndpointArn": arn, "EndpointStatus": self.status}


def looked_up(endpoints: Any, name: str) -> dict[str, str]:
    return deployment._existing_endpoint(endpoints, name)


def test_an_endpoint_with_capitals_brings_its_arn(capsys: pytest.CaptureFixture[str]) -> None:
    found = looked_up(Endpoints(), "Bikes")
    assert found == {"EndpointArn": "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/bikes"}
    looked_up(Endpoints(status="Updating"), "Bikes")
    assert "is Updating: images wait" in capsys.readouterr().err


def test_an_endpoint_that_is_not_there_is_an_error_before_anything_is_created() -> None:
    with pytest.raises(click.ClickException, match="no endpoint Bikes in this region"):
        looked_up(Endpoints("Could not find endpoint"), "Bikes")


def test_without_the_permission_capitals_need_the_arn_and_others_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(click.ClickException, match="-p EndpointArn=ARN"):
        looked_up(Endpoints("not authorized"), "Bikes")
    assert looked_up(Endpoints("not authorized"), "bikes") == {}
    assert "was not checked" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["dropsort-", "-dropsort", "drop_sort", "1sort", "x" * 55])
def test_a_stack_name_that_resources_cannot_be_named_after(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["deploy", "--stack", name])
    assert ended.value.code == 2
    assert "no hyphen at the end" in capsys.readouterr().err


def test_a_first_deployment_checks_the_roles_rules_and_instances_of_the_template(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dropsort.deployment import quotas

    asked: list[Any] = []
    monkeypatch.setattr(quotas, "check", lambda _client, *rest: asked.append(rest[:3]))
    aws: Any = Endpoints()
    deployment._check_quotas(aws, {"EndpointMaxInstanceCount": "4"})
    deployment._check_quotas(aws, {"CreateEndpoint": "false"})
    (roles, rules, instances), (_, _, none) = asked
    assert roles >= 9
    assert rules >= 2
    assert (instances, none) == (("ml.m5.xlarge", 4), None)


def test_a_model_gives_a_stack_an_endpoint_of_its_own() -> None:
    # GIVEN a stack that uses somebody else's endpoint: its parameters stay as they are unless they are given
    assert deployment._own_endpoint({}, here=False) == {"CreateEndpoint": "true"}
    with pytest.raises(click.UsageError, match="CreateEndpoint=false"):
        deployment._own_endpoint({"CreateEndpoint": "false"}, here=False)
    with pytest.raises(click.UsageError, match="dropsort up --model"):
        deployment._own_endpoint({}, here=True)
