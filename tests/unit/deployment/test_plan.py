"""The plan of a deployment: which parameters are set, and when the template's quotas are checked."""

from __future__ import annotations

from typing import Any

import pytest

from dropsort.contract.resources import TEMPLATE
from dropsort.deployment import plan as planning
from dropsort.deployment import quotas
from dropsort.deployment.errors import ParameterConflict
from dropsort.deployment.plan import DeploymentPlan
from training.aws.template import Template

CLIENT: Any = None


def test_a_first_deployment_checks_the_roles_rules_and_instances_of_the_template(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[Any] = []
    monkeypatch.setattr(quotas, "check", lambda _client, *rest: checked.append(rest[:3]))
    document = Template(TEMPLATE, {}).document
    planning.check_quotas(CLIENT, {"EndpointMaxInstanceCount": "4"}, document, print)
    planning.check_quotas(CLIENT, {"CreateEndpoint": "false"}, document, print)
    (roles, rules, instances), (_, _, none) = checked
    assert roles >= 9
    assert rules >= 2
    assert (instances, none) == (("ml.m5.xlarge", 4), None)


def test_a_model_gives_a_stack_an_endpoint_of_its_own() -> None:
    # GIVEN a stack that uses somebody else's endpoint: its parameters stay as they are unless they are given
    assert planning.own_endpoint({}, local=False) == {"CreateEndpoint": "true"}
    with pytest.raises(ParameterConflict, match="CreateEndpoint=false"):
        planning.own_endpoint({"CreateEndpoint": "false"}, local=False)
    with pytest.raises(ParameterConflict, match="dropsort up --model"):
        planning.own_endpoint({}, local=True)


FIGURES = {"model": "two", "threshold": 0.75}


@pytest.mark.parametrize("thresholds", [True, False])
def test_a_model_sets_its_address_and_version_but_nothing_that_is_given(thresholds: bool) -> None:
    given = {"ModelVersion": "mine"}
    planned = DeploymentPlan(given, {}, local=False, needs_model=True)
    found = planned.with_model("s3://b/m.tar.gz", FIGURES, thresholds=thresholds)
    assert not found.needs_model
    assert found.parameters["ModelVersion"] == "mine"
    assert found.parameters["ModelDataUrl"] == "s3://b/m.tar.gz"
    assert found.parameters["CreateEndpoint"] == "true"
    assert found.parameters.get("Threshold") == ("0.75" if thresholds else None)
    assert "EndpointName" not in found.parameters


def test_a_model_takes_the_place_of_an_endpoint_that_is_not_the_stacks() -> None:
    planned = DeploymentPlan({}, {"CreateEndpoint": "false", "EndpointName": "theirs"}, False, True)
    found = planned.with_model("s3://b/m.tar.gz", FIGURES, thresholds=False).parameters
    assert (found["EndpointName"], found["EndpointArn"], found["ModelVersion"]) == ("", "", "two")
