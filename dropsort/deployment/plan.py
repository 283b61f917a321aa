"""Plans a deployment: what is given and the stack as it is → the template parameters to set. Reads alone; changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from dropsort.contract import stack as stacks
from dropsort.contract.clients import Clients
from dropsort.contract.defaults import threshold_parameters, version_parameter
from dropsort.contract.progress import OnStep, no_steps
from dropsort.deployment import existing_resources, quotas
from dropsort.deployment.errors import DeployError, ParameterConflict

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class DeploymentPlan:
    """The parameters that a deployment sets.

    ``before`` has the parameters of the stack as it is, empty without one; ``local`` says that the stack is in an embedded AWS on this
    machine, ``needs_model`` that its endpoint has no model until one is added by `with_model`.
    """

    parameters: dict[str, str]
    before: Mapping[str, str]
    local: bool
    needs_model: bool

    def with_model(self, address: str, figures: Mapping[str, Any], *, thresholds: bool) -> DeploymentPlan:
        """The plan with a model for the stack's endpoint; parameters that are given remain.

        Parameters
        ----------
        address
            The ``s3://`` address of its model.tar.gz.
        figures
            Its metrics.json.
        thresholds
            Whether the thresholds in `figures` become those of the stack.
        """
        values = {"CreateEndpoint": "true", "ModelDataUrl": address, **version_parameter(figures)}
        if thresholds:
            values |= threshold_parameters(figures)
        # The stack has the name of an endpoint that is not its own.
        if self.before.get("CreateEndpoint") == "false":
            values |= {"EndpointName": "", "EndpointArn": ""}
        return replace(self, parameters={**values, **self.parameters}, needs_model=False)


def plan(
    client: Clients,
    stack: str,
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    *,
    model: bool = False,
    endpoint: str | None = None,
    artifact_bucket: str | None = None,
    on_step: OnStep = no_steps,
) -> DeploymentPlan:
    """Plan a deployment; at the first one, check the quotas of the account too.

    Parameters
    ----------
    client
        Makes a client of a service.
    template
        The template as data.
    parameters
        Template parameters that are given; others keep their values.
    model
        Whether a model is given, which needs an endpoint of the stack's own.
    endpoint
        Name of an existing endpoint to use.
    on_step
        Called with a sentence for what is chosen, and for what could not be checked.

    Raises
    ------
    ParameterConflict
        What is given excludes each other.
    DeployError
        The template has no such parameter, something that is named does not exist, or a quota is too small.
    """
    check_names(parameters, template["Parameters"])
    existing = stacks.find(client("cloudformation"), stack)
    before = existing.parameters if existing else {}
    local = is_local(client)
    values = _endpoint_parameters(parameters, before, model=model, endpoint=endpoint, local=local)
    bucket = {"ArtifactBucket": artifact_bucket} if artifact_bucket else {}
    values = existing_resources.check(client, {**values, **bucket}, before, on_step) | values
    if existing is None and not local:
        check_quotas(client, values, template, on_step)
    if "ClassifyConcurrency" not in values.keys() | before.keys() and not local:
        values |= _concurrency(client, {**before, **values}, on_step)
    own = values.get("CreateEndpoint", before.get("CreateEndpoint", "true")) == "true"
    served = values.get("ModelDataUrl") or before.get("ModelDataUrl")
    return DeploymentPlan(values, before, local, needs_model=own and (model or not served))


def check_names(parameters: Mapping[str, str], declared: Collection[str]) -> None:
    """Check that a template declares all of `parameters`.

    Raises
    ------
    DeployError
        It does not; the message names what it declares.
    """
    if unknown := sorted(set(parameters).difference(declared)):
        raise DeployError(
            f"The template has no parameter {', '.join(unknown)}. It has {', '.join(sorted(declared))}."
        )


def is_local(client: Clients) -> bool:
    """Whether the clients reach an embedded AWS on this machine, where functions run on this interpreter."""
    return urlsplit(client("cloudformation").meta.endpoint_url).hostname in LOOPBACK


def _endpoint_parameters(
    given: Mapping[str, str], before: Mapping[str, str], *, model: bool, endpoint: str | None, local: bool
) -> dict[str, str]:
    """The given parameters, and those that a model or the name of an endpoint adds."""
    values = own_endpoint(given, local=local) if model else dict(given)
    if endpoint:
        values = {"CreateEndpoint": "false", "EndpointName": endpoint} | values
    if local and before.get("CreateEndpoint") == "false" and values.get("CreateEndpoint") == "true":
        return own_endpoint(values, local=local)
    return values


def own_endpoint(values: Mapping[str, str], *, local: bool) -> dict[str, str]:
    """The parameters with an endpoint of the stack's own, which a model is for, also if the stack has used another until now.

    Raises
    ------
    ParameterConflict
        The parameters exclude it, or the stack is on this machine.
    """
    if local:
        raise ParameterConflict(
            "A service on this machine takes its model from dropsort up --model FOLDER, not from deploy."
        )
    if values.get("CreateEndpoint", "true") != "true":
        raise ParameterConflict(
            "--model and -p CreateEndpoint=false exclude each other: the model needs an endpoint."
        )
    return {**values, "CreateEndpoint": "true"}


def check_quotas(
    client: Clients, values: Mapping[str, str], template: Mapping[str, Any], on_step: OnStep
) -> None:
    """Reject a first deployment that a quota of the account would end halfway.

    Raises
    ------
    DeployError
        A quota is too small for what the template creates with these parameters.
    """
    kinds = [resource["Type"] for resource in template["Resources"].values()]

    def value(name: str) -> str:
        return str(values.get(name) or template["Parameters"][name]["Default"])

    instances = None
    if value("CreateEndpoint") == "true":
        most = max(int(value("EndpointInstanceCount")), int(value("EndpointMaxInstanceCount")))
        instances = (value("EndpointInstanceType"), most)
    quotas.check(client, kinds.count("AWS::IAM::Role"), kinds.count("AWS::Events::Rule"), instances, on_step)


def _concurrency(client: Clients, values: Mapping[str, str], on_step: OnStep) -> dict[str, str]:
    """The concurrency of Classify and of the backlog that the account's quota and the instances suggest."""
    available = quotas.account_concurrency(client("lambda"))
    instances = max(
        int(values.get(name) or 1) for name in ("EndpointInstanceCount", "EndpointMaxInstanceCount")
    )
    proposed = quotas.classify_concurrency(available, instances)
    if proposed:
        on_step(f"ClassifyConcurrency={proposed}: so many images are sent to the endpoint at once, at most")
    else:
        on_step(
            f"This account runs {available} functions at once: too few to reserve some for the endpoint. Ask AWS for a higher quota "
            "of concurrent executions before large uploads."
        )
    found = {"ClassifyConcurrency": str(proposed)}
    if "BacklogConcurrency" not in values:
        backlog = quotas.backlog_concurrency(available, proposed)
        on_step(
            f"BacklogConcurrency={backlog}: so many uploads that waited are classified again at once, at most"
        )
        found["BacklogConcurrency"] = str(backlog)
    return found
