"""The endpoint's code: the model behind /invocations, in SageMaker's container and in the embedded endpoint.

A single file that imports nothing of ours, because it is packaged into `model.tar.gz` as `code/inference.py`. Needs numpy,
Pillow and ONNX Runtime. A worker loads one model and runs it on one thread; more cores run more workers.

Requests
    `image/*`, `application/x-image` or `application/octet-stream`: the bytes of one image.
    `application/json`: `{"instances": [{"b64": "<base64>"}, ...]}`, several images.
Responses, always `application/json`
    A plain list of probabilities in the order of `labels.json`, as SageMaker's built-in image classification gives; or,
    for `Accept: application/json;verbose=true`, an object with `probabilities`, `labels`, `familiarity` and `model`.
    For several images `{"predictions": [...]}`, one entry per image, in order; the entry of an image that cannot be read is
    `{"error": {"code": 400, "message": "..."}}`, the others are predictions.
Errors
    An `InferenceError` carries the HTTP status and a sentence; `error_response` is its body.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import importlib
import io
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# ONNX Runtime collects usage data for Microsoft, and stores it in ~/.cache, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime


class _PlainError(Exception):
    def __init__(self, status_code: int, message: str, phrase: str) -> None:
        super().__init__(message)
        self.status_code, self.message, self.phrase = status_code, message, phrase


_Base: Any = _PlainError
# In SageMaker's container its class makes status and message reach the caller
with contextlib.suppress(ImportError):
    _Base = importlib.import_module("sagemaker_inference.errors").BaseInferenceToolkitError


MAX_SIDE = 512  # larger images are scaled down before the graph, which bounds memory
MAX_PIXELS = 100_000_000
# What the workflow reads; a test holds it equal to `dropsort.contract.formats`, which is not packaged with this file. Other decoders
# of Pillow call external programs (EPS) or are not bounded.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "ICO", "PPM")
# A test holds them equal to `dropsort.contract.model_folder`, likewise
GRAPH, LABELS = ("model.onnx", "labels.json")
MAX_INSTANCES = 256
VERBOSE = "application/json;verbose=true"
Prediction: TypeAlias = dict[str, Any]


class InferenceError(_Base):  # type: ignore[misc]
    """A request without a prediction: `status_code` (400, 413, 415), `message`, `phrase`."""

    def __init__(self, message: str, status_code: int = 400) -> None:
        phrases = {400: "Bad Request", 413: "Payload Too Large", 415: "Unsupported Media Type"}
        super().__init__(status_code, message, phrases.get(status_code, "Bad Request"))

    def __str__(self) -> str:
        return str(self.message)


@dataclass(frozen=True)
class InferenceRequest:
    """The images of one request, as bytes; `batch`: whether the response is a list."""

    images: list[bytes]
    batch: bool


@dataclass(frozen=True)
class InferenceResponse:
    """The predictions or errors for a request, one per image."""

    predictions: list[Prediction | InferenceError]
    batch: bool


def decode(data: bytes) -> NDArray[np.uint8]:
    """Bytes of an image as upright RGB, uint8 [height, width, 3], its longest side at most 512 pixels.

    Raises
    ------
    InferenceError
        400 if Pillow cannot read these bytes in full, 413 if it has more than 100 million pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # decided here, below
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        with image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise InferenceError(f"the image has {width} x {height} pixels: at most {MAX_PIXELS:,}", 413)
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))
            ImageOps.exif_transpose(image, in_place=True)
            upright = _rgb(image)
            if max(upright.size) > MAX_SIDE:
                upright.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
            return np.asarray(upright)
    except InferenceError:
        raise
    except Image.DecompressionBombError as error:
        raise InferenceError(f"the image is too large: {error}", 413) from error
    except Exception as error:  # Pillow raises whatever its many decoders happen to raise
        what = "no bytes" if not data else f"{len(data)} bytes beginning with {data[:8]!r}"
        if not isinstance(error, UnidentifiedImageError):  # its message has only an address in memory
            what += f" ({error or type(error).__name__})"
        raise InferenceError(f"not an image that can be read: {what}") from error


