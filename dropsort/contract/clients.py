"""The type of a function that makes AWS clients: ``boto3.Session().client``, or one with an endpoint or a profile of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_sts import STSClient


class Clients(Protocol):
    """Makes the client of a service."""

    @overload
    def __call__(self, service_name: Literal["cloudformation"], /) -> CloudFormationClient: ...
    @overload
    def __call__(self, service_name: Literal["cloudwatch"], /) -> CloudWatchClient: ...
    @overload
    def __call__(self, service_name: Literal["lambda"], /) -> LambdaClient: ...
    @overload
    def __call__(self, service_name: Literal["logs"], /) -> CloudWatchLogsClient: ...
    @overload
    def __call__(self, service_name: Literal["s3"], /) -> S3Client: ...
    @overload
    def __call__(self, service_name: Literal["sagemaker"], /) -> SageMakerClient: ...
    @overload
    def __call__(self, service_name: Literal["stepfunctions"], /) -> SFNClient: ...
    @overload
    def __call__(self, service_name: Literal["sts"], /) -> STSClient: ...
    @overload
    def __call__(self, service_name: str, /) -> Any: ...
    def __call__(self, service_name: str, /) -> Any:
        """The client of a service, by boto3's name for it."""


def is_missing_endpoint(response: Mapping[str, Any]) -> bool:
    """Whether the response of a botocore error says that SageMaker has no such endpoint: DescribeEndpoint has no error code for it."""
    return "Could not find" in response["Error"].get("Message", "")
