"""What can go wrong between a person's machine and a running service, in one sentence that a user can act on."""

from __future__ import annotations

from dropsort.contract.errors import DropsortError


class ClientError(DropsortError):
    """Base of every error that this package raises on purpose."""


class NotFoundError(ClientError):
    """There is no such service, or nothing to do."""


class DropError(ClientError):
    """Files cannot be dropped as asked; nothing was uploaded yet."""


class MissingResultsError(ClientError):
    """Uploads that have no result after the time that was given."""

    def __init__(self, message: str, keys: list[str]) -> None:
        super().__init__(message)
        self.keys = keys
