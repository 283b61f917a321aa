"""Uploads: AWS's own sample events, raw keys, runs by hand, and what names no upload."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dropsort.contract import keys
from handlers.uploads import InvalidInput, Upload


def test_the_sample_event_of_a_bucket_with_versions(sample_event: Any) -> None:
    assert Upload.from_input(sample_event("object-created")) == Upload(
        bucket="amzn-s3-demo-bucket1",
        key="incoming/cam1/a.jpg",
        version_id="IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
        etag="b1946ac92492d2347c6235b4d2611184",
        size=5,
        sequencer="617f08299329d189",
    )


def test_the_sample_event_of_a_bucket_without_versions(sample_event: Any) -> None:
    upload = Upload.from_input(sample_event("object-created-unversioned"))
    assert (upload.version_id, upload.etag) == (None, "b1946ac92492d2347c6235b4d2611184")


def test_the_newer_event_form_of_a_multipart_upload(sample_event: Any) -> None:
    upload = Upload.from_input(sample_event("object-created-event-version"))
    assert (upload.etag, upload.size) == ("3858f62230ac3c915f300c664312c11f-2", 20_971_520)


@pytest.mark.parametrize("name", ["object-deleted", "object-tags-added"])
def test_other_events_name_no_upload(sample_event: Any, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"is not 'Object Created'.*Start the workflow with"):
        Upload.from_input(sample_event(name))


def test_by_hand_as_the_notebooks_do() -> None:
    upload = Upload.from_input({"s3_bucket": "pictures", "s3_key": "incoming/a.jpg", "inferences": []})
    assert upload == Upload("pictures", "incoming/a.jpg")


RAW = [
    "a+b.jpg",
    "a b.jpg",
    "a%2Bb.jpg",
    "100%25.jpg",
    "a%20b.jpg",
    "写真/🚲.png",
    "e\u0301.jpg",
    "../a.jpg",
    ".a",
    "?a=b&c#d",
    "'\"<>",
]


@pytest.mark.parametrize("path", RAW)
def test_keys_arrive_raw_and_are_not_decoded(sample_event: Any, path: str) -> None:
    event = sample_event("object-created")
    event["detail"]["object"]["key"] = f"incoming/{path}"
    upload = Upload.from_input(json.loads(json.dumps(event)))
    assert (upload.key, upload.path) == (f"incoming/{path}", path)


@pytest.mark.parametrize(
    "document",
    [
        None, [], "incoming/a.jpg", 5, {}, {"s3_bucket": "b"}, {"s3_key": "incoming/a"}, {"s3_bucket": "", "s3_key": "incoming/a"},
        {"s3_bucket": "b", "s3_key": ""}, {"s3_bucket": "b", "s3_key": "a.jpg"}, {"s3_bucket": "b", "s3_key": None},
        {"s3_bucket": "b", "s3_key": ["incoming/a"]}, {"s3_bucket": 1, "s3_key": "incoming/a"}, {"s3_bucket": "b",
        "s3_key": "incoming/\ud800"},
        {"detail": None}, {"detail": {}}, {"detail": {"bucket": {"name": "b"}}}, {"detail": {"bucket": "b",
        "object": {"key": "incoming/a"}}},
        {"detail": {"bucket": {"name": "b"}, "object": {"key": "failed/a"}}},
        {"detail": {"bucket": {"name": "b"}, "object": {"key": "incoming/a", "size": "big"}}},
        {"detail": {"bucket": {"name": "b"}, "object": {"key": "incoming/a", "sequencer": 5}}},
        {"detail": {"bucket": {"name": "b"}, "object": {"key": "incoming/a", "version-id": ["v"]}}},
        {"detail": {"bucket": {"name": "b"}, "object": {"key": "incoming/a", "etag": {"a": 1}}}},
        {"detail": {"bucket": {"name": "b"}, "object": {"key": "incoming/a", "sequencer": False}}},
        {"detail": {"bucket": {"name": "b"}, "object": {"key": "incoming/a", "size": float("inf")}}},
        {"detail": {"bucket": {"name": "b"}, "object": {"key": "incoming/a", "etag": "a\nb: c"}}},
        {"detail": {"bucket": {"name": "b"}, "object": {"key": "incoming/a", "sequencer": "ä"}}},
        {"s3_bucket": "b", "s3_key": "incoming/" + "x" * 1016},
        {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "incoming/a"}}}]},
    ],
)  # fmt: skip
def test_what_names_no_upload_says_how_to_start(document: Any) -> None:
    with pytest.raises(InvalidInput, match=r'"s3_key": "incoming/'):
        Upload.from_input(document)


def test_the_state_carries_everything(sample_event: Any) -> None:
    upload = Upload.from_input(sample_event("object-created")).with_defaults(uploaded="2021-11-12T00:00:00Z")
    state = {"s3_bucket": upload.bucket, "s3_key": upload.key, "upload": upload.to_state()}
    assert Upload.from_state(json.loads(json.dumps(state))) == upload


def test_what_is_known_stays() -> None:
    upload = Upload("b", "incoming/a", etag="mine").with_defaults(etag="other", size=3, version_id=None)
    assert (upload.etag, upload.size, upload.version_id) == ("mine", 3, None)


def test_the_inference_id_is_of_the_upload_and_fits_sagemaker() -> None:
    one = Upload("b", "incoming/a", version_id="v1", etag="e")
    assert one.inference_id == one.with_defaults(size=5, sequencer="1f", uploaded="now").inference_id
    assert len(one.inference_id) == 64
    assert one.inference_id.isalnum()
    others = [
        Upload("b", "incoming/a", version_id="v2", etag="e"),
        Upload("b", "incoming/a", etag="e"),
        Upload("b", "incoming/b", version_id="v1"),
        Upload("c", "incoming/a", version_id="v1"),
    ]
    assert len({upload.inference_id for upload in (one, *others)}) == 5


def test_a_copy_an_empty_etag_and_no_size(sample_event: Any) -> None:
    event = sample_event("object-created")
    event["detail"]["reason"] = "CopyObject"
    event["detail"]["object"]["etag"] = ""
    del event["detail"]["object"]["size"]
    upload = Upload.from_input(event)
    assert (upload.copied, upload.etag, upload.size) == (True, None, None)
    event["detail"]["reason"] = "PutObject"
    assert not Upload.from_input(event).copied


def test_a_key_and_an_etag_of_1024_bytes_and_none_longer() -> None:
    longest = "incoming/" + "é" * 507 + "x"
    assert len(longest.encode()) == 1024
    event = {"detail": {"bucket": {"name": "b"}, "object": {"key": longest, "etag": "e" * 1024}}}
    upload = Upload.from_input(event)
    assert (upload.key, upload.etag) == (longest, "e" * 1024)
    for name, value in (("key", longest + "x"), ("etag", "e" * 1025)):
        longer = {"detail": {"bucket": {"name": "b"}, "object": event["detail"]["object"] | {name: value}}}
        with pytest.raises(InvalidInput):
            Upload.from_input(longer)


def test_the_source_of_a_result_has_what_identifies_the_upload() -> None:
    upload = Upload("b", "incoming/a", "v", "e", 5, "1f", "2026-11-26T00:00:00Z", copied=True)
    assert upload.source() == {
        "bucket": "b", "key": "incoming/a", "version_id": "v", "etag": "e", "size": 5, "sequencer": "1f"
    }  # fmt: skip


def test_ignored_are_folder_markers_and_paths_that_match() -> None:
    def matches(path: str) -> bool:
        return path == "cam1/.DS_Store"

    assert Upload("b", "incoming/cam1/", size=0).is_ignored(matches)
    assert Upload("b", "incoming/cam1/.DS_Store", size=5).is_ignored(matches)
    assert not Upload("b", "incoming/cam1/", size=1).is_ignored(matches)
    assert not Upload("b", "incoming/cam1/a.jpg", size=0).is_ignored(matches)


def test_the_inference_id_is_of_the_version_the_etag_or_nothing() -> None:
    for upload, identity in (
        (Upload("b", "incoming/a", "v", "e"), "v"), (Upload("b", "incoming/a", None, "e"), "e"), (Upload("b", "incoming/a"), "")
    ):  # fmt: skip
        assert upload.inference_id == keys.inference_id("b", "incoming/a", identity)
