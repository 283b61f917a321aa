"""JSON documents in a bucket: what is written, what is read, and what is neither."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from monitoring.errors import MonitoringError
from monitoring.storage.documents import JsonDocuments


@pytest.mark.parametrize(
    ("prefix", "address"), [("", "s3://b/x"), ("p", "s3://b/p/x"), ("p/q", "s3://b/p/q/x")]
)
def test_a_document_has_an_address(prefix: str, address: str) -> None:
    client: Any = None
    assert JsonDocuments(client, "b", prefix).address("x") == address


def test_documents_are_json_and_a_bucket_that_cannot_be_read_holds_not_none_but_an_error(
    aws: tuple[Any, Any],
) -> None:
    documents = JsonDocuments(aws[0], "images", "monitoring")
    assert documents.get("latest.json") is None
    documents.put("latest.json", {"a": 1})
    assert documents.get("latest.json") == {"a": 1}
    stored = aws[0].get_object(Bucket="images", Key="monitoring/latest.json")
    assert (stored["ContentType"], stored["Body"].read()) == (
        "application/json",
        b'{"a":1}',
    )  # without spaces
    with pytest.raises(ClientError, match="NoSuchBucket"):
        JsonDocuments(aws[0], "elsewhere", "monitoring").get("latest.json")
    for body in (b"{", b"\xff", b"[" * 100_000):
        aws[0].put_object(Bucket="images", Key="monitoring/latest.json", Body=body)
        with pytest.raises(
            MonitoringError,
            match=r"^s3://images/monitoring/latest\.json: not JSON \(.+\); delete or replace it$",
        ):
            documents.get("latest.json")
