"""Why an image has no label: every reason code of a result, its sentence, and whether running again may help.

A refusal is an outcome, not an error: it travels as data, is not retried and raises no alarm.
"""

from __future__ import annotations

from typing import Any

# code: (sentence, retryable). The sentence is completed with what was found.
REASONS: dict[str, tuple[str, bool]] = {
    # Serialize: what is not an image that we can read.
    "folder_marker": ("The key ends in '/': a folder marker, not an image.", False),
    "empty_object": ("The object is empty.", False),
    "object_too_large": ("The object is larger than this service reads.", False),
    "object_not_found": ("The object was gone before it could be read.", False),
    "object_archived": ("The object lies in an archive storage class: restore it first.", False),
    "not_an_image": ("The content is in no image format that this service reads.", False),
    "unsupported_format": (
        "The image format is known, but not readable here: convert it to JPEG or PNG.",
        False,
    ),
    "too_many_pixels": ("The picture has more pixels than this service decodes.", False),
    "truncated_image": ("The image data ends early.", False),
    "corrupt_image": ("The image data is damaged.", False),
    # Classify: what the model made of it.
    "refused_by_model": ("The model answered that it cannot read this image.", False),
    "invalid_prediction": ("The model's answer is no probability distribution over its labels.", False),
    "tied_prediction": ("The model finds several labels equally likely.", False),
    # Filter: answered, but not trusted.
    "below_threshold": ("The confidence is below the threshold.", False),
    "unfamiliar": ("The picture is unlike everything that the model was trained on.", False),
    # The workflow: faults that may pass.
    "throttled": ("A part of the service had too much to do for longer than the retries lasted.", True),
    "timeout": ("A part of the service did not answer in time, after retries.", True),
    "service_error": ("A part of the service failed, after retries.", True),
}


class Refusal(Exception):
    """What will never work for this upload, as a reason code and what was found.

    Parameters
    ----------
    code
        A key of `REASONS`.
    found
        What was found, completing the sentence; of bounded length.
    """

    def __init__(self, code: str, found: str = "") -> None:
        sentence, _ = REASONS[code]
        super().__init__(f"{sentence} {found[:300]}".rstrip())
        self.code = code

    @classmethod
    def said(cls, code: str, message: str) -> Refusal:
        """The refusal that an earlier state put into the workflow's state."""
        refusal = cls(code)
        refusal.args = (message,)
        return refusal

    def reason(self) -> dict[str, Any]:
        """The ``reason`` member of a result: code, message, retryable."""
        return {"code": self.code, "message": str(self), "retryable": REASONS[self.code][1]}


def of_error(error: str, cause: str) -> Refusal:
    """The refusal for an error that a Catch of the workflow reports.

    Parameters
    ----------
    error, cause
        As Step Functions names them, say ``Lambda.TooManyRequestsException``.
    """
    text = f"{error} {cause}".lower()
    if "throttl" in text or "toomanyrequests" in text or "slowdown" in text or "lambda.unknown" in text:
        code = "throttled"
    elif "timeout" in text or "timedout" in text or "timed out" in text:
        code = "timeout"
    else:
        code = "service_error"
    return Refusal(code, f"{error}: {cause}" if cause else error)
