"""Checks, before anything changes, that what the template's parameters name exists: endpoint, event bus, KMS key, artifact bucket, model.

CloudFormation takes any name that is spelled correctly; each image would then fail, or its event be lost. What the caller is not permitted
to look up is reported and taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from dropsort.contract.clients import Clients, is_missing_endpoint
from dropsort.contract.progress import OnStep
from dropsort.deployment.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

_OPTIONS = {"ArtifactBucket": "--artifact-bucket"}
_SHOWN = 10  # names in a message


def check(
    client: Clients, values: Mapping[str, str], before: Mapping[str, str], on_step: OnStep
) -> dict[str, str]:
    """Check what `values` name; return parameters to add, which are the ARN of an endpoint that is not the stack's own.

    Parameters
    ----------
    values
        Parameters that are given now; only what they name is looked up.
    before
        Parameters of the stack as it is; empty without one.
    on_step
        Called with a sentence about what was not checked, or is not ready.

    Raises
    ------
    DeployError
        Something is not there; the message names what there is.
    """
    found: dict[str, str] = {}
    own = (values.get("CreateEndpoint") or before.get("CreateEndpoint") or "true") == "true"
    if not own and values.get("EndpointName") and not values.get("EndpointArn"):
        found = _endpoint(client, values["EndpointName"], on_step)
    if not own and values.get("EndpointArn"):
        _endpoint(client, values["EndpointArn"].rsplit("/", 1)[-1], on_step)
    if bus := values.get("EventBusName"):
        _event_bus(client, bus, on_step)
    if key := values.get("KmsKeyArn"):
        _exists(lambda: client("kms").describe_key(KeyId=key), f"KMS key {key}", "KmsKeyArn", on_step)
    if bucket := values.get("ArtifactBucket"):
        _exists(
            lambda: client("s3").head_bucket(Bucket=bucket), f"bucket {bucket}", "ArtifactBucket", on_step
        )
    if url := values.get("ModelDataUrl"):
        place, _, name = url.removeprefix("s3://").partition("/")
        _exists(lambda: client("s3").head_object(Bucket=place, Key=name), url, "ModelDataUrl", on_step)
    return found


def _endpoint(client: Clients, name: str, on_step: OnStep) -> dict[str, str]:
    """The ARN of an endpoint: it is in lower case however the name is written, and IAM compares case."""
    sagemaker = client("sagemaker")
    try:
        found = sagemaker.describe_endpoint(EndpointName=name)
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and is_missing_endpoint(error.response):
            raise DeployError(
                f"There is no endpoint {name} in this region; {_others(sagemaker)}. Check --endpoint and --region."
            ) from error
        if name != name.lower():
            raise DeployError(
                f"Endpoint {name} cannot be looked up ({error}). Its name has capitals, so give its ARN: -p EndpointArn=ARN."
            ) from error
        on_step(f"Endpoint {name} was not checked: {error}")
        return {}
    if found["EndpointStatus"] != "InService":
        on_step(f"Endpoint {name} is {found['EndpointStatus']}: images wait until it is InService")
    return {"EndpointArn": found["EndpointArn"]}


def _others(sagemaker: SageMakerClient) -> str:
    """The endpoints that there are, in words."""
    try:
        found = sagemaker.list_endpoints(MaxResults=_SHOWN + 1)["Endpoints"]
    except (ClientError, BotoCoreError):
        return "those that exist cannot be listed"
    names = [endpoint["EndpointName"] for endpoint in found]
    return _listed("endpoint", names)


def _event_bus(client: Clients, name: str, on_step: OnStep) -> None:
    events = client("events")
    try:
        events.describe_event_bus(Name=name)
    except (ClientError, BotoCoreError) as error:
        if _code(error) != "ResourceNotFoundException":
            on_step(f"Event bus {name} was not checked: {error}")
            return
        try:
            names = [bus["Name"] for bus in events.list_event_buses(Limit=_SHOWN + 1)["EventBuses"]]
        except (ClientError, BotoCoreError):
            names = []
        raise DeployError(
            f"There is no event bus {name} in this region; {_listed('bus', names)}. Check -p EventBusName."
        ) from error


def _exists(look_up: Any, what: str, parameter: str, on_step: OnStep) -> None:
    try:
        look_up()
    except (ClientError, BotoCoreError) as error:
        if _code(error) in ("404", "NoSuchKey", "NoSuchBucket", "NotFoundException"):
            raise DeployError(
                f"There is no {what}: check {_OPTIONS.get(parameter) or f'-p {parameter}'}."
            ) from error
        on_step(f"{what} was not checked: {error}")


def _code(error: Exception) -> str:
    return str(error.response["Error"].get("Code")) if isinstance(error, ClientError) else ""


def _listed(kind: str, names: list[str]) -> str:
    if not names:
        return f"there is no {kind} at all"
    more = ", …" if len(names) > _SHOWN else ""
    return f"it has {', '.join(names[:_SHOWN])}{more}"
