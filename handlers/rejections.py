"""A rejection: why an upload is not classified, as an outcome and not as an error.

It is returned as data, is not retried and raises no alarm. `dropsort.contract.reasons` has the codes.
"""

from __future__ import annotations

from typing import Any

from dropsort.contract.reasons import REASONS, is_retryable


class NotUnderstood(Exception):
    """A file uses what is not read here, or is damaged in a way that its decoder reports: it is not checked further."""


class Rejection(Exception):
    """What will never work for this upload, as a reason code and what was found.

    Parameters
    ----------
    code
        A key of `REASONS`.
    found
        What was found, completing the sentence; of bounded length.
    """

    def __init__(self, code: str, found: str = "") -> None:
        super().__init__(f"{REASONS[code].sentence} {found[:300]}".rstrip())
        self.code = code

    @classmethod
    def from_state(cls, code: str, message: str) -> Rejection:
        """The rejection that an earlier state put into the workflow's state."""
        rejection = cls(code)
        rejection.args = (message,)
        return rejection

    def reason(self, uploaded: str | None = None, recorded: str = "") -> dict[str, Any]:
        """The ``reason`` member of a result: code, message, retryable; times as for `reasons.is_retryable`."""
        retryable = is_retryable(self.code, uploaded, recorded)
        return {"code": self.code, "message": str(self), "retryable": retryable}


# Of a function that ran out of memory or time, or crashed; Lambda.Unknown is how Step Functions calls the first two at times.
_CRASHES = ("Lambda.Unknown", "Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout")


def from_error(error: str, cause: str) -> Rejection:
    """The rejection for an error that a Catch of the workflow reports.

    Parameters
    ----------
    error, cause
        As Step Functions names them, say ``Lambda.TooManyRequestsException``.
    """
    text = f"{error} {cause}".lower()
    if error in _CRASHES:
        code = "function_crashed"
    elif error == "EndpointUnavailable":
        code = "endpoint_unavailable"
    elif error == "EndpointMisconfigured":
        code = "endpoint_misconfigured"
    elif error == "EndpointBusy" or "throttl" in text or "toomanyrequests" in text or "slowdown" in text:
        code = "throttled"
    elif "timeout" in text or "timedout" in text or "timed out" in text:
        code = "timeout"
    else:
        code = "service_error"
    return Rejection(code, f"{error}: {cause}" if cause else error)
