"""What can go wrong while packaging or deploying, said in one sentence that a user can act on."""

from __future__ import annotations

from dropsort.contract.errors import DropsortError


class DeploymentError(DropsortError):
    """Base of every error that this package raises on purpose."""


class PackageError(DeploymentError):
    """The functions or their libraries could not be packaged."""


class DeployError(DeploymentError):
    """A stack did not get where it should be; the message names the resources and the reasons."""


class DestroyError(DeploymentError):
    """A stack, or something that it kept, could not be deleted."""
