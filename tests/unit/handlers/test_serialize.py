"""The first function, through an S3 of moto: from an event to a state."""

from __future__ import annotations

import base64
import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.contract.metrics import IGNORED
from handlers import serialize
from handlers.imaging import limits
from handlers.uploads import InvalidInput
from tests.unit.handlers.conftest import BUCKET
from tests.unit.handlers.sample_images import drawn, encoded, noise


def event_for(sample_event: Any, key: str, **fields: Any) -> dict[str, Any]:
    event: dict[str, Any] = sample_event("object-created")
    event["detail"]["bucket"]["name"] = BUCKET
    event["detail"]["object"] = {"key": key, "sequencer": "617f08299329d189", **fields}
    return event


def test_a_small_image_arrives_byte_for_byte(s3: Any, sample_event: Any, context: SimpleNamespace) -> None:
    data = encoded(drawn(32, 32), "PNG")
    put = s3.put_object(Bucket=BUCKET, Key="incoming/a.png", Body=data)
    event = event_for(sample_event, "incoming/a.png", **{"version-id": put["VersionId"], "size": len(data)})
    state = serialize.handler(event, context)
    assert base64.b64decode(state["image_data"]) == data
    assert state["metrics"] == {"SerializedBytes": len(data)}
    assert (state["s3_bucket"], state["s3_key"], state["inferences"]) == (BUCKET, "incoming/a.png", [])
    assert (state["content_type"], state["image"]) == (
        "image/png",
        {"format": "PNG", "width": 32, "height": 32},
    )
    assert state["upload"]["version_id"] == put["VersionId"]
    assert state["upload"]["sequencer"] == "617f08299329d189"
    json.dumps(state)


def test_started_by_hand(s3: Any, context: SimpleNamespace) -> None:
    s3.put_object(Bucket=BUCKET, Key="incoming/a+b.jpg", Body=encoded(drawn(), "JPEG"))
    state = serialize.handler(
        {"s3_bucket": BUCKET, "s3_key": "incoming/a+b.jpg", "image_data": "", "inferences": []}, context
    )
    assert state["image"]["format"] == "JPEG"
    assert state["upload"]["sequencer"] is None


def test_the_name_of_a_file_means_nothing(s3: Any, context: SimpleNamespace) -> None:
    s3.put_object(Bucket=BUCKET, Key="incoming/a.txt", Body=encoded(drawn(), "WEBP"))
    assert (
        serialize.handler({"s3_bucket": BUCKET, "s3_key": "incoming/a.txt"}, context)["image"]["format"]
        == "WEBP"
    )


@pytest.mark.parametrize("key", ["incoming/a.jpg", "incoming/" + "写" * 338])
def test_the_state_stays_far_below_its_limit(
    s3: Any, sample_event: Any, context: SimpleNamespace, key: str
) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=encoded(noise(1500, 1500), "PNG"))
    state = serialize.handler(event_for(sample_event, key), context)
    assert len(json.dumps(state)) < 150_000


@pytest.mark.parametrize(
    ("key", "data", "code"),
    [
        ("incoming/a.jpg", b"text", "not_an_image"),
        ("incoming/a.jpg", b"", "empty_object"),
        ("incoming/a.jpg", encoded(drawn(300, 200), "JPEG")[:900], "truncated_image"),
        ("incoming/gone.jpg", None, "object_not_found"),
    ],
)
def test_what_will_never_work_is_returned_as_data(
    s3: Any, sample_event: Any, context: SimpleNamespace, key: str, data: bytes | None, code: str
) -> None:
    if data is not None:
        s3.put_object(Bucket=BUCKET, Key=key, Body=data)
    state = serialize.handler(event_for(sample_event, key), context)
    assert "image_data" not in state
    assert state["rejection"] == {"code": code, "message": state["rejection"]["message"]}
    assert state["upload"]["sequencer"] == "617f08299329d189"


