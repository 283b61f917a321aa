"""What an error of InvokeEndpoint means: the image's fault, an endpoint with too much to do, one that is set up wrongly, or a fault.

SageMaker wraps an error of the container in ``ModelError``, with the container's status in ``OriginalStatusCode``. Of these only three say
something of the image itself; any other client error comes for every image alike.
"""

from __future__ import annotations

from botocore.exceptions import ClientError

from handlers.rejections import Rejection

# Bad request, content too large, content that cannot be processed: what a container says of one image.
_OF_THE_IMAGE = (400, 413, 422)
# Too many requests; unavailable: TorchServe's queue of 100 requests is full, or the container starts.
_BUSY = (429, 503)
_BUSY_CODES = {"ThrottlingException", "Throttling", "TooManyRequestsException", "ServiceUnavailable", "ServiceUnavailableException",
               "ModelNotReadyException"}  # fmt: skip
_MISCONFIGURED_CODES = {"ValidationError", "ValidationException", "AccessDeniedException", "AccessDenied"}


class EndpointBusy(Exception):
    """The endpoint has too much to do, or is about to be ready: waiting helps. The workflow's retrier has this name."""


class EndpointUnavailable(Exception):
    """No request of this function instance has succeeded for some time, so none is sent: the image waits in the backlog."""


class EndpointMisconfigured(Exception):
    """The endpoint, its container or the function's role is set up wrongly: no image gets a prediction until somebody corrects it."""


def meaning(error: ClientError) -> Exception:
    """The exception to raise for an error of InvokeEndpoint: `Rejection`, `EndpointBusy`, `EndpointMisconfigured`, or the error itself."""
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    original = error.response.get("OriginalStatusCode")
    if isinstance(original, int):
        found = f"{original}: {error.response.get('OriginalMessage', '')}"
        if original in _OF_THE_IMAGE:
            return Rejection("refused_by_model", str(error.response.get("OriginalMessage", "")))
        if original in _BUSY:
            return EndpointBusy(f"The container responded {found[:300]}")
        if 400 <= original < 500 and original != 408:
            return EndpointMisconfigured(f"The container responded {found[:300]}")
        return error
    # A throttle may come as a 400 without any text, whose code is then the status.
    nameless = code in ("", "400") and status == 400 and message in ("", "Bad Request")
    if code in _BUSY_CODES or status in _BUSY or nameless:
        return EndpointBusy(str(error))
    if code in _MISCONFIGURED_CODES:
        return EndpointMisconfigured(str(error))
    return error