def _rgb(image: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white, 16-bit grey is brought to 8 bits."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        ground.alpha_composite(layer)
        return ground.convert("RGB")
    if image.mode.startswith("I"):
        return Image.fromarray(
            (np.clip(np.asarray(image, np.int64), 0, 65535) >> 8).astype(np.uint8)
        ).convert("RGB")
    return image.convert("RGB")


def open_session(graph: bytes) -> Any:
    """An `onnxruntime.InferenceSession` with one thread, which does not spin while it waits: more cores run more workers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class Model:
    """A loaded model folder: `predict` takes images as bytes, `run` takes a decoded one."""

    def __init__(self, folder: Path) -> None:
        path, label_path = folder / GRAPH, folder / LABELS
        try:
            self.labels: list[str] = json.loads(label_path.read_bytes())
            graph = path.read_bytes()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{error.filename} is missing: a model folder has {GRAPH} and {LABELS}"
            ) from None
        except ValueError as error:
            raise ValueError(f"{label_path} is not a JSON list of labels: {error}") from None
        try:
            self.session = open_session(graph)
        except Exception as error:
            raise ValueError(f"{path} is not an ONNX model that can be loaded: {error}") from None
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.name: str = self.session.get_modelmeta().custom_metadata_map.get("model", folder.name)
        classes = self.session.get_outputs()[0].shape[-1]
        if not isinstance(self.labels, list) or classes != len(self.labels):
            raise ValueError(
                f"{label_path} names {len(self.labels)} labels, but {path} has {classes} classes"
            )

    def run(self, image: NDArray[np.uint8]) -> Prediction:
        """The verbose prediction for one decoded image, uint8 [height, width, 3]."""
        values = dict(zip(self.outputs, self.session.run(None, {"images": image[None]}), strict=True))
        prediction: Prediction = {
            "probabilities": [round(float(p), 6) for p in values["probabilities"][0]],
            "labels": self.labels,
            "model": self.name,
        }
        if "familiarity" in values:
            prediction["familiarity"] = round(float(values["familiarity"][0]), 6)
        return prediction

    def predict(self, images: Sequence[bytes]) -> list[Prediction | InferenceError]:
        """One prediction per image, in order; for an image that cannot be read its error."""
        predictions: list[Prediction | InferenceError] = []
        for data in images:
            try:
                predictions.append(self.run(decode(data)))
            except InferenceError as error:
                predictions.append(error)
        return predictions


def load(folder: str | Path) -> Model:
    """The model in a folder with `model.onnx` and `labels.json`; FileNotFoundError or ValueError say what is wrong."""
    return Model(Path(folder))


def parse(body: bytes | str, content_type: str) -> InferenceRequest:
    """The images of a request body; InferenceError 400, 413 or 415 if it has none."""
    kind = content_type.split(";")[0].strip().lower()
    if kind.startswith("image/") or kind in ("application/x-image", "application/octet-stream", ""):
        return InferenceRequest([body.encode() if isinstance(body, str) else bytes(body)], batch=False)
    if kind != "application/json":
        raise InferenceError(
            f"content type {content_type!r} is not served: send application/x-image, image/* or application/json",
            415,
        )
    try:
        instances = json.loads(body)["instances"]
        images = [base64.b64decode(instance["b64"], validate=True) for instance in instances]
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise InferenceError(
            f'the body is not {{"instances": [{{"b64": "<base64 of an image>"}}, ...]}}: {error!r}'
        ) from None
    if not 1 <= len(images) <= MAX_INSTANCES:
        raise InferenceError(
            f"{len(images)} instances: a request has 1 to {MAX_INSTANCES}", 413 if images else 400
        )
    return InferenceRequest(images, batch=True)


def verbose(accept: str | None) -> bool:
    """Whether an Accept header requests the object rather than the list."""
    return any(
        "verbose=true" in [parameter.strip() for parameter in choice.lower().split(";")[1:]]
        for choice in (accept or "").split(",")
    )


def response(prediction: Prediction | InferenceResponse, accept: str | None) -> tuple[bytes, str]:
    """Body and content type of one prediction, or of the response to a request.

    Raises the image's error if the request is a single image that cannot be read.
    """
    if isinstance(prediction, dict):
        return json.dumps(_shape(prediction, accept)).encode(), "application/json"
    if not prediction.batch:
        only = prediction.predictions[0]
        if isinstance(only, InferenceError):
            raise only
        return response(only, accept)
    entries = [
        {"error": {"code": p.status_code, "message": str(p)}}
        if isinstance(p, InferenceError)
        else _shape(p, accept)
        for p in prediction.predictions
    ]
    return json.dumps({"predictions": entries}).encode(), "application/json"


def _shape(prediction: Prediction, accept: str | None) -> Any:
    return prediction if verbose(accept) else prediction["probabilities"]


def error_response(error: InferenceError) -> tuple[int, bytes, str]:
    """Status, body and content type of an error response, in the form of SageMaker's model servers."""
    kind = "".join(str(error.phrase).split()) + "Exception"
    body = {"code": error.status_code, "type": kind, "message": str(error)}
    return error.status_code, json.dumps(body).encode(), "application/json"


def model_fn(model_dir: str) -> Model:
    """SageMaker's hook: called once per worker."""
    return load(model_dir)


def input_fn(request_body: bytes | str, content_type: str) -> InferenceRequest:
    """SageMaker's hook: body to images."""
    return parse(request_body, content_type)


def predict_fn(request: InferenceRequest, model: Model) -> InferenceResponse:
    """SageMaker's hook: images to predictions."""
    return InferenceResponse(model.predict(request.images), request.batch)


def output_fn(prediction: InferenceResponse, accept: str) -> tuple[str, str]:
    """SageMaker's hook: predictions to body and content type."""
    body, content_type = response(prediction, accept)
    return body.decode(), content_type