def test_an_overwritten_upload_of_a_bucket_without_versions_is_superseded(
    plain_s3: Any, sample_event: Any, context: SimpleNamespace
) -> None:
    plain_s3.put_object(Bucket=BUCKET, Key="incoming/a.jpg", Body=b"newer")
    state = serialize.handler(event_for(sample_event, "incoming/a.jpg", etag="0" * 32), context)
    assert (state["superseded"], state["upload"]["etag"]) == (True, "0" * 32)
    assert "image_data" not in state


def test_what_names_no_upload_is_an_error(context: SimpleNamespace, sample_event: Any) -> None:
    for document in ({}, {"s3_bucket": "b", "s3_key": "classified/a"}, sample_event("object-tags-added")):
        with pytest.raises(InvalidInput):
            serialize.handler(document, context)


@pytest.mark.parametrize(
    "data", [encoded(noise(200, 150), "PNG"), encoded(drawn(200, 150), "PNG")], ids=["object", "pixels"]
)
def test_what_needs_more_memory_goes_to_the_function_that_has_it(
    s3: Any, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    s3.put_object(Bucket=BUCKET, Key="incoming/a.png", Body=data)
    started = {"s3_bucket": BUCKET, "s3_key": "incoming/a.png"}
    # GIVEN the function with little memory: too little for the object, or for its pixels
    small = dataclasses.replace(serialize._SETTINGS, decoding_bytes=300_000)
    monkeypatch.setattr(serialize, "_SETTINGS", small)
    monkeypatch.setattr(serialize, "_MOST_BYTES", small.decoding_bytes // 6)
    monkeypatch.setattr(limits, "DECODING_BYTES", small.decoding_bytes)
    # WHEN it gets the image THEN it leaves it to the other
    state = serialize.handler(started | {"image_data": ""}, context)
    assert state == started | {"large": True}
    # AND what has nothing to do with memory is decided at once
    s3.put_object(Bucket=BUCKET, Key="incoming/b.png", Body=b"text")
    assert (
        serialize.handler(started | {"s3_key": "incoming/b.png"}, context)["rejection"]["code"]
        == "not_an_image"
    )


def test_a_sixth_of_the_memory_for_decoding_is_for_the_object() -> None:
    assert serialize._MOST_BYTES == 1_300_000_000 // 6


def test_with_all_memory_what_does_not_fit_is_rejected(
    s3: Any, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_object(Bucket=BUCKET, Key="incoming/a.png", Body=encoded(drawn(200, 150), "PNG"))
    monkeypatch.setattr(limits, "DECODING_BYTES", 300_000)
    state = serialize.handler({"s3_bucket": BUCKET, "s3_key": "incoming/a.png"}, context)
    assert state["rejection"]["code"] == "too_many_pixels"
    assert state["metrics"] == {"Rejected": 1}


@pytest.mark.parametrize(
    "key", ["incoming/", "incoming/dir/", "incoming/cam1/._a.jpg", "incoming/@eaDir/a.jpg"]
)
def test_an_ignored_upload_of_an_event_is_not_even_read(
    sample_event: Any, context: SimpleNamespace, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    event = event_for(sample_event, key, size=0 if key.endswith("/") else 7)
    event["detail"]["bucket"]["name"] = "no-such-bucket"
    state = serialize.handler(event, context)
    assert state == {"ignored": True, "outcome": "ignored", "s3_bucket": "no-such-bucket", "s3_key": key}
    assert json.loads(capsys.readouterr().out)[IGNORED] == 1


def test_a_folder_marker_whose_size_the_input_does_not_have_is_ignored(
    s3: Any, context: SimpleNamespace
) -> None:
    s3.put_object(Bucket=BUCKET, Key="incoming/dir/")
    state = serialize.handler({"s3_bucket": BUCKET, "s3_key": "incoming/dir/"}, context)
    assert (state["ignored"], "rejection" in state) == (True, False)


def test_an_image_under_a_key_with_a_slash_at_the_end_is_an_image(s3: Any, context: SimpleNamespace) -> None:
    s3.put_object(Bucket=BUCKET, Key="incoming/dir/", Body=encoded(drawn(32, 32), "PNG"))
    assert "image_data" in serialize.handler({"s3_bucket": BUCKET, "s3_key": "incoming/dir/"}, context)
