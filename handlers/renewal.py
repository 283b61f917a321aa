"""An object that was copied onto itself: its storage class or its metadata changed, not the image, so its prediction is taken over.

S3 reports the copy as a new upload. If the result that is there is of the same content and of the model that the service runs, its
prediction is taken over, and Filter records it for the new upload, by the current thresholds. Changes that a lifecycle rule makes are
not uploads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from dropsort.contract import keys, result, s3_documents
from handlers.uploads import Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from handlers.state import ImageState, RenewedState


def renewed(s3: S3Client, upload: Upload, model: str) -> RenewedState | None:
    """What the states after Serialize need of the prediction that is there; None if the upload is to be classified.

    Parameters
    ----------
    upload
        Copied onto itself; as S3 says, with its ETag.
    model
        Version of the model that the service runs; "" if it is not known, and nothing is taken over then.

    Raises
    ------
    ClientError
        S3 failed.
    """
    if not (upload.etag and model):
        return None
    locations = keys.result_keys(upload.path)
    for outcome in (keys.CLASSIFIED, keys.LOW_CONFIDENCE):
        document = _read(s3, upload, locations[outcome])
        if document is not None and document["source"].get("etag") == upload.etag:
            found = _prediction(document, model)
            if found is not None:
                return found
    return None


def _read(s3: S3Client, upload: Upload, location: str) -> dict[str, Any] | None:
    """The result at a key; None if there is none of this key."""
    body, etag = s3_documents.read(s3, upload.bucket, location, result.MAX_BYTES + 1)
    try:
        return result.parse(body, upload.key) if etag else None
    except ValueError:  # edited
        return None


def _prediction(document: dict[str, Any], model: str) -> RenewedState | None:
    """Members of a state; None if the result is of another model or a reviewer, or was edited."""
    by, probabilities = document.get("model"), document.get("probabilities")
    if (
        document.get("review")
        or not isinstance(by, dict)
        or by.get("version") != model
        or not isinstance(probabilities, dict)
    ):
        return None
    values, label = list(probabilities.values()), document.get("label")
    familiarity, image, inference = (document.get(name) for name in ("familiarity", "image", "inference_id"))
    numbers = [*values, 0.0 if familiarity is None else familiarity]
    if label not in probabilities or not all(_is_share(value) for value in numbers):
        return None
    if not isinstance(image, dict | None) or not isinstance(inference, str):
        return None
    return {
        "inferences": values,
        "labels": list(probabilities),
        "familiarity": familiarity,
        "model": model,
        "choice": list(probabilities).index(label),
        "endpoint": {"endpoint": by.get("endpoint"), "variant": by.get("variant")},
        "image": cast("ImageState | None", image),
        "renewed": inference,  # captures, reviews and ground truth have this id
    }


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
