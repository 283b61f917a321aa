"""A bucket of moto's S3, with versions where a test wants them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

BUCKET = "images"


@pytest.fixture
def versioned() -> bool:
    """Whether the bucket has versions."""
    return False


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, versioned: bool) -> Iterator[Any]:
    """A client of S3 that has the bucket."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("s3", "us-east-1")
        client.create_bucket(Bucket=BUCKET)
        if versioned:
            client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client
