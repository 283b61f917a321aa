"""Clients of the embedded AWS do not see this machine's settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.config import Config
from botocore.utils import get_environ_proxies

from dropsort.local import clients, credentials
from dropsort.local.clients import EmbeddedSession


def test_settings_of_the_machine_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # GIVEN a machine with a profile that does not exist, another region, address and proxy
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\nendpoint_url = http://elsewhere\n")
    for name, value in {
        "AWS_PROFILE": "nobody",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": "http://elsewhere",
        "AWS_ENDPOINT_URL_S3": "http://elsewhere",
        "AWS_ACCESS_KEY_ID": "real",
        "HTTP_PROXY": "http://proxy:1",
    }.items():
        monkeypatch.setenv(name, value)
    # WHEN clients are made
    secrets = credentials.make()
    session = EmbeddedSession(secrets, "http://127.0.0.1:1", "http://127.0.0.1:2")
    s3, runtime = session.client("s3"), session.client("sagemaker-runtime")
    # THEN they go where we say
    assert s3.meta.endpoint_url == "http://127.0.0.1:1"
    assert runtime.meta.endpoint_url == "http://127.0.0.1:2"
    assert session.client("sagemaker").meta.endpoint_url == "http://127.0.0.1:1"
    for client in (s3, session.client("s3", config=Config(read_timeout=5))):
        assert client.meta.config.inject_host_prefix is False
        assert client.meta.config.retries["total_max_attempts"] == 6
        assert client.meta.config.s3 == {"addressing_style": "path"}
    assert s3.meta.region_name == clients.REGION
    assert session.get_credentials().access_key == secrets.access_key_id
    assert s3.meta.config.proxies == {}
    assert session.resource("s3").meta.client.meta.endpoint_url == "http://127.0.0.1:1"


def test_the_environment_has_all_that_a_client_needs() -> None:
    secrets = credentials.make()
    found = clients.environment(secrets, "http://a", "http://b")
    assert found["AWS_ENDPOINT_URL"] == "http://a"
    assert found["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] == "http://b"
    assert found["AWS_ACCESS_KEY_ID"] == secrets.access_key_id
    assert found["AWS_SECRET_ACCESS_KEY"] == secrets.secret_access_key
    assert found["AWS_DEFAULT_REGION"] == clients.REGION


def test_a_proxy_of_this_machine_is_not_used_for_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN proxies that nothing listens to, and hosts that they are not for
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.delenv("no_proxy", raising=False)
    found = clients.environment(credentials.make(), "http://127.0.0.1:1", "")
    assert found["NO_PROXY"] == found["no_proxy"] == "example.org,127.0.0.1,localhost"
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    again = clients.environment(credentials.make(), "http://127.0.0.1:1", "")
    assert again["NO_PROXY"] == found["NO_PROXY"]  # not longer with each start

    # WHEN any client is made in that environment THEN it goes to the service itself
    assert not get_environ_proxies("http://127.0.0.1:1")
    assert not get_environ_proxies("http://example.org")
    assert get_environ_proxies("http://example.com")
