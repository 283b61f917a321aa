"""AWS clients of the embedded service, whatever this machine's own AWS settings are."""

from __future__ import annotations

import os
import urllib.request
from typing import Any

import boto3
import botocore.credentials
import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from dropsort.local.credentials import Credentials

REGION = "us-east-1"
ACCOUNT = "000000000000"


class EmbeddedSession(boto3.Session):
    """A boto3 session whose clients reach one embedded AWS.

    Profiles, credentials and endpoints of this machine are neither read nor used.

    Parameters
    ----------
    credentials
        Of the service.
    endpoint_url
        Address of the embedded AWS.
    runtime_url
        Address of the embedded SageMaker runtime, if there is one.
    """

    def __init__(self, credentials: Credentials, endpoint_url: str, runtime_url: str = "") -> None:
        core = botocore.session.Session(
            {
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        self._endpoint_url, self._runtime_url = endpoint_url, runtime_url
        super().__init__(
            credentials.access_key_id,
            credentials.secret_access_key,
            region_name=REGION,
            botocore_session=core,
        )

    def _address(self, service: str) -> str:
        return (
            self._runtime_url if self._runtime_url and service == "sagemaker-runtime" else self._endpoint_url
        )

    def client(self, service_name: str, *args: Any, **options: Any) -> Any:
        """As boto3's, with the address of the embedded AWS."""
        options["endpoint_url"] = options.get("endpoint_url") or self._address(service_name)
        options["config"] = _CONFIG.merge(options["config"]) if options.get("config") else _CONFIG
        return super().client(service_name, *args, **options)

    def resource(self, service_name: str, *args: Any, **options: Any) -> Any:
        """As boto3's, with the address of the embedded AWS."""
        options["endpoint_url"] = options.get("endpoint_url") or self._address(service_name)
        return super().resource(service_name, *args, **options)


_CONFIG = Config(
    proxies={},  # a proxy of this machine does not know it
    inject_host_prefix=False,  # no such host names here
    s3={"addressing_style": "path"},
    retries={"mode": "standard", "max_attempts": 5},
    max_pool_connections=32,
)


def environment(credentials: Credentials, endpoint_url: str, runtime_url: str) -> dict[str, str]:
    """Environment variables with which any AWS client reaches the embedded service."""
    # A proxy of this machine does not know the service. Some programs read the one name, some the other.
    others = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    # Each name once, also where the variables are those of an earlier start.
    without_proxy = ",".join(dict.fromkeys(filter(None, (*others, "127.0.0.1", "localhost"))))
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime_url,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "no_proxy": without_proxy,
        "NO_PROXY": without_proxy,
    }


def signed_request(
    credentials: Credentials, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> urllib.request.Request:
    """A signed request to the embedded endpoint, for what no client of AWS sends."""
    request = AWSRequest(method, url, headers, body)
    key = botocore.credentials.Credentials(credentials.access_key_id, credentials.secret_access_key)
    SigV4Auth(key, "sagemaker", REGION).add_auth(request)
    return urllib.request.Request(url, body or None, dict(request.headers), method=method)  # noqa: S310
