"""The inference code: what it takes, what it returns, and its errors."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dropsort.contract import defaults, formats, model_folder
from training import inference
from training.errors import TrainingError
from training.model import artifact, wheels

ROOT = Path(__file__).parents[3]
BIKES = ROOT / "models" / "bikes"


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


RED = encoded(Image.new("RGB", (20, 20), (200, 40, 40)))
BLUE = encoded(Image.new("RGB", (20, 20), (40, 60, 200)))


def test_the_verbose_response_and_the_list(model_folder: Path) -> None:
    model = inference.load(model_folder)

    [answer] = model.predict([RED])

    assert isinstance(answer, dict)
    assert answer["labels"] == ["blue", "red"]
    assert answer["model"] == "colours-1"
    assert answer["probabilities"][1] > 0.9
    assert 0 <= answer["familiarity"] <= 1
    plain, kind = inference.response(answer, "application/json")
    assert (json.loads(plain), kind) == (answer["probabilities"], "application/json")
    rich, kind = inference.response(answer, "application/json;verbose=true")
    assert (json.loads(rich), kind) == (answer, "application/json")


def test_a_model_that_is_loaded_collects_no_usage_data(tmp_path: Path) -> None:
    # ONNX Runtime stores it in the home folder, and sends it to Microsoft; not if it runs in continuous integration (`CI`).
    code = "import pathlib, sys; from training.inference import Model; Model(pathlib.Path(sys.argv[1]))"
    settings = {
        name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")
    }
    subprocess.run(
        [sys.executable, "-c", code, str(BIKES)], env=settings | {"HOME": str(tmp_path)}, cwd=ROOT, check=True
    )
    assert list(tmp_path.rglob("*")) == []
    # and all that is shipped loads models in that module
    others = [
        path
        for folder in ("dropsort", "handlers", "monitoring", "training", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^\s*(import|from) onnxruntime", path.read_text(), re.MULTILINE)
    ]
    assert others == [ROOT / "training" / "inference.py"]


@pytest.mark.parametrize(
    ("accept", "rich"),
    [
        ("application/json;verbose=true", True),
        ("application/json; verbose=true; charset=utf-8", True),
        ("text/csv, application/json;VERBOSE=true", True),
        ("application/json", False),
        ("application/jsonlines;verbose=false", False),
        ("*/*", False),
        (None, False),
    ],
)
def test_the_accept_header_decides(accept: str | None, rich: bool) -> None:
    assert inference.verbose(accept) is rich


def test_a_batch_has_a_response_for_every_image_in_order(model_folder: Path) -> None:
    # GIVEN three images, the second of which is none
    body = json.dumps(
        {"instances": [{"b64": base64.b64encode(b).decode()} for b in (RED, b"no picture", BLUE)]}
    )

    answer = inference.predict_fn(
        inference.input_fn(body, "application/json"), inference.model_fn(str(model_folder))
    )
    text, kind = inference.output_fn(answer, "application/json;verbose=true")

    first, second, third = json.loads(text)["predictions"]
    assert kind == "application/json"
    assert first["probabilities"][1] > 0.9
    assert second["error"]["code"] == 400
    assert third["probabilities"][0] > 0.9


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (RED, "text/csv", 415),
        (b"{}", "application/json", 400),
        (b"[", "application/json", 400),
        (b'{"instances": []}', "application/json", 400),
        (b'{"instances": [{"b64": "?"}]}', "application/json", 400),
        (b'{"instances": 3}', "application/json", 400),
        (json.dumps({"instances": [{"b64": ""}] * 257}).encode(), "application/json", 413),
    ],
)
def test_requests_that_cannot_be_read_have_their_status(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(inference.InferenceError) as error:
        inference.parse(body, kind)

    code, answer, _ = inference.error_response(error.value)
    assert (code, error.value.status_code) == (status, status)
    assert json.loads(answer)["message"] == str(error.value)


@pytest.mark.parametrize("body", [b"", b"plain text", RED[:60], b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_image_is_a_400_of_one_sentence(model_folder: Path, body: bytes) -> None:
    answer = inference.predict_fn(inference.parse(body, "application/x-image"), inference.load(model_folder))

    with pytest.raises(inference.InferenceError) as error:
        inference.output_fn(answer, "application/json")

    assert error.value.status_code == 400
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("most", "taken"), [(12, True), (11, False)])
def test_an_image_of_as_many_pixels_as_are_allowed_is_read(
    most: int, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "MAX_PIXELS", most)
    content = io.BytesIO()
    Image.new("RGB", (4, 3)).save(content, "PNG")
    if taken:
        assert inference.decode(content.getvalue()).shape == (3, 4, 3)
    else:
        with pytest.raises(inference.InferenceError, match="4 x 3 pixels: at most 11"):
            inference.decode(content.getvalue())


def test_an_image_of_too_many_pixels_is_a_413() -> None:
    bomb = encoded(Image.new("1", (12_000, 12_000)))

    with pytest.raises(inference.InferenceError) as error:
        inference.decode(bomb)

    assert error.value.status_code == 413


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "1", "RGBA", "LA", "I;16", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("L", (8, 6), 120)
    if mode == "I;16":
        image = Image.fromarray(np.full((6, 8), 120 << 8, np.uint16))
    else:
        image = image.convert("RGB").convert(mode) if mode in ("P", "CMYK", "RGBA") else image.convert(mode)

    pixels = inference.decode(encoded(image, "TIFF"))

    assert pixels.shape == (6, 8, 3)
    if mode not in ("1", "CMYK", "P"):
        assert abs(int(pixels[0, 0, 0]) - 120) <= 1


def test_transparent_is_white_and_orientation_is_honoured() -> None:
    clear = Image.new("RGBA", (10, 4), (255, 0, 0, 0))
    assert inference.decode(encoded(clear)).min() == 255

    exif = Image.Exif()
    exif[0x0112] = 6
    # GIVEN a left edge that is on top of the upright image, with and without transparency
    for plain, kind in (
        (Image.new("RGB", (10, 4)), "JPEG"),
        (Image.new("RGB", (10, 4)), "TIFF"),
        (clear, "PNG"),
        (clear, "WEBP"),
    ):
        plain.paste((255, 255, 255), (0, 0, 3, 4))
        found = inference.decode(encoded(plain.convert(plain.mode), kind, exif=exif))
        assert found.shape == (10, 4, 3), kind
        assert found[0].min() > 128, kind
    palette = Image.new("P", (10, 4))
    palette.putpalette([255, 0, 0])
    turned = inference.decode(encoded(palette, "PNG", exif=exif, transparency=0))
    assert (turned.shape, turned.min()) == ((10, 4, 3), 255)


def test_large_images_are_scaled_before_the_graph() -> None:
    assert inference.decode(encoded(Image.new("RGB", (4000, 3000)), "JPEG")).shape == (384, 512, 3)


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size_and_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    # GIVEN an image of more pixels than Pillow takes without a warning
    sizes: list[tuple[int, int]] = []
    to_rgb = inference._rgb
    monkeypatch.setattr(inference, "_rgb", lambda image: sizes.append(image.size) or to_rgb(image))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4_000_000)
    inference.decode(encoded(Image.new("RGB", (3000, 2000)), "JPEG"))
    assert sizes == [(1500, 1000)]
    assert not recwarn.list


def test_a_request_has_up_to_256_images_and_may_leave_out_what_one_is() -> None:
    instances = [{"b64": base64.b64encode(RED).decode()}] * 256
    found = inference.parse(json.dumps({"instances": instances}), "application/json")
    assert (len(found.images), found.batch) == (256, True)
    with pytest.raises(inference.InferenceError, match="257 instances") as error:
        inference.parse(json.dumps({"instances": [*instances, instances[0]]}), "application/json")
    assert error.value.status_code == 413
    assert inference.parse(RED, "") == inference.InferenceRequest([RED], batch=False)


def test_a_worker_runs_a_model_on_one_thread_that_does_not_spin(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a graph of two classes that does not name its version
    given: list[Any] = []
    session = SimpleNamespace(
        get_outputs=lambda: [SimpleNamespace(name="probabilities", shape=[1, 2])],
        get_modelmeta=lambda: SimpleNamespace(custom_metadata_map={}),
    )
    monkeypatch.setattr(
        inference.onnxruntime,
        "InferenceSession",
        lambda graph, options, providers: given.extend((options, providers)) or session,
    )
    assert inference.load(model_folder).name == "model"
    folder = model_folder.rename(model_folder.with_name("bikes-7"))
    assert inference.load(folder).name == "bikes-7"
    options, providers, *_ = given
    assert providers == ["CPUExecutionProvider"]
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    (folder / "labels.json").write_text('["a", "b", "c"]')
    with pytest.raises(ValueError, match=r"names 3 labels, but .* has 2 classes"):
        inference.load(folder)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("labels.json", None, "missing"),
        ("model.onnx", None, "missing"),
        ("labels.json", "{", "not a JSON list"),
        ("labels.json", '["a"]', "1 labels"),
        ("model.onnx", "junk", "not an ONNX model"),
    ],
)
def test_a_broken_model_folder_is_an_error(
    model_folder: Path, file: str, content: str | None, says: str
) -> None:
    (model_folder / file).unlink()
    if content is not None:
        (model_folder / file).write_text(content)

    with pytest.raises((FileNotFoundError, ValueError), match=says) as error:
        inference.load(model_folder)

    assert file in str(error.value)


def test_package_is_the_same_every_time_and_runs_alone(model_folder: Path, tmp_path: Path) -> None:
    one = artifact.write_artifact(model_folder, tmp_path / "one.tar.gz").read_bytes()
    two = artifact.write_artifact(model_folder, tmp_path / "two.tar.gz").read_bytes()
    shutil.unpack_archive(tmp_path / "one.tar.gz", tmp_path / "container")

    # WHEN the module is loaded from the archive, as the container does it
    spec = importlib.util.spec_from_file_location(
        "inference_alone", tmp_path / "container" / "code" / "inference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    alone: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["inference_alone"] = alone
    spec.loader.exec_module(alone)
    model = alone.model_fn(str(tmp_path / "container"))
    text, _ = alone.output_fn(alone.predict_fn(alone.input_fn(RED, "image/png"), model), "application/json")

    assert one == two
    assert json.loads(text)[1] > 0.9
    del sys.modules["inference_alone"]
    pins = (tmp_path / "container" / "code" / "requirements.txt").read_text()
    assert "onnxruntime==" in pins
    assert "--hash=sha256:" in pins
    assert "numpy" not in pins
    # AND it names no index: the wheels are in the archive, which pip finds relative to the requirements
    assert pins.startswith("--no-index\n--find-links wheels\n")
    assert {path.name for path in (tmp_path / "container" / "code" / "wheels").iterdir()} == {
        path.name for path in wheels.fetch()
    }


def test_package_wants_a_model_folder(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"model\.onnx"):
        artifact.write_artifact(tmp_path, tmp_path / "m.tar.gz")


def test_in_the_container_errors_are_of_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN the container's own error class, which makes status and message reach the caller
    class BaseInferenceToolkitError(Exception):
        def __init__(self, status_code: int, message: str, phrase: str) -> None:
            self.status_code, self.message, self.phrase = status_code, message, phrase

    toolkit = ModuleType("sagemaker_inference")
    errors = ModuleType("sagemaker_inference.errors")
    errors.BaseInferenceToolkitError = BaseInferenceToolkitError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sagemaker_inference", toolkit)
    monkeypatch.setitem(sys.modules, "sagemaker_inference.errors", errors)

    spec = importlib.util.spec_from_file_location("inference_container", inference.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "inference_container", module)
    spec.loader.exec_module(module)

    error = module.InferenceError("no", 415)
    assert isinstance(error, BaseInferenceToolkitError)
    assert (error.status_code, error.message, error.phrase) == (415, "no", "Unsupported Media Type")


def test_the_committed_model_is_small_and_predicts() -> None:
    assert (BIKES / "model.onnx").stat().st_size <= 8_000_000
    model = inference.load(BIKES)

    [answer] = model.predict([RED])

    assert isinstance(answer, dict)
    assert answer["labels"] == ["bicycle", "motorcycle"]
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert answer["familiarity"] < 0.02


def test_it_reads_the_files_that_a_model_folder_has() -> None:
    assert (inference.GRAPH, inference.LABELS) == model_folder.NEEDED


def test_it_decodes_what_the_workflow_reads_and_nothing_else() -> None:
    assert inference.FORMATS == formats.PILLOW
    assert inference.MAX_PIXELS == 1_000_000 * defaults.MAX_MEGAPIXELS
    for kind in ("EPS", "TGA", "PCX", "PDF"):
        with pytest.raises(inference.InferenceError):
            inference.decode(encoded(Image.new("RGB", (20, 20), (200, 40, 40)), kind))


def graph_with_weights_of(file: str) -> bytes:
    """An ONNX model that returns the first 16 bytes of a file, which its weights name."""

    def field(number: int, value: int | str | bytes) -> bytes:
        if isinstance(value, int):
            return bytes([number << 3, value])
        content = value.encode() if isinstance(value, str) else value
        return bytes([number << 3 | 2, len(content)]) + content

    external = field(13, field(1, "location") + field(2, file)) + field(
        13, field(1, "length") + field(2, "16")
    )
    weights = field(1, 16) + field(2, 2) + field(8, "w") + external + field(14, 1)
    kind = field(1, field(1, 2) + field(2, field(1, field(1, 16))))
    node = field(1, "w") + field(2, "y") + field(4, "Identity")
    graph = field(1, node) + field(2, "g") + field(5, weights) + field(12, field(1, "y") + field(2, kind))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))


@pytest.mark.parametrize("file", ["/etc/passwd", "../secret", "link", "beside"])
def test_a_model_reads_no_other_file(tmp_path: Path, file: str) -> None:
    # GIVEN a model folder whose graph names another file for its weights, also by a link
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(16))
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "beside").write_bytes(bytes(16))
    (folder / "labels.json").write_text(json.dumps([str(number) for number in range(16)]))
    (folder / "model.onnx").write_bytes(graph_with_weights_of(file))
    with pytest.raises(
        ValueError, match=r"model\.onnx is not an ONNX model that can be loaded: .*[Ee]xternal data path"
    ):
        inference.Model(folder)
