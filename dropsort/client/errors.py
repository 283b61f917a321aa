"""Errors of the client: one sentence that says what to do."""

from __future__ import annotations

from dropsort.contract.errors import DropsortError


class ClientError(DropsortError):
    """Base of every error that this package raises on purpose."""


class NotFoundError(ClientError):
    """There is no such service."""


class DropError(ClientError):
    """The files cannot be uploaded; nothing was uploaded yet."""


class MissingResultsError(ClientError):
    """Uploads that have no result after the timeout."""

    def __init__(self, message: str, keys: list[str]) -> None:
        super().__init__(message)
        self.keys = keys
