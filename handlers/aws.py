"""Clients of the functions: one each, made when the function starts, with timeouts that fit into the function's own.

They are made by botocore, boto3's core: boto3 itself would add its transfer manager and a quarter to the time of a cold start.
Requests are not checked against the API model before they are sent: ours have one form each, which the tests send. Their user agent is
ours: botocore composes its own twice per request.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, cast

from botocore.config import Config
from botocore.session import get_session

from handlers import settings

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from mypy_boto3_stepfunctions import SFNClient

# Of every client that an image needs
_CONFIG = Config(connect_timeout=3, user_agent="dropsort", parameter_validation=False)


@cache
def s3() -> S3Client:
    """S3: one quick retry here; waiting is the workflow's part. Both tries end within Filter's 25 seconds."""
    config = Config(retries={"mode": "standard", "total_max_attempts": 2}, read_timeout=8)
    return cast("S3Client", _client("s3", config))


@cache
def events() -> EventBridgeClient:
    """EventBridge: one quick retry, as for S3; what Filter requests of both ends within its 25 seconds unless both are slow."""
    config = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=1, read_timeout=3)
    return cast("EventBridgeClient", _client("events", config))


@cache
def sagemaker_runtime() -> SageMakerRuntimeClient:
    """SageMaker's runtime: trying again is the workflow's part."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=settings.load().invocation_timeout)
    return cast("SageMakerRuntimeClient", _client("sagemaker-runtime", config))


@cache
def lister() -> S3Client:
    """S3 for listings and many reads at once, with retries: there is no workflow to retry them."""
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=3,
        read_timeout=30,
        max_pool_connections=32,
        parameter_validation=False,
    )
    return cast("S3Client", get_session().create_client("s3", config=config))


@cache
def functions() -> LambdaClient:
    """Lambda: one attempt, as a throttle is a result."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=70)
    return cast("LambdaClient", get_session().create_client("lambda", config=config))


@cache
def stepfunctions() -> SFNClient:
    """Step Functions, with a few retries."""
    config = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=3, read_timeout=10)
    return cast("SFNClient", get_session().create_client("stepfunctions", config=config))


def _client(service: str, config: Config) -> object:
    return get_session().create_client(service, config=_CONFIG.merge(config))


def starting() -> bool:
    """Whether this is a function that starts: then clients are best made at once, while start-up has a whole CPU."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ
