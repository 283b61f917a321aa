"""A request to AWS as data: built by pure functions, validated against the service's model, printed or sent.

`training.jobs` and `training.registry` build `AwsRequest`s; a dry run passes them to a callback and sends nothing, so it
needs neither an account nor a network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import botocore.loaders
import botocore.validate
from botocore.exceptions import BotoCoreError, ClientError, UnknownServiceError
from botocore.model import ServiceModel

from training.errors import TrainingError

if TYPE_CHECKING:
    import boto3


@dataclass(frozen=True)
class AwsRequest:
    """A call of one operation, its parameters in the shape that boto3 takes.

    `note` is for readers of a dry run: where a value comes from, who sends the request.
    """

    service: str  # as boto3 names the client: "sagemaker"
    operation: str  # as the service names it: "CreateTrainingJob"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def document(self) -> dict[str, Any]:
        """The request as something that `json.dumps` takes."""
        note = {"note": self.note} if self.note else {}
        return {
            "service": self.service,
            "operation": self.operation,
            **note,
            "parameters": dict(self.parameters),
        }


OnRequest = Callable[[AwsRequest], None]


def no_request(request: AwsRequest) -> None:
    """Ignore a request."""


def check(request: AwsRequest) -> None:
    """Validate a request against the service's model in botocore.

    botocore itself checks names, types and lower bounds before it sends; enumerations, patterns and upper bounds are
    in its models too but left to the service, so they are checked here: a dry run does not reach the service.

    Raises
    ------
    TrainingError
        The request is not valid; the message names every problem.
    """
    model = service_model(request.service)
    if request.operation not in model.operation_names:
        raise TrainingError(f"{request.service} has no operation {request.operation}")
    shape = model.operation_model(request.operation).input_shape
    parameters = dict(request.parameters)
    if shape is None:
        return
    found = botocore.validate.ParamValidator().validate(parameters, shape)
    problems = [found.generate_report()] if found.has_errors() else list(_violations(parameters, shape))
    if problems:
        raise TrainingError(f"{request.service} {request.operation} is not valid: {'; '.join(problems)}")


def send(request: AwsRequest, session: boto3.Session) -> dict[str, Any]:
    """Check and send a request with a boto3 session.

    Raises
    ------
    TrainingError
        The request is not valid, or AWS returned an error.
    """
    check(request)
    try:
        client = session.client(request.service)
        method = getattr(client, botocore.xform_name(request.operation))
        return dict(method(**request.parameters))
    except (BotoCoreError, ClientError) as error:
        raise TrainingError(f"{request.service} {request.operation} failed: {error}") from error


def send_all(
    requests: Sequence[AwsRequest], session: boto3.Session, on_request: OnRequest
) -> list[dict[str, Any]]:
    """Send valid requests in their order, each after `on_request` was called with it; return the responses."""
    responses = []
    for request in requests:
        check(request)
        on_request(request)
        responses.append(send(request, session))
    return responses


@lru_cache(maxsize=4)
def service_model(service: str) -> ServiceModel:
    """botocore's description of a service, read from the installed package."""
    try:
        return ServiceModel(botocore.loaders.Loader().load_service_model(service, "service-2"), service)
    except UnknownServiceError as error:
        raise TrainingError(f"botocore has no service {service!r}") from error


def split_s3(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` address; the key may be empty."""
    match = re.fullmatch(r"s3://([^/]+)(?:/(.*))?", uri)
    if not match:
        raise TrainingError(f"{uri!r} is not an S3 address: give s3://BUCKET/KEY")
    return match[1], match[2] or ""


def _violations(value: Any, shape: Any, path: str = "") -> Iterator[str]:
    if shape.type_name == "structure":
        for name, member in value.items():
            yield from _violations(member, shape.members[name], f"{path}.{name}".lstrip("."))
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield from _violations(item, shape.member, f"{path}[{index}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _violations(key, shape.key, f"{path} key {key!r}")
            yield from _violations(item, shape.value, f"{path}.{key}")
    constraints = shape.metadata
    size = value if isinstance(value, int | float) else len(value) if hasattr(value, "__len__") else None
    if size is not None and not isinstance(value, bool) and size > constraints.get("max", size):
        yield f"{path} is {size}, at most {constraints['max']} is allowed"
    if isinstance(value, str):
        if constraints.get("enum") and value not in constraints["enum"]:
            yield f"{path} is {value!r}, allowed are {', '.join(constraints['enum'])}"
        pattern = constraints.get("pattern")
        if pattern and not _matches(pattern, value):
            yield f"{path} is {value!r}, which does not match {pattern}"


def _matches(pattern: str, value: str) -> bool:
    # The models are written for Java's regular expressions; Python has wider names for these three classes.
    for java, python in ((r"\p{L}", r"\w"), (r"\p{N}", r"\d"), (r"\p{Z}", r"\s")):
        pattern = pattern.replace(java, python)
    try:
        return re.search(f"^(?:{pattern})$", value, re.DOTALL) is not None
    except re.error:
        return True  # a pattern that Python cannot read is the service's to check
