"""A discrete-event simulation of the deployment: uploads, executions with their retriers, functions with their limits, an endpoint.

Time is in seconds. Each upload is a process of simpy; functions and endpoint are counters, as nothing there has a queue of its own: Lambda
rejects what is above a limit, and a container rejects what its queue does not hold. What fails is started again by runs of the backlog, as
the backlog function does it, whose constants and circuit breaker are used as they are.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import simpy

from benchmarks.capacity_figures import Assumptions, SimulationResult, TimePoint
from benchmarks.capacity_template import FUNCTIONS, Deployment, State
from dropsort.contract import reasons
from handlers.backlog import MIN_AGE, PROBES
from handlers.backlog_state import INTERVAL
from handlers.breaker import Breaker
from handlers.rejections import from_error
from monitoring.prices import INSTANCES, REDRIVEN, ResourceUse, price

SimulationProcess = Generator[Any, Any, Any]
MOST_SAMPLES = 400


class FailedTask(Exception):
    """A task failed with an error that no retrier handles any more."""


class _Functions:
    """Lambda: environments, limits, and what was used."""

    def __init__(self, environment: simpy.Environment, assumed: Assumptions) -> None:
        self._environment, self._assumed = environment, assumed
        self.running: Counter[str] = Counter()
        self._idle: dict[str, list[Breaker]] = {name: [] for name in FUNCTIONS}
        self._new: dict[str, float] = dict.fromkeys(FUNCTIONS, float(assumed.new_environments))
        self._since: dict[str, float] = dict.fromkeys(FUNCTIONS, 0.0)
        self.peak, self.peak_classify = 0, 0
        self.lately, self.lately_classify = 0, 0  # the most at once since a sample was taken

    def start(self, name: str) -> tuple[float, Breaker] | None:
        """Seconds of a cold start, 0 of a warm one, and the instance's circuit breaker; None if the invocation is throttled."""
        assumed, reserved = self._assumed, self._assumed.concurrency
        if name == "Classify" and reserved:
            if self.running[name] >= reserved:
                return None
        else:
            others = sum(
                count for other, count in self.running.items() if not (reserved and other == "Classify")
            )
            if others >= assumed.account_concurrency - reserved:
                return None
        cold, breaker = 0.0, Breaker()
        if self._idle[name]:
            breaker = self._idle[name].pop()
        else:
            now = self._environment.now
            grown = (now - self._since[name]) * assumed.new_environments / 10
            self._new[name] = min(float(assumed.new_environments), self._new[name] + grown)
            self._since[name] = now
            if self._new[name] < 1:
                return None
            self._new[name] -= 1
            cold = assumed.cold_start_seconds
        self.running[name] += 1
        running, classify = sum(self.running.values()), self.running["Classify"]
        self.peak, self.lately = max(self.peak, running), max(self.lately, running)
        self.peak_classify = max(self.peak_classify, classify)
        self.lately_classify = max(self.lately_classify, classify)
        return cold, breaker

    def end(self, name: str, breaker: Breaker) -> None:
        self.running[name] -= 1
        self._idle[name].append(breaker)


