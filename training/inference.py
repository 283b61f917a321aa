"""What answers a picture: the model behind /invocations, in SageMaker's container and in the embedded endpoint.

One file without siblings, because it travels in `model.tar.gz` as `code/inference.py`. Needs numpy, Pillow and ONNX
Runtime. A worker keeps one model and runs it on one thread; more cores are for more workers.

Requests
    `image/*`, `application/x-image` or `application/octet-stream`: the bytes of one picture.
    `application/json`: `{"instances": [{"b64": "<base64>"}, ...]}`, several pictures.
Answers, always `application/json`
    A plain list of probabilities in the order of `labels.json`, as SageMaker's built-in image classification gives; or,
    for `Accept: application/json;verbose=true`, an object with `probabilities`, `labels`, `familiarity` and `model`.
    For several pictures `{"predictions": [...]}`, one entry a picture, in order; a picture that cannot be read has
    `{"error": {"code": 400, "message": "..."}}` in its place and the others are answered.
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
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from PIL import Image, ImageOps, UnidentifiedImageError


class _PlainError(Exception):
    def __init__(self, status_code: int, message: str, phrase: str) -> None:
        super().__init__(message)
        self.status_code, self.message, self.phrase = status_code, message, phrase


_Base: Any = _PlainError
with contextlib.suppress(
    ImportError
):  # in SageMaker's container its class makes status and message reach the caller
    _Base = importlib.import_module("sagemaker_inference.errors").BaseInferenceToolkitError


MAX_SIDE = 512  # larger pictures are scaled down before the graph, which bounds memory
MAX_PIXELS = 100_000_000
MAX_INSTANCES = 256
VERBOSE = "application/json;verbose=true"
Prediction: TypeAlias = dict[str, Any]


class InferenceError(_Base):  # type: ignore[misc]
    """A request that cannot be answered: `status_code` (400, 413, 415), `message`, `phrase`."""

    def __init__(self, message: str, status_code: int = 400) -> None:
        phrases = {400: "Bad Request", 413: "Payload Too Large", 415: "Unsupported Media Type"}
        super().__init__(status_code, message, phrases.get(status_code, "Bad Request"))

    def __str__(self) -> str:
        return str(self.message)


@dataclass(frozen=True)
class Request:
    """The pictures of one request, as bytes; `batch` says whether a list is expected back."""

    images: list[bytes]
    batch: bool


@dataclass(frozen=True)
class Answer:
    """What came of a request, one entry a picture."""

    predictions: list[Prediction | InferenceError]
    batch: bool


def decode(data: bytes) -> np.ndarray:
    """Bytes of a picture as upright RGB, uint8 [height, width, 3], its longest side at most 512 pixels.

    Raises
    ------
    InferenceError
        400 if these bytes are no picture that Pillow reads in full, 413 if it has more than 100 million pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # decided here, below
            image = Image.open(io.BytesIO(data))
        with image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise InferenceError(
                    f"the picture has {width} x {height} pixels: at most {MAX_PIXELS:,}", 413
                )
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))
            picture = ImageOps.exif_transpose(_rgb(image))
            if max(picture.size) > MAX_SIDE:
                picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
            return np.asarray(picture)
    except InferenceError:
        raise
    except Image.DecompressionBombError as error:
        raise InferenceError(f"the picture is too large: {error}", 413) from error
    except Exception as error:  # Pillow raises whatever its many decoders happen to raise
        what = "no bytes" if not data else f"{len(data)} bytes beginning with {data[:8]!r}"
        if not isinstance(error, UnidentifiedImageError):  # which names no more than an address in memory
            what += f" ({error or type(error).__name__})"
        raise InferenceError(f"not a picture that can be read: {what}") from error


