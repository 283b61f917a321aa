"""Where captures and their aggregates are, and the settings of the service that they are of."""

from __future__ import annotations

from dataclasses import dataclass

from dropsort.client.deployed_service import DeployedService
from dropsort.contract import defaults, reference
from dropsort.contract.keys import CAPTURES


@dataclass(frozen=True)
class CaptureLocation:
    """Where captures and aggregates are, and the thresholds of the service."""

    source: str
    state: str
    name: str
    labels: tuple[str, ...] = ()
    threshold: float = defaults.THRESHOLD
    familiarity_threshold: float = defaults.FAMILIARITY_THRESHOLD
    precision: float = defaults.PRECISION
    invoked: int | None = None
    images: bool = False
    reference: str = ""  # where drift's reference lies, a file or s3://bucket/key; "" if nowhere
    compared: str = ""  # what to call it
    stack: str = ""  # of a service, whose CloudWatch has the number of invocations
    bucket: str = ""  # of a service
    model: str = ""  # of a service, the version that it runs
    capture_percent: float = 100.0


def of_service(
    service: DeployedService, state: str | None = None, labels: tuple[str, ...] = ()
) -> CaptureLocation:
    """The captures of a service.

    Parameters
    ----------
    state
        Where the aggregates are; by default in the service's bucket.
    labels
        In place of those that the stack is set to.
    """
    own = tuple(label.strip() for label in service.parameters.get("Labels", "").split(",") if label.strip())
    return CaptureLocation(
        f"s3://{service.bucket}/{CAPTURES}",
        state or f"s3://{service.bucket}/{reference.STATE_PREFIX}",
        f"stack {service.name}, s3://{service.bucket}/{CAPTURES}",
        labels or own,
        float(service.parameters.get("Threshold", defaults.THRESHOLD)),
        float(service.parameters.get("FamiliarityThreshold", defaults.FAMILIARITY_THRESHOLD)),
        precision=service.precision,
        reference=f"s3://{service.bucket}/{reference.KEY}",
        stack=service.name,
        bucket=service.bucket,
        model=service.model,
        capture_percent=float(service.parameters.get("CaptureSamplingPercentage", 100)),
    )
