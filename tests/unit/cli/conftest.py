"""The bucket and results of the client's tests, for commands that run against them."""

from tests.unit.client.conftest import aws, s3, write_result

__all__ = ["aws", "s3", "write_result"]
