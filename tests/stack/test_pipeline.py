"""Uploads through the deployed template: one upload, one result, whatever the key, the order or the number of events."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dropsort.client import redrive
from dropsort.contract import keys
from dropsort.local.service import LocalService
from tests.stack.helpers import sample_image
from tests.stack.upload_folder import UploadFolder, drawn

pytestmark = pytest.mark.stack


def event(bucket: str, key: str, etag: str, sequencer: str) -> dict[str, Any]:
    """The event that S3 sends to EventBridge for an upload."""
    detail = {
        "version": "0",
        "bucket": {"name": bucket},
        "object": {"key": key, "etag": etag, "sequencer": sequencer},
        "reason": "PutObject",
    }
    return {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": "2026-11-21T12:00:00Z",
        "detail": detail,
    }


def test_real_images_are_classified(service: LocalService, real_data: Path) -> None:
    # GIVEN four real images of each class
    uploads = UploadFolder(service, "pipeline-real")
    files = {
        f"{label}/{path.name}": path.read_bytes()
        for label in ("bicycle", "motorcycle")
        for path in sorted((real_data / "bicycle-motorcycle" / "test" / label).iterdir())[:4]
    }
    # WHEN they are dropped
    etags = uploads.upload(files)
    results = uploads.settled(etags)
    # THEN each has one result of the documented form, most of the right class, with what it was made of
    right = [name for name, result in results.items() if result["label"] == name.split("/")[0]]
    assert len(right) >= 6
    for name, result in results.items():
        assert result["source"]["etag"] == etags[name]
        assert result["source"]["size"] == len(files[name])
        assert result["image"] == {"format": "PNG", "width": 32, "height": 32}
        assert result["model"]["endpoint"] == service.outputs["EndpointName"]
        assert result["execution"].startswith("arn:aws:states:")


def test_an_image_of_50_megapixels_is_classified(service: LocalService) -> None:
    # GIVEN an image of 50 megapixels, turned by its EXIF orientation
    uploads = UploadFolder(service, "pipeline-large")
    image = Image.linear_gradient("L").resize((8192, 6144)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85, exif=exif)
    # WHEN it is dropped
    results = uploads.settled(uploads.upload({"50.jpg": content.getvalue()}))
    # THEN it has a prediction, and its size is that of the upright image
    assert results["50.jpg"]["image"] == {"format": "JPEG", "width": 6144, "height": 8192}
    assert results["50.jpg"]["outcome"] in (keys.CLASSIFIED, keys.LOW_CONFIDENCE)


def test_what_takes_more_memory_than_serialize_has_goes_to_its_larger_copy(service: LocalService) -> None:
    # GIVEN a PNG of 21 megapixels, which takes 270 MB to decode
    uploads = UploadFolder(service, "pipeline-larger")
    content = io.BytesIO()
    Image.linear_gradient("L").resize((5000, 4200)).save(content, "PNG", compress_level=1)
    # WHEN it is dropped
    result = uploads.settled(uploads.upload({"21.png": content.getvalue()}))["21.png"]
    # THEN the first function leaves it to the second, with its upload as the event named it
    assert result["image"] == {"format": "PNG", "width": 5000, "height": 4200}
    assert result["outcome"] in (keys.CLASSIFIED, keys.LOW_CONFIDENCE)
    assert result["source"]["sequencer"]
    assert {"Serialize", "SerializeLarge", "Classify", "Filter"} <= set(uploads.entered(result["execution"]))


NAMES = (
    "plain.png",
    "with space.png",
    "  two  spaces .png",
    "a+b.png",
    "a%2Bb.png",
    "100%.png",
    "größe-画像-🚲.png",
    "e\u0301.png",
    "\u00e9.png",
    ".hidden",
    "..leading",
    "./here.png",
    "up/../down.png",
    "double//slash.png",
    "no extension",
    "quote\"s'.png",
    "semi;colon&and=equals?.png",
    "back\\slash.png",
    "trailing.json",
    "tilde~.png",
    "x" * (1024 - len("incoming/pipeline-keys/")),
    "deep/" * 150 + "z.png",
    "ü" * ((1024 - len("incoming/pipeline-keys/")) // 2),
)


def test_every_key_has_a_result_of_its_own(service: LocalService, tmp_path: Path) -> None:
    # GIVEN keys that are easily decoded, normalised or cut
    uploads = UploadFolder(service, "pipeline-keys")
    contents = {
        name: drawn(tmp_path / str(number), 1)[0] + bytes([number]) for number, name in enumerate(NAMES)
    }
    # WHEN an image is dropped under each
    etags = uploads.upload(contents)
    results = uploads.settled(etags)
    # THEN each has the result of its own content, under its own name
    assert {name: result["source"]["etag"] for name, result in results.items()} == etags
    assert len({result["inference_id"] for result in results.values()}) == len(NAMES)


def test_ignored_uploads_have_no_result_and_nobody_waits_for_one(
    service: LocalService, tmp_path: Path
) -> None:
    # GIVEN folder markers and ignored files next to an image
    uploads = UploadFolder(service, "pipeline-ignored")
    image = drawn(tmp_path, 1)[0]
    ignored = {
        "sub/": b"",
        "._a.png": b"x" * 82,
        "sub/Thumbs.db": image,
        "@eaDir/a.png": image,
        "a.png.part": image[:40],
    }
    # WHEN all are uploaded
    etags = uploads.upload(ignored | {"a.png": image})
    uploads.settled({"a.png": etags["a.png"]})
    # AND one of them is started by hand
    ended = uploads.wait(uploads.start({"s3_bucket": service.bucket, "s3_key": uploads.key("sub/")}))
    # THEN the executions end, and the image alone has a result
    assert (ended["status"], json.loads(ended["output"])["outcome"]) == ("SUCCEEDED", "ignored")
    assert set(uploads.results()) == {uploads.key("a.png")}
    # AND none counts as unfinished
    assert redrive.find(uploads.s3, service.bucket, prefix=f"{uploads.folder}/") == []


def test_another_image_replaces_the_result_wherever_it_was(service: LocalService, tmp_path: Path) -> None:
    # GIVEN one key and contents of every outcome
    uploads = UploadFolder(service, "pipeline-again")
    bicycle, motorcycle = drawn(tmp_path)
    steps = [
        (bicycle, keys.CLASSIFIED),
        (b"some text", keys.FAILED),
        (sample_image(1), keys.LOW_CONFIDENCE),
        (motorcycle, keys.CLASSIFIED),
        (sample_image(2), keys.LOW_CONFIDENCE),
        (b"other text", keys.FAILED),
        (bicycle, keys.CLASSIFIED),
    ]
    # WHEN they are dropped one after another, THEN the newest one's result is there alone each time
    for content, outcome in steps:
        results = uploads.settled(uploads.upload({"same.png": content}))
        assert results["same.png"]["outcome"] == outcome


def test_overtaking_uploads_of_one_key_end_with_the_newest(service: LocalService, tmp_path: Path) -> None:
    # GIVEN twelve uploads of one key in a hurry, of all outcomes
    uploads = UploadFolder(service, "pipeline-hurry")
    contents = [*drawn(tmp_path), b"text", sample_image(3)] * 3
    # WHEN they follow one another without waiting
    for content in contents:
        etags = uploads.upload({"same.png": content})
    # THEN the last one's result is there, alone
    uploads.settled(etags)


def test_events_twice_and_out_of_order_change_nothing(service: LocalService, tmp_path: Path) -> None:
    # GIVEN a result
    uploads = UploadFolder(service, "pipeline-twice")
    bicycle, motorcycle = drawn(tmp_path)
    old = uploads.upload({"a.png": bicycle})
    first = uploads.settled(old)["a.png"]
    new = uploads.upload({"a.png": motorcycle})
    second = uploads.settled(new)["a.png"]
    # WHEN the newest event comes twice more, and after it the older one, late
    key = uploads.key("a.png")
    again = [
        event(service.bucket, key, new["a.png"], second["source"]["sequencer"]),
        event(service.bucket, key, new["a.png"], second["source"]["sequencer"]),
        event(service.bucket, key, old["a.png"], first["source"]["sequencer"]),
    ]
    ended = [uploads.wait(arn) for arn in [uploads.start(document) for document in again]]
    # THEN no execution fails, and the result is the newest upload's, with the same inference id
    assert [execution["status"] for execution in ended] == ["SUCCEEDED"] * 3
    assert json.loads(ended[2]["output"])["outcome"] == "superseded"
    third = uploads.settled(new)["a.png"]
    assert (third["label"], third["inference_id"]) == (second["label"], second["inference_id"])
    assert third["source"]["sequencer"] == second["source"]["sequencer"]


def test_an_execution_started_by_hand(service: LocalService, tmp_path: Path) -> None:
    # GIVEN an upload with its result
    uploads = UploadFolder(service, "pipeline-hand")
    etags = uploads.upload({"a.png": drawn(tmp_path)[0]})
    before = uploads.settled(etags)["a.png"]
    # WHEN its workflow is started as the notebooks do, with bucket and key
    ended = uploads.wait(uploads.start({"s3_bucket": service.bucket, "s3_key": uploads.key("a.png")}))
    # THEN there is one result still, with the same prediction
    assert ended["status"] == "SUCCEEDED"
    after = uploads.settled(etags)["a.png"]
    assert (after["label"], after["confidence"]) == (before["label"], before["confidence"])
    assert after["execution"] == ended["executionArn"]


def test_started_by_hand_for_what_is_not_there(service: LocalService) -> None:
    uploads = UploadFolder(service, "pipeline-gone")
    ended = uploads.wait(uploads.start({"s3_bucket": service.bucket, "s3_key": uploads.key("never.png")}))
    assert ended["status"] == "SUCCEEDED"
    assert uploads.results()[uploads.key("never.png")][0]["reason"]["code"] == "object_not_found"


@pytest.mark.parametrize(
    "started_with", [{}, {"s3_bucket": "b"}, {"s3_bucket": "b", "s3_key": "outside/a.png"}]
)
def test_an_execution_about_no_upload_fails_with_a_sentence(
    service: LocalService, started_with: dict[str, str]
) -> None:
    uploads = UploadFolder(service, "pipeline-nothing")
    ended = uploads.wait(uploads.start(started_with))
    assert ended["status"] == "FAILED"
    assert "names no upload" in ended["cause"]
