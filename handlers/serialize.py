"""First function of the workflow: reads the upload and normalises it to fit the Step Functions payload limit.

In: the execution's input. Out: ``s3_bucket``, ``s3_key``, ``upload``, empty ``inferences``, ``metrics``, and one of:

- ``image_data`` (base64), ``content_type`` and ``image``,
- ``rejection``: the upload can never be classified,
- ``superseded``: a newer upload has replaced it,
- ``renewed``, with the existing prediction: only the object's metadata changed,
- ``ignored``: the upload gets no result.

It runs in two functions. The first waits for S3 most of its time, which costs by memory, and has little of it. For an image that needs
more it returns its input with ``large``, and the workflow invokes the second.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, cast

from dropsort.contract import ignored_paths
from dropsort.contract.metrics import IGNORED, REJECTED, SERIALIZED_BYTES
from handlers import aws, imaging, reading, settings
from handlers.rejections import Rejection
from handlers.telemetry import emit, note, observed
from handlers.uploads import Upload

if TYPE_CHECKING:
    from handlers.state import IgnoredState, RenewedState, WorkflowState

_SETTINGS = settings.load()
_MOST_BYTES = _SETTINGS.decoding_bytes // 6  # of an object, which is held twice while it is read
_NEEDS_MEMORY = ("object_too_large", "too_many_pixels", "too_complex")  # perhaps: the second function decides
_matches_ignored = ignored_paths.parse(_SETTINGS.ignored_patterns)
if aws.starting():
    aws.s3()


@observed
def handler(event: dict[str, Any], _context: Any) -> WorkflowState | IgnoredState:
    """Serialize one upload.

    Raises
    ------
    InvalidInput
        The input names no upload.
    ClientError
        S3 failed; the workflow retries.
    """
    upload = Upload.from_input(event)
    state: WorkflowState = {"s3_bucket": upload.bucket, "s3_key": upload.key, "inferences": []}
    note(s3_key=upload.key)
    if upload.is_ignored(_matches_ignored):
        return _ignored(state)
    try:
        upload, content = reading.read(aws.s3(), upload, min(_SETTINGS.max_bytes, _MOST_BYTES))
    except reading.Overwritten:
        return state | {"superseded": True, "upload": upload.to_state()}
    state["upload"] = upload.to_state()
    if ignored_paths.is_folder_marker(upload.key, upload.size):  # its size may not have been in the input
        return _ignored(state)
    if known := _renewed(upload):
        note(renewed=True)
        return {**state, **known}
    try:
        if isinstance(content, Rejection):
            raise content
        image = imaging.prepare(content, side=_SETTINGS.image_side, max_pixels=_SETTINGS.max_pixels)
    except Rejection as rejection:
        if rejection.code in _NEEDS_MEMORY and _SETTINGS.decoding_bytes < settings.LARGE_DECODING_BYTES:
            unchanged = {name: value for name, value in event.items() if name != "image_data"}
            return cast("WorkflowState", unchanged | {"large": True})
        note(rejection=rejection.code)
        return state | {
            "rejection": {"code": rejection.code, "message": str(rejection)},
            "metrics": {REJECTED: 1},
        }
    return state | {
        "metrics": {SERIALIZED_BYTES: len(image.data)},
        "image_data": base64.b64encode(image.data).decode(),
        "content_type": image.content_type,
        "image": {"format": image.format, "width": image.width, "height": image.height},
    }


def _renewed(upload: Upload) -> RenewedState | None:
    if not upload.copied:
        return None
    from handlers import renewal  # rarely: a cold start does not import it

    return renewal.renewed(aws.s3(), upload, _SETTINGS.model_version)


def _ignored(state: WorkflowState) -> IgnoredState:
    emit(**{IGNORED: 1})
    return {"ignored": True, "outcome": "ignored", "s3_bucket": state["s3_bucket"], "s3_key": state["s3_key"]}