def _rgb(image: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white, 16-bit grey is brought to 8 bits."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        ground.alpha_composite(layer)
        if (orientation := image.getexif().get(0x0112)) is not None:
            ground.getexif()[0x0112] = orientation
        return ground.convert("RGB")
    if image.mode.startswith("I"):
        return Image.fromarray(
            (np.clip(np.asarray(image, np.int64), 0, 65535) >> 8).astype(np.uint8)
        ).convert("RGB")
    return image.convert("RGB")


def session_options() -> Any:
    """One thread, which does not spin while it waits: more cores are for more workers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class Model:
    """A model folder, ready to answer: `predict` takes pictures as bytes, `run` takes decoded ones."""

    def __init__(self, folder: Path) -> None:
        path, label_path = folder / "model.onnx", folder / "labels.json"
        try:
            self.labels: list[str] = json.loads(label_path.read_text())
            graph = path.read_bytes()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{error.filename} is missing: a model folder has model.onnx and labels.json"
            ) from None
        except ValueError as error:
            raise ValueError(f"{label_path} is not a JSON list of labels: {error}") from None
        try:
            self.session = onnxruntime.InferenceSession(
                graph, session_options(), providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ValueError(f"{path} is not an ONNX model that can be loaded: {error}") from None
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.name: str = self.session.get_modelmeta().custom_metadata_map.get("model", folder.name)
        classes = self.session.get_outputs()[0].shape[-1]
        if not isinstance(self.labels, list) or classes != len(self.labels):
            raise ValueError(
                f"{label_path} names {len(self.labels)} labels, but {path} has {classes} classes"
            )

    def run(self, picture: np.ndarray) -> Prediction:
        """The verbose answer for one decoded picture, uint8 [height, width, 3]."""
        values = dict(zip(self.outputs, self.session.run(None, {"images": picture[None]}), strict=True))
        answer: Prediction = {
            "probabilities": [round(float(p), 6) for p in values["probabilities"][0]],
            "labels": self.labels,
            "model": self.name,
        }
        if "familiarity" in values:
            answer["familiarity"] = round(float(values["familiarity"][0]), 6)
        return answer

    def predict(self, images: Sequence[bytes]) -> list[Prediction | InferenceError]:
        """One answer a picture, in order; a picture that cannot be read yields its error instead."""
        answers: list[Prediction | InferenceError] = []
        for data in images:
            try:
                answers.append(self.run(decode(data)))
            except InferenceError as error:
                answers.append(error)
        return answers


def load(folder: str | Path) -> Model:
    """The model in a folder with `model.onnx` and `labels.json`; FileNotFoundError or ValueError say what is wrong."""
    return Model(Path(folder))


def parse(body: bytes | str, content_type: str) -> Request:
    """The pictures of a request body; InferenceError 400, 413 or 415 if there are none to be had."""
    kind = content_type.split(";")[0].strip().lower()
    if kind.startswith("image/") or kind in ("application/x-image", "application/octet-stream", ""):
        return Request([body.encode() if isinstance(body, str) else bytes(body)], batch=False)
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
            f'the body is not {{"instances": [{{"b64": "<base64 of a picture>"}}, ...]}}: {error!r}'
        ) from None
    if not 1 <= len(images) <= MAX_INSTANCES:
        raise InferenceError(
            f"{len(images)} instances: a request has 1 to {MAX_INSTANCES}", 413 if images else 400
        )
    return Request(images, batch=True)


def verbose(accept: str | None) -> bool:
    """Whether an Accept header asks for the object rather than the list."""
    return any(
        "verbose=true" in [parameter.strip() for parameter in choice.lower().split(";")[1:]]
        for choice in (accept or "").split(",")
    )


def response(prediction: Prediction | Answer, accept: str | None) -> tuple[bytes, str]:
    """Body and content type for one prediction, or for what came of a whole request.

    Raises the prediction's error if there was only one picture and it could not be read.
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
    """Status, body and content type of a request that cannot be answered, as SageMaker's model servers shape it."""
    kind = "".join(str(error.phrase).split()) + "Exception"
    body = {"code": error.status_code, "type": kind, "message": str(error)}
    return error.status_code, json.dumps(body).encode(), "application/json"


def model_fn(model_dir: str) -> Model:
    """SageMaker's hook: called once a worker."""
    return load(model_dir)


def input_fn(request_body: bytes | str, content_type: str) -> Request:
    """SageMaker's hook: body to pictures."""
    return parse(request_body, content_type)


def predict_fn(request: Request, model: Model) -> Answer:
    """SageMaker's hook: pictures to predictions."""
    return Answer(model.predict(request.images), request.batch)


def output_fn(answer: Answer, accept: str) -> tuple[str, str]:
    """SageMaker's hook: predictions to body and content type."""
    body, content_type = response(answer, accept)
    return body.decode(), content_type
