"""The workflow's state, as JSON: what each function passes on to the next. Only types, which no function imports when it runs."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class UploadState(TypedDict):
    """What Serialize read of the upload, next to its bucket and key; see `handlers.uploads.Upload`."""

    version_id: str | None
    etag: str | None
    size: int | None
    sequencer: str | None
    uploaded: str | None


class RejectionState(TypedDict):
    """Why an upload is not classified: a code of `dropsort.contract.reasons`, and a sentence."""

    code: str
    message: str


class ImageState(TypedDict):
    """Format, by Pillow's name, and size in pixels of the image as it was uploaded."""

    format: str
    width: int
    height: int


class EndpointState(TypedDict):
    """The endpoint and the variant that responded."""

    endpoint: str | None
    variant: str | None


class RenewedState(TypedDict):
    """What Serialize adds where the prediction of an earlier upload of the same content still holds."""

    inferences: list[float]
    labels: list[str]
    familiarity: float | None
    model: str
    choice: int
    endpoint: EndpointState
    image: ImageState | None
    renewed: str


class WorkflowState(TypedDict):
    """The state that Serialize begins, Classify completes and Filter ends.

    Serialize adds ``image_data`` and what describes the image, or what ends the work early: ``rejection`` or ``superseded``;
    ``large`` sends the input, unchanged, to the function with more memory. Classify takes ``image_data`` away and adds the prediction,
    or a ``rejection``. A Catch adds ``error``.
    """

    s3_bucket: str
    s3_key: str
    inferences: list[float] | tuple[float, ...]  # probabilities by class index; empty before Classify
    upload: NotRequired[UploadState]
    image_data: NotRequired[str]  # base64, at most `handlers.imaging.MAX_IMAGE_BYTES` before it
    content_type: NotRequired[str]  # of `image_data`
    image: NotRequired[ImageState | None]
    labels: NotRequired[list[str] | tuple[str, ...]]  # by class index
    familiarity: NotRequired[float | None]  # 0 to 1
    model: NotRequired[str | None]  # version of the model
    choice: NotRequired[int | None]  # class index that the model chose itself
    endpoint: NotRequired[EndpointState]
    renewed: NotRequired[str]  # inference id of the earlier upload whose prediction this is
    metrics: NotRequired[dict[str, float]]  # of this image, which Filter emits
    rejection: NotRequired[RejectionState]
    superseded: NotRequired[bool]
    large: NotRequired[bool]
    error: NotRequired[dict[str, Any]]


class IgnoredState(TypedDict):
    """What Serialize returns in place of the state of an upload that is to have no result; it ends the execution."""

    ignored: bool
    outcome: str
    s3_bucket: str
    s3_key: str


class Ending(TypedDict):
    """What Filter is invoked with.

    ``input`` is the execution's, an event of S3, and not there if somebody started the workflow; ``execution`` is its ARN.
    """

    state: WorkflowState
    input: NotRequired[dict[str, Any]]
    execution: NotRequired[str]
