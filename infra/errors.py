"""What can go wrong while packaging or deploying, said in one sentence that a user can act on."""

from __future__ import annotations


class InfraError(Exception):
    """Base of every error that this package raises on purpose."""


class PackageError(InfraError):
    """The functions or their libraries could not be packaged."""


class DeployError(InfraError):
    """A stack did not get where it should be; the message names the resources and the reasons."""


class DestroyError(InfraError):
    """A stack, or something that it kept, could not be deleted."""
