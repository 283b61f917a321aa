"""The exceptions of `dropsort.deployment`; each message names the problem and what to do."""

from __future__ import annotations

from dropsort.contract.errors import DropsortError


class DeploymentError(DropsortError):
    """Base of the exceptions of this package."""


class PackageError(DeploymentError):
    """The functions or their libraries could not be packaged."""


class DeployError(DeploymentError):
    """A deployment that cannot begin: a parameter, the artifact bucket or the stack's state."""


class ParameterConflict(DeploymentError):
    """Parameters or options that exclude each other."""


class DestroyError(DeploymentError):
    """A stack or its bucket could not be deleted."""
