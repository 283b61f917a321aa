"""Small JSON documents that the hourly function keeps in the bucket, beside the aggregates' state."""

from __future__ import annotations

import json
from typing import Any

from monitoring.errors import MonitoringError


class Kept:
    """JSON documents below a prefix of a bucket, read and written with a boto3 S3 client."""

    def __init__(self, s3: Any, bucket: str, prefix: str) -> None:
        self._s3, self._bucket, self._prefix = s3, bucket, prefix

    def name(self, document: str) -> str:
        """A document's address, for messages."""
        return f"s3://{self._bucket}/{self._prefix}/{document}"

    def get(self, document: str) -> Any:
        """A document; None if there is none. A MonitoringError says that it is not JSON."""
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{document}")["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return None
        try:
            return json.loads(body)
        except ValueError as error:
            raise MonitoringError(
                f"{self.name(document)}: not JSON ({error}); delete or replace it"
            ) from None

    def put(self, document: str, value: object) -> None:
        """Write a document, whole or not at all."""
        body = json.dumps(value, separators=(",", ":")).encode()
        self._s3.put_object(
            Bucket=self._bucket, Key=f"{self._prefix}/{document}", Body=body, ContentType="application/json"
        )
