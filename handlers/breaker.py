"""A circuit breaker: while no request to the endpoint succeeds, none is sent, but for one now and then to try it.

It is kept in the memory of one function instance, which works on one image at a time: nothing is shared, and each instance tries the
endpoint once per pause. An endpoint that is merely busy does not open it, as every instance has a response now and then.
"""

from __future__ import annotations

from dataclasses import dataclass

FAILURES = 3
FAILING_SECONDS = 30.0
HANGING_SECONDS = 20.0  # two requests that time out, by the default of InvocationTimeoutSeconds
PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 30.0
# Failures so long before say nothing of now; more than the longest pause and the longest request.
IDLE_SECONDS = 120.0
LONGEST_GAP_SECONDS = 20.0  # without a request: more does not count as failing, as nothing was tried
PAUSE_SHARE = 3  # a pause is so many times as long as the request before it, within these limits


@dataclass
class Breaker:
    """Opens after `FAILURES` failures in a row over at least `FAILING_SECONDS`; times are in seconds of one clock.

    Between two bursts nothing is tried: a pause counts for at most `LONGEST_GAP_SECONDS`, so that an endpoint that was busy at the end of
    one burst is not taken for unavailable at the beginning of the next.

    An endpoint that hangs occupies a function for as long as each request takes, so there it opens earlier: after two requests in a row
    that took `HANGING_SECONDS` together. The pauses are longer then, too.

    Examples
    --------
    >>> breaker = Breaker()
    >>> for now in (0, 20, 40):
    ...     breaker.failed(now)
    >>> breaker.allows(44), breaker.allows(45)
    (False, True)
    """

    failures: int = 0
    failing: float = 0.0  # seconds
    last_failure: float = 0.0
    waited: float = 0.0
    open_until: float = 0.0

    def allows(self, now: float) -> bool:
        """Whether a request may be sent; after a pause one is, to try the endpoint."""
        return now >= self.open_until

    def succeeded(self) -> None:
        """The endpoint responded."""
        self.failures, self.open_until = 0, 0.0

    def failed(self, now: float, took: float = 0.0) -> None:
        """A request failed, which took so many seconds."""
        if not self.failures or now - self.last_failure > IDLE_SECONDS:
            self.failures, self.waited, self.failing = 0, 0.0, 0.0
        else:
            self.failing += min(now - self.last_failure, took + LONGEST_GAP_SECONDS)
        self.failures += 1
        self.last_failure = now
        self.waited += took
        fails = self.failures >= FAILURES and self.failing >= FAILING_SECONDS
        if fails or (self.failures > 1 and self.waited >= HANGING_SECONDS):
            self.open_until = now + min(max(PAUSE_SECONDS, PAUSE_SHARE * took), LONGEST_PAUSE_SECONDS)
