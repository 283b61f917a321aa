"""Small JSON documents that the monitoring function stores in the bucket, next to the state of the aggregates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from monitoring.errors import MonitoringError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class JsonDocuments:
    """JSON documents below a prefix of a bucket, read and written with a boto3 S3 client."""

    def __init__(self, s3: S3Client, bucket: str, prefix: str) -> None:
        self._s3, self._bucket, self._prefix = s3, bucket, f"{prefix}/" if prefix else ""

    def address(self, document: str) -> str:
        """A document's address, for messages."""
        return f"s3://{self._bucket}/{self._prefix}{document}"

    def get(self, document: str) -> Any:
        """Read a document; None if there is none.

        Raises
        ------
        MonitoringError
            It is not JSON.
        """
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=f"{self._prefix}{document}")["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return None
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MonitoringError(
                f"{self.address(document)}: not JSON ({error}); delete or replace it"
            ) from None

    def put(self, document: str, value: object) -> None:
        """Write a document, completely or not at all."""
        body = json.dumps(value, separators=(",", ":")).encode()
        self._s3.put_object(
            Bucket=self._bucket, Key=f"{self._prefix}{document}", Body=body, ContentType="application/json"
        )
