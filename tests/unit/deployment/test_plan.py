"""The plan of a deployment: which parameters are set, and when the template's quotas are checked."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.contract.resources import TEMPLATE
from dropsort.deployment import existing_resources, quotas
from dropsort.deployment import plan as planning
from dropsort.deployment.errors import ParameterConflict
from dropsort.deployment.plan import DeploymentPlan
from training.aws.template import Template

CLIENT: Any = None
REMOTE, LOCAL = "https://cloudformation.eu-west-1.amazonaws.com", "http://localhost:5000"


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[DeploymentPlan, list[str]]]:
    """Plans with these parameters given, and a stack of those in `before`; returns the sentences too."""

    def run(
        given: dict[str, str],
        before: dict[str, str] | None = None,
        *,
        url: str = REMOTE,
        concurrency: int = 1000,
        **options: Any,
    ) -> tuple[DeploymentPlan, list[str]]:
        steps: list[str] = []
        stack = None if before is None else SimpleNamespace(parameters=before)
        monkeypatch.setattr(planning.stacks, "find", lambda *_: stack)
        monkeypatch.setattr(existing_resources, "check", lambda *_: {})
        monkeypatch.setattr(quotas, "check", lambda *found: found[-1]("quotas are checked"))
        monkeypatch.setattr(quotas, "account_concurrency", lambda _: concurrency)
        client: Any = lambda _: SimpleNamespace(meta=SimpleNamespace(endpoint_url=url))  # noqa: E731
        document = Template(TEMPLATE, {}).document
        return planning.plan(client, "s", document, given, on_step=steps.append, **options), steps

    return run


Plan = Callable[..., tuple[DeploymentPlan, list[str]]]


@pytest.mark.parametrize(
    ("given", "before", "url", "found"),
    [
        ({}, None, REMOTE, ("20", "40")),
        ({"EndpointInstanceCount": "2"}, None, REMOTE, ("40", "80")),
        ({}, {"EndpointMaxInstanceCount": "3", "EndpointInstanceCount": ""}, REMOTE, ("60", "120")),
        ({"BacklogConcurrency": "7"}, {}, REMOTE, ("20", "7")),
        ({}, {"BacklogConcurrency": "7"}, REMOTE, ("20", None)),
        ({"ClassifyConcurrency": "5"}, None, REMOTE, ("5", None)),
        ({}, {"ClassifyConcurrency": "5"}, REMOTE, (None, None)),
        ({}, None, LOCAL, (None, None)),
    ],
)
def test_concurrency_is_chosen_once_by_the_instances_of_the_endpoint(
    plan: Plan, given: dict[str, str], before: dict[str, str] | None, url: str, found: tuple[str | None, ...]
) -> None:
    planned, steps = plan(given, before, url=url)
    values = planned.parameters
    assert (values.get("ClassifyConcurrency"), values.get("BacklogConcurrency")) == found
    # AND what was chosen is a sentence, and so are quotas, of a first deployment to AWS alone
    chosen = [f"{name}={values[name]}" for name in values if name not in given]
    assert [step.partition(":")[0] for step in steps if step.partition(":")[0] in chosen] == chosen
    assert ("quotas are checked" in steps) is (before is None and url == REMOTE)
    assert planned.local is (url == LOCAL)


def test_an_account_that_is_too_small_to_reserve_from(plan: Plan) -> None:
    planned, steps = plan({}, None, concurrency=10)
    assert planned.parameters == {"ClassifyConcurrency": "0", "BacklogConcurrency": "5"}
    assert any("runs 10 functions at once: too few to reserve" in step for step in steps)


@pytest.mark.parametrize(
    ("given", "before", "options", "needs_model"),
    [
        ({}, None, {}, True),
        ({"ModelDataUrl": "s3://b/m"}, None, {}, False),
        ({}, {"ModelDataUrl": "s3://b/m"}, {}, False),
        ({}, {"ModelDataUrl": ""}, {}, True),
        ({}, {"ModelDataUrl": "s3://b/m"}, {"model": True}, True),
        ({"CreateEndpoint": "false"}, None, {}, False),
        ({}, {"CreateEndpoint": "false"}, {}, False),
        ({}, {"CreateEndpoint": "false"}, {"model": True}, True),
        ({}, None, {"endpoint": "bikes"}, False),
    ],
)
def test_an_endpoint_of_the_stack_needs_a_model(
    plan: Plan,
    given: dict[str, str],
    before: dict[str, str] | None,
    options: dict[str, Any],
    needs_model: bool,
) -> None:
    planned, _ = plan(given, before, **options)
    assert planned.needs_model is needs_model
    assert planned.parameters.get("EndpointName") == options.get("endpoint")


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


@pytest.mark.parametrize(
    ("before", "given", "local", "conflict"),
    [
        ("false", "true", True, True), ("true", "true", True, False), ("false", "false", True, False), (None, "true", True, False),
        ("false", "true", False, False), ("false", None, True, False),
    ],
)  # fmt: skip
def test_on_this_machine_an_endpoint_of_others_does_not_become_one_of_the_stack(
    before: str | None, given: str | None, local: bool, conflict: bool
) -> None:
    former = {"CreateEndpoint": before} if before else {}
    values = {"CreateEndpoint": given} if given else {}
    if conflict:
        with pytest.raises(ParameterConflict, match="dropsort up --model"):
            planning._endpoint_parameters(values, former, model=False, endpoint=None, local=local)
    else:
        found = planning._endpoint_parameters(values, former, model=False, endpoint=None, local=local)
        assert found == values
    named = planning._endpoint_parameters({}, former, model=False, endpoint="theirs", local=local)
    assert named == {"CreateEndpoint": "false", "EndpointName": "theirs"}
    # AND what is given as a parameter wins over the name
    other = planning._endpoint_parameters(
        {"EndpointName": "x"}, former, model=False, endpoint="theirs", local=local
    )
    assert other == {"CreateEndpoint": "false", "EndpointName": "x"}


@pytest.mark.parametrize(
    ("url", "local"),
    [("http://localhost:1", True), ("http://127.0.0.1:1", True), ("http://[::1]:1", True), ("http://127.0.0.2:1", False), (REMOTE, False)],
)  # fmt: skip
def test_what_is_on_this_machine_has_a_loopback_address(url: str, local: bool) -> None:
    client: Any = lambda _: SimpleNamespace(meta=SimpleNamespace(endpoint_url=url))  # noqa: E731
    assert planning.is_local(client) is local


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
    # AND the name of the stack's own endpoint stays
    planned = DeploymentPlan({}, {"CreateEndpoint": "true", "EndpointName": "mine"}, False, True)
    assert "EndpointName" not in planned.with_model("s3://b/m.tar.gz", FIGURES, thresholds=False).parameters
