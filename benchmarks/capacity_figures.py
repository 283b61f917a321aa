"""The assumptions of a simulation of the capacity, and its result."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Assumptions:
    """What the template does not contain; every one is an option of the command."""

    account_concurrency: int = 1000  # functions at once in the region
    concurrency: int = 0  # reserved for Classify; 0: none
    rate: float = 150.0  # images per second of one instance
    instances: int = 1
    max_instances: int = 0  # above `instances`: autoscaling
    workers: int = 4  # requests that an instance works on at once: its vCPUs
    queue: int = 100  # requests that wait in its container; then it responds 503
    event_seconds: float = 0.5  # from the upload to the start of the execution
    cold_start_seconds: float = 1.2
    serialize_seconds: float = 0.08
    classify_seconds: float = 0.02  # without the endpoint
    filter_seconds: float = 0.1
    refused_seconds: float = 0.05  # a throttled invocation
    spread: float = 0.0  # durations of functions vary evenly by this share to both sides
    instance_start_seconds: float = 300.0
    dead_from: float = 0.0
    outage_seconds: float = 0.0  # how long the endpoint is unavailable
    hangs: bool = False  # an unavailable endpoint does not respond, rather than with an error
    new_environments: int = 1000  # of one function, in ten seconds
    no_backlog: bool = False  # what failed stays so
    horizon_days: float = 7.0  # what has no result by then counts as failed


@dataclass
class SimulationResult:
    """What became of the uploads, and what it took."""

    results: int = 0
    failed: int = 0  # recorded below failed/, retryable
    without_result: int = 0
    redriven: int = 0  # items of runs of the backlog
    runs: int = 0
    max_waiting: int = 0  # retryable failures at one time
    max_concurrency: int = 0  # of Classify: requests to the endpoint at once
    max_concurrent_functions: int = 0
    drained_seconds: float = 0.0  # until the last upload had its result, from the first upload on
    dollars: float = 0.0  # apart from the endpoint
    endpoint_dollars: float = 0.0
    throttles: int = 0
    busy: int = 0
    max_instances: int = 0
    simulated: int = 0  # uploads; fewer than there are: the figures are extrapolated


@dataclass(frozen=True)
class TimePoint:
    """The state at one time; ``functions`` and ``classify`` are the most at once since the sample before."""

    seconds: float
    results: int
    waiting: int  # retryable failures
    without_result: int
    functions: int
    classify: int
    instances: int


_ADDITIVE = (
    "results",
    "failed",
    "without_result",
    "redriven",
    "runs",
    "max_waiting",
    "drained_seconds",
    "dollars",
    "endpoint_dollars",
    "throttles",
    "busy",
)


def extrapolated(half: SimulationResult, whole: SimulationResult, uploads: int) -> SimulationResult:
    """The outcome of more uploads, at the same pace, than were simulated: a straight line through two simulations.

    What an outage or a start costs is in both, and so counts once; what is at most at one time is that of the larger simulation.

    Parameters
    ----------
    half, whole
        Outcomes of a smaller and a larger number of uploads at the same pace, each long enough for all that happens at the beginning.
    """
    factor = (uploads - whole.simulated) / (whole.simulated - half.simulated)

    def further(name: str) -> float:
        before, after = getattr(half, name), getattr(whole, name)
        value = after + factor * (after - before)
        return max(0, round(value)) if isinstance(after, int) else max(0.0, value)

    return replace(whole, **{name: further(name) for name in _ADDITIVE})
