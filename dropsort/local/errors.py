"""Errors of the service on one machine: one sentence that says what to do."""

from __future__ import annotations

from dropsort.contract.errors import DropsortError


class LocalError(DropsortError):
    """Base of every error that this package raises on purpose."""


class InstallError(LocalError):
    """The embedded AWS could not be installed."""


class StartError(LocalError):
    """A process of the service did not start, or died; the message names its log."""


class InUseError(LocalError):
    """Another running service has the port or the data folder."""


class CredentialsError(LocalError):
    """The file with the service's credentials is damaged, or others can read or replace it."""


class TemplateError(LocalError):
    """The template says something that the embedded endpoint cannot do."""
