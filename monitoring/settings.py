"""Settings of the monitoring function, read from its environment variables, which the template sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dropsort.contract.defaults import FAMILIARITY_THRESHOLD, THRESHOLD, WORKFLOW_TYPE
from monitoring.errors import MonitoringError


@dataclass(frozen=True)
class MonitoringSettings:
    """What the template passes; names are those of the environment variables, in upper case."""

    stack_name: str
    bucket_name: str
    threshold: float = THRESHOLD
    familiarity_threshold: float = FAMILIARITY_THRESHOLD
    labels: tuple[str, ...] = ()
    capture_percent: float = 100.0
    workflow_type: str = WORKFLOW_TYPE
    instance_type: str = ""  # of an endpoint that the stack pays for
    instance_count: int = 1

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> MonitoringSettings:
        """Read the environment.

        Raises
        ------
        MonitoringError
            A variable is missing or is not a number; the message names it.
        """
        try:
            return cls(
                stack_name=environment["STACK_NAME"],
                bucket_name=environment["BUCKET_NAME"],
                threshold=_number(environment, "THRESHOLD", cls.threshold),
                familiarity_threshold=_number(
                    environment, "FAMILIARITY_THRESHOLD", cls.familiarity_threshold
                ),
                labels=tuple(
                    name.strip() for name in environment.get("LABELS", "").split(",") if name.strip()
                ),
                capture_percent=_number(environment, "CAPTURE_PERCENT", cls.capture_percent),
                workflow_type=environment.get("WORKFLOW_TYPE", cls.workflow_type),
                instance_type=environment.get("INSTANCE_TYPE", ""),
                instance_count=int(_number(environment, "INSTANCE_COUNT", cls.instance_count)),
            )
        except KeyError as error:
            raise MonitoringError(f"the environment variable {error.args[0]} is missing") from None


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        return float(text)
    except ValueError:
        raise MonitoringError(f"the environment variable {name} is not a number: {text!r}") from None
