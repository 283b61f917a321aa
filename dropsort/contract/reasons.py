"""Why an image is not classified: every reason code of a result, its sentence, and whether a redrive may help."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple


class Reason(NamedTuple):
    """The sentence of a reason code, completed in a result with what was found; and whether the failure may pass."""

    sentence: str
    retryable: bool


REASONS: dict[str, Reason] = {
    # Serialize: not an image that this service reads.
    "empty_object": Reason("The object is empty.", False),
    "object_too_large": Reason("The object is larger than this service reads.", False),
    "object_not_found": Reason("The object was gone before it could be read.", False),
    "object_archived": Reason("The object lies in an archive storage class: restore it first.", False),
    "unreadable_encryption": Reason(
        "The object is encrypted with a key that this service may not use: upload it with the bucket's own encryption.",
        False,
    ),
    "not_an_image": Reason("The content is in no image format that this service reads.", False),
    "unsupported_format": Reason(
        "The image format is known, but not readable here: convert it to JPEG or PNG.", False
    ),
    "too_many_pixels": Reason("The image has more pixels than this service decodes.", False),
    "too_complex": Reason("Decoding the image takes more work than its size warrants.", False),
    "truncated_image": Reason("The image data ends early.", False),
    "corrupt_image": Reason("The image data is damaged.", False),
    "blank_image": Reason("The image has one colour and shows nothing.", False),
    # Classify: the endpoint returned no usable prediction.
    "refused_by_model": Reason("The model responded that it cannot read this image.", False),
    "invalid_prediction": Reason(
        "The model's response is not a probability distribution over its labels.", True
    ),
    "tied_prediction": Reason("The model finds several labels equally likely.", False),
    # Filter: a prediction below a threshold.
    "below_threshold": Reason("The confidence is below the threshold.", False),
    "unfamiliar": Reason("The image is unlike everything that the model was trained on.", False),
    # A reviewer's decision (dropsort/contract/reviews.py).
    "no_label_fits": Reason("A person found that no label fits the image.", False),
    "unusable_image": Reason("A person found that the image cannot be used.", False),
    # The workflow: faults that may pass.
    "throttled": Reason("A part of the service had too much to do for longer than the retries lasted.", True),
    "endpoint_misconfigured": Reason(
        "The endpoint takes no image as it is set up: see its log, the model's container and the function's role.",
        True,
    ),
    "endpoint_unavailable": Reason(
        "The endpoint has responded to no request for some time; the image waits until it does.", True
    ),
    "timeout": Reason("A part of the service did not respond in time, after retries.", True),
    "service_error": Reason("A part of the service failed, after retries.", True),
    # A fault that comes again with the same image.
    "function_crashed": Reason("A function ran out of memory or time on this image each time.", False),
}

# Codes that an endpoint out of order causes, or the image itself, which cannot be distinguished: retryable for so long after the upload.
RETRY_LIMITS = {"invalid_prediction": timedelta(days=1)}


def is_retryable(code: str, uploaded: str | None, recorded: str) -> bool:
    """Whether an image that failed with a reason code at `recorded` is to be classified again.

    Parameters
    ----------
    code
        A key of `REASONS`.
    uploaded, recorded
        ISO 8601 with an offset from UTC; ``uploaded`` is None if it is not known.
    """
    if code not in RETRY_LIMITS or uploaded is None:
        return REASONS[code].retryable
    return _between(uploaded, recorded) < RETRY_LIMITS[code]


# What the whole service caused: whether it works again is tried before a run, so that the images themselves need not wait.
OF_THE_SERVICE = frozenset({"throttled", "endpoint_misconfigured", "endpoint_unavailable"})
LONGEST_WAIT = timedelta(minutes=30)


def next_try(code: str, uploaded: str | None, recorded: str) -> datetime:
    """When an image whose failure may pass is tried again without a person.

    At once if the whole service caused it. Otherwise the image itself may be to blame, and one that keeps failing is tried less and less
    often: it waits half as long as the time from its upload to its last failure, at most `LONGEST_WAIT`; for the codes of `RETRY_LIMITS`,
    which cost an invocation of the endpoint each time, as long as that time.

    Parameters
    ----------
    code
        A reason code; one that this version does not know is taken for the image's.
    uploaded, recorded
        ISO 8601 with an offset from UTC; ``uploaded`` is None if it is not known.

    Examples
    --------
    >>> failed = ("2026-01-01T00:00:00+00:00", "2026-01-01T00:10:00+00:00")
    >>> [f"{next_try(code, *failed):%H:%M}" for code in ("throttled", "service_error", "invalid_prediction")]
    ['00:10', '00:15', '00:20']
    """
    age = _between(uploaded, recorded) if uploaded else timedelta()
    return datetime.fromisoformat(recorded) + wait(code, age)


def wait(code: str, age: timedelta) -> timedelta:
    """From a failure to the next try, by the time from the upload to the failure."""
    if code in OF_THE_SERVICE:
        return timedelta()
    age = max(age, timedelta())
    return min(age, RETRY_LIMITS[code]) if code in RETRY_LIMITS else min(age / 2, LONGEST_WAIT)


def _between(uploaded: str, recorded: str) -> timedelta:
    return datetime.fromisoformat(recorded) - datetime.fromisoformat(uploaded)
