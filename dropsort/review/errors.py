"""Errors of reviewing."""

from __future__ import annotations

from dropsort.contract.errors import DropsortError
from dropsort.contract.reviews import Review


class ReviewError(DropsortError):
    """A decision cannot be made, or a file of labels cannot be read; the message says why."""


class Conflict(ReviewError):
    """The image is not as the reviewer saw it: somebody else decided, it was uploaded again, or it is gone.

    ``review`` has the decisions that were made, None if the upload itself is another one.
    """

    def __init__(self, message: str, review: Review | None = None) -> None:
        super().__init__(message)
        self.review = review
