"""Clients of AWS services for a profile and a region."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import boto3

    from dropsort.contract.clients import Clients


class Aws:
    """Creates the client of each AWS service once, for one profile and region."""

    def __init__(self, profile: str | None, region: str | None) -> None:
        self.profile, self.region = profile, region
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    @functools.cached_property
    def session(self) -> boto3.Session:
        """The boto3 session."""
        import boto3

        return boto3.Session(profile_name=self.profile, region_name=self.region)

    @property
    def client(self) -> Clients:
        """Makes the client of a service, with retries for interactive use."""
        return self._client

    def _client(self, service: str) -> Any:
        from botocore.config import Config

        with self._lock:
            if service not in self._clients:
                config = Config(retries={"mode": "standard", "max_attempts": 6}, max_pool_connections=64)
                self._clients[service] = self.session.client(service, config=config)
            return self._clients[service]
