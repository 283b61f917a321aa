"""The limits and retriers of the deployment, read from the template: what `benchmarks.capacity` simulates."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dropsort.contract.resources import TEMPLATE

FUNCTIONS = ("Serialize", "Classify", "Filter")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads intrinsic functions such as ``!Ref`` as their argument alone, which is enough for numbers and names."""


def _argument(loader: _Loader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]  # there are three kinds of nodes


_Loader.add_multi_constructor("!", _argument)


@dataclass(frozen=True)
class Retrier:
    """One retrier of a state."""

    errors: frozenset[str]
    interval: float  # seconds
    rate: float
    attempts: int
    longest: float  # seconds between two tries
    full_jitter: bool

    @classmethod
    def read(cls, member: Mapping[str, Any]) -> Retrier:
        """From the definition; Step Functions' defaults for what it leaves out."""
        return cls(
            errors=frozenset(member["ErrorEquals"]),
            interval=float(member.get("IntervalSeconds", 1)),
            rate=float(member.get("BackoffRate", 2)),
            attempts=int(member.get("MaxAttempts", 3)),
            longest=float(member.get("MaxDelaySeconds", 31_622_400)),
            full_jitter=member.get("JitterStrategy") == "FULL",
        )

    def matches(self, error: str) -> bool:
        """Whether this retrier handles an error."""
        return error in self.errors or "States.ALL" in self.errors

    def delay(self, tried: int, chance: random.Random) -> float:
        """Seconds to wait after so many tries of this retrier."""
        most = min(self.interval * self.rate ** min(tried, 32), self.longest)
        return chance.uniform(0, most) if self.full_jitter else most


@dataclass(frozen=True)
class State:
    """A task of the workflow and its function."""

    retriers: tuple[Retrier, ...]
    timeout: float  # seconds, of the state
    function_timeout: float  # seconds
    memory_gb: float


@dataclass(frozen=True)
class Deployment:
    """What the template deploys, as far as capacity depends on it."""

    states: dict[str, State]
    workflow_timeout: float  # seconds
    invocation_timeout: float  # seconds
    instances: int
    max_instances: int
    invocations_per_instance: float  # a minute, that autoscaling aims at
    scale_out_cooldown: float  # seconds
    backlog_concurrency: int
    backlog_seconds: float  # between two invocations of the backlog function


def read(template: Path = TEMPLATE) -> Deployment:
    """Read the template with its parameters' defaults.

    Raises
    ------
    KeyError
        The template lacks something that the simulation needs.
    """
    document = yaml.load(template.read_text(encoding="utf-8"), Loader=_Loader)
    resources, parameters = document["Resources"], document["Parameters"]
    definition = resources["StateMachine"]["Properties"]["Definition"]
    states = {}
    for name in FUNCTIONS:
        task, function = definition["States"][name], resources[f"{name}Function"]["Properties"]
        states[name] = State(
            retriers=tuple(Retrier.read(member) for member in task["Retry"]),
            timeout=float(task["TimeoutSeconds"]),
            function_timeout=float(function["Timeout"]),
            memory_gb=function["MemorySize"] / 1024,
        )
    policy = resources["EndpointScalingPolicy"]["Properties"]["TargetTrackingScalingPolicyConfiguration"]
    return Deployment(
        states=states,
        workflow_timeout=float(definition["TimeoutSeconds"]),
        invocation_timeout=float(parameters["InvocationTimeoutSeconds"]["Default"]),
        instances=int(parameters["EndpointInstanceCount"]["Default"]),
        max_instances=int(parameters["EndpointMaxInstanceCount"]["Default"]),
        invocations_per_instance=float(parameters["InvocationsPerInstance"]["Default"]),
        scale_out_cooldown=float(policy["ScaleOutCooldown"]),
        backlog_concurrency=int(parameters["BacklogConcurrency"]["Default"]),
        backlog_seconds=60.0
        * int(resources["BacklogRule"]["Properties"]["ScheduleExpression"][5:].split()[0]),
    )
