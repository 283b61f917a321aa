"""A circuit breaker: while no request to the endpoint succeeds, none is sent, but for one now and then to try it.

It is kept in the memory of one function instance, which works on one image at a time: nothing is shared, and each instance tries the
endpoint once per pause. An endpoint that is merely busy does not open it, as every instance has a response now and then.
"""

from __future__ import annotations

from dataclasses import dataclass

FAILURES = 3
FAILING_SECONDS = 30.0
PAUSE_SECONDS = 5.0


@dataclass
class Breaker:
    """Opens after `FAILURES` failures in a row, the first of them at least `FAILING_SECONDS` ago; times are in seconds of one clock.

    Examples
    --------
    >>> breaker = Breaker()
    >>> for now in (0, 20, 40):
    ...     breaker.failed(now)
    >>> breaker.allows(44), breaker.allows(45)
    (False, True)
    """

    failures: int = 0
    first_failure: float = 0.0
    open_until: float = 0.0

    def allows(self, now: float) -> bool:
        """Whether a request may be sent; after a pause one is, to try the endpoint."""
        return now >= self.open_until

    def succeeded(self) -> None:
        """The endpoint responded."""
        self.failures, self.open_until = 0, 0.0

    def failed(self, now: float) -> None:
        """A request failed."""
        if not self.failures:
            self.first_failure = now
        self.failures += 1
        if self.failures >= FAILURES and now - self.first_failure >= FAILING_SECONDS:
            self.open_until = now + PAUSE_SECONDS