class _Endpoint:
    """The endpoint: instances with workers and a bounded queue, behind a load balancer that takes the emptiest."""

    def __init__(self, environment: simpy.Environment, deployment: Deployment, assumed: Assumptions) -> None:
        self._environment, self._deployment, self._assumed = environment, deployment, assumed
        self.instances = assumed.instances
        self.peak = assumed.instances
        self._free = [0.0] * (assumed.instances * assumed.workers)  # when each worker is free again
        self._inside = 0
        self._requests = 0
        self.instance_seconds, self._counted = 0.0, 0.0
        self.open = True

    def unavailable(self) -> bool:
        since = self._environment.now - self._assumed.dead_from
        return 0 <= since < self._assumed.outage_seconds

    def request(self) -> SimulationProcess:
        """One invocation: nothing, or the name of the error that Classify raises."""
        assumed, now = self._assumed, self._environment.now
        self._requests += 1
        if self.unavailable():
            yield self._environment.timeout(
                self._deployment.invocation_timeout if assumed.hangs else assumed.refused_seconds
            )
            return "ReadTimeoutError" if assumed.hangs else "ClientError"
        if self._inside >= self.instances * (assumed.workers + assumed.queue):
            yield self._environment.timeout(assumed.refused_seconds)
            return "EndpointBusy"
        self._inside += 1
        begin = max(now, heapq.heappop(self._free))
        finish = begin + assumed.workers / assumed.rate
        heapq.heappush(self._free, finish)
        late = finish - now > self._deployment.invocation_timeout
        yield self._environment.timeout(min(finish - now, self._deployment.invocation_timeout))
        self._inside -= 1
        return "ReadTimeoutError" if late else None

    def close(self) -> None:
        """All images have been classified."""
        self._count()
        self.open = False

    def _count(self) -> None:
        """Count the time of the instances until now."""
        if self.open:
            self.instance_seconds += (self._environment.now - self._counted) * self.instances
            self._counted = self._environment.now

    def scale(self) -> SimulationProcess:
        """Target tracking: three minutes above the target add instances, which take their time to start."""
        assumed, above, last = self._assumed, 0, -1e9
        while self.open:
            self._requests = 0
            yield self._environment.timeout(60)
            self._count()
            wanted = -(-self._requests // self._deployment.invocations_per_instance)
            above = above + 1 if wanted > self.instances else 0
            now = self._environment.now
            if above >= 3 and now - last >= self._deployment.scale_out_cooldown:
                last = now
                target = int(min(max(assumed.max_instances, assumed.instances), wanted))
                if target > self.instances:
                    self._environment.process(self._add(target))

    def _add(self, target: int) -> SimulationProcess:
        yield self._environment.timeout(self._assumed.instance_start_seconds)
        self._count()
        for _ in range((target - self.instances) * self._assumed.workers):
            heapq.heappush(self._free, self._environment.now)
        self.instances = max(self.instances, target)
        self.peak = max(self.peak, self.instances)


@dataclass
class Simulation:
    """One run.

    Parameters
    ----------
    deployment
        The template's limits.
    uploads, seconds
        So many uploads, evenly over so many seconds.
    """

    deployment: Deployment
    assumed: Assumptions
    uploads: int
    seconds: float
    seed: int = 7
    outcome: SimulationResult = field(default_factory=SimulationResult)
    samples: list[TimePoint] = field(default_factory=list)

    def run(self) -> SimulationResult:
        """Simulate until every execution has ended."""
        self._chance = random.Random(self.seed)
        self._environment = environment = simpy.Environment()
        self._functions = _Functions(environment, self.assumed)
        self._endpoint = _Endpoint(environment, self.deployment, self.assumed)
        self._left = self.uploads
        self._gb_seconds, self._invocations, self._workflow_seconds, self._executions = 0.0, 0, 0.0, 0
        self._failures: list[tuple[float, float]] = []  # when to try again, and when it was uploaded
        self._lost: list[float] = []  # when each upload without a result was uploaded
        environment.process(self._endpoint.scale())
        environment.process(self._arrive())
        environment.process(self._observe())
        if not self.assumed.no_backlog:
            environment.process(self._backlog())
        environment.run(until=self.seconds + self.assumed.horizon_days * 86_400)
        self.samples.append(self._sample())
        outcome = self.outcome
        outcome.simulated = self.uploads
        outcome.failed, outcome.without_result = len(self._failures), len(self._lost)
        outcome.max_concurrency = self._functions.peak_classify
        outcome.max_concurrent_functions = self._functions.peak
        outcome.max_instances = self._endpoint.peak
        outcome.dollars = self._dollars()
        outcome.endpoint_dollars = self._endpoint.instance_seconds / 3600 * INSTANCES["ml.m5.xlarge"]
        return outcome

    def _observe(self) -> SimulationProcess:
        """Take samples, at most `MOST_SAMPLES`: their distance doubles."""
        interval = 1.0
        while self._endpoint.open:
            self.samples.append(self._sample())
            if len(self.samples) == MOST_SAMPLES:
                pairs = zip(self.samples[::2], self.samples[1::2], strict=True)
                self.samples = [
                    replace(b, functions=max(a.functions, b.functions), classify=max(a.classify, b.classify))
                    for a, b in pairs
                ]
                interval *= 2
            yield self._environment.timeout(interval)

    def _sample(self) -> TimePoint:
        functions = self._functions
        found = TimePoint(
            self.outcome.drained_seconds if not self._left else self._environment.now,
            self.outcome.results,
            len(self._failures),
            len(self._lost),
            functions.lately,
            functions.lately_classify,
            self._endpoint.instances,
        )
        functions.lately = sum(functions.running.values())
        functions.lately_classify = functions.running["Classify"]
        return found

    def _arrive(self) -> SimulationProcess:
        gap = self.seconds / self.uploads
        for _ in range(self.uploads):
            self._environment.process(self._upload())
            yield self._environment.timeout(gap)

    def _upload(self) -> SimulationProcess:
        uploaded = self._environment.now
        yield self._environment.timeout(self.assumed.event_seconds)
        yield from self._execution(uploaded)

    def _execution(self, uploaded: float) -> SimulationProcess:
        environment, states = self._environment, self.deployment.states
        began = environment.now
        self._executions += 1
        deadline = began + self.deployment.workflow_timeout
        code = ""
        try:
            for name in ("Serialize", "Classify"):
                try:
                    yield from self._task(name, states[name], deadline)
                except FailedTask as error:
                    code = from_error(str(error), "").code
                    break
            yield from self._task("Filter", states["Filter"], deadline)
            now = environment.now
            if code:
                wait = reasons.wait(code, timedelta(seconds=now - uploaded)).total_seconds()
                self._failures.append((now + wait, uploaded))
                self.outcome.max_waiting = max(self.outcome.max_waiting, len(self._failures))
            else:
                self.outcome.results += 1
                self.outcome.drained_seconds = max(self.outcome.drained_seconds, now)
                self._left -= 1
        except (FailedTask, TimeoutError):
            self._lost.append(uploaded)
        self._workflow_seconds += environment.now - began
        ended = self.outcome.results + len(self._failures) + len(self._lost) == self.uploads
        if not self._left or (self.assumed.no_backlog and ended):
            self._endpoint.close()

    def _backlog(self) -> SimulationProcess:
        """The backlog function and its runs, of which there is one at a time."""
        environment, tick = self._environment, self.deployment.backlog_seconds
        compared = 0.0
        while self._left:
            yield environment.timeout(tick - environment.now % tick)
            now = environment.now
            chosen = [uploaded for at, uploaded in self._failures if at <= now]
            lost: list[float] = []
            if now - compared >= INTERVAL.total_seconds():
                compared = now
                lost = [uploaded for uploaded in self._lost if now - uploaded >= MIN_AGE.total_seconds()]
            if not chosen and not lost:
                continue
            well = False
            for _ in range(min(PROBES, len(chosen) + len(lost))):
                error = yield from self._invoke("Classify", self.deployment.states["Classify"])
                well = well or error is None
            if not well:
                continue
            self._failures = [item for item in self._failures if item[0] > now]
            taken = Counter(lost)
            self._lost = [item for item in self._lost if not taken[item]]
            self.outcome.runs += 1
            self.outcome.redriven += len(chosen) + len(lost)
            items = iter(chosen + lost)
            workers = min(self.deployment.backlog_concurrency, len(chosen) + len(lost))
            yield environment.all_of([environment.process(self._items(items)) for _ in range(workers)])

    def _items(self, items: Iterator[float]) -> SimulationProcess:
        """What one of a run's concurrent executions works through."""
        for uploaded in items:
            yield from self._execution(uploaded)

    def _task(self, name: str, state: State, deadline: float) -> SimulationProcess:
        """A state: its function, tried again as its retriers say."""
        tried: Counter[int] = Counter()
        while True:
            error = yield from self._invoke(name, state)
            if self._environment.now >= deadline:
                raise TimeoutError
            if error is None:
                return
            index = next((i for i, retrier in enumerate(state.retriers) if retrier.matches(error)), None)
            if index is None or tried[index] >= state.retriers[index].attempts:
                raise FailedTask(error)
            delay = state.retriers[index].delay(tried[index], self._chance)
            tried[index] += 1
            if self._environment.now + delay >= deadline:
                yield self._environment.timeout(max(0.0, deadline - self._environment.now))
                raise TimeoutError
            yield self._environment.timeout(delay)

    def _invoke(self, name: str, state: State) -> SimulationProcess:
        instance = self._functions.start(name)
        if instance is None:
            self.outcome.throttles += 1
            yield self._takes(self.assumed.refused_seconds)
            return "Lambda.TooManyRequestsException"
        cold, breaker = instance
        began = self._environment.now
        own = getattr(self.assumed, f"{name.lower()}_seconds")
        yield self._takes(cold + own)
        error = None
        if name == "Classify" and not breaker.allows(self._environment.now):
            error = "EndpointUnavailable"
        elif name == "Classify":
            sent = self._environment.now
            error = yield from self._endpoint.request()
            self.outcome.busy += error == "EndpointBusy"
            if error is None:
                breaker.succeeded()
            else:
                breaker.failed(self._environment.now, self._environment.now - sent)
        self._functions.end(name, breaker)
        self._invocations += 1
        self._gb_seconds += (self._environment.now - began) * state.memory_gb
        return error

    def _takes(self, seconds: float) -> simpy.Timeout:
        spread = self.assumed.spread
        return self._environment.timeout(
            seconds * self._chance.uniform(1 - spread, 1 + spread) if spread else seconds
        )

    def _dollars(self) -> float:
        """The bill apart from the endpoint: executions as long as they waited, functions as often as they ran.

        Each execution that the backlog starts writes a result and a line of the log, as the first one does.
        """
        gb = 0.0625  # an Express workflow is billed by 64 MB
        return (
            self.uploads * _requests(ResourceUse())
            + self.outcome.redriven * (_requests(REDRIVEN) + price("s3-get"))  # the failure that is read
            + self._executions * price("states-express-request")
            + self.outcome.redriven
            * price("states-standard-transition")  # an item of a Distributed Map is one
            + self._workflow_seconds * gb * price("states-express-gb-second")
            + self._invocations * price("lambda-request")
            + self._gb_seconds * price("lambda-arm-gb-second")
        )


def _requests(use: ResourceUse) -> float:
    """Dollars for what an image uses whatever its execution waited for: S3, event, log."""
    counted = ("Step Functions", "Lambda requests", "Lambda compute")
    return sum(dollars for name, dollars in use.parts().items() if name not in counted)
