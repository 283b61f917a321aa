"""From an image on a page back to its upload, and everything about one upload."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from dropsort.client import image_history
from dropsort.client.errors import NotFoundError
from dropsort.client.image_history import find, upload_key
from dropsort.client.trace import keys_in_bucket, keys_in_file
from dropsort.contract import keys, reviews
from tests.unit.client.conftest import BUCKET

KEY = "incoming/cam/a.jpg"


def test_inference_ids_lead_back_to_keys(s3: Any, tmp_path: Path) -> None:
    # GIVEN uploads, one of them twice, and ids of both of its versions, by version and by ETag, and of something else
    versions = [s3.put_object(Bucket=BUCKET, Key=KEY, Body=body)["VersionId"] for body in (b"1", b"2")]
    other = s3.put_object(Bucket=BUCKET, Key="incoming/b.jpg", Body=b"3")["ETag"].strip('"')
    ids = {keys.inference_id(BUCKET, KEY, version): KEY for version in versions}
    ids[keys.inference_id(BUCKET, "incoming/b.jpg", other)] = "incoming/b.jpg"

    # THEN a listing finds them all, and no more than it may list
    assert keys_in_bucket(s3, BUCKET, {*ids, "unknown"}) == ids
    assert keys_in_bucket(s3, BUCKET, ids, most=1).keys() < ids.keys()

    # AND so does a file of results, with lines that are none, and a line separator in a key
    separated = json.dumps({"inference_id": "3", "source": {"key": "a\u2028"}}, ensure_ascii=False)
    lines = [
        json.dumps({"inference_id": "1", "source": {"key": KEY}}),
        separated,
        "{cut",
        '{"inference_id": "2"}',
        "[]",
    ]
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    assert keys_in_file(tmp_path / "results.jsonl", {"1", "2", "3"}) == {"1": KEY, "3": "a\u2028"}
    assert keys_in_file(tmp_path, ["1"]) == {}  # a folder, which cannot be read
    assert keys_in_file(tmp_path / "nowhere.jsonl", {"1"}) == {}


def versions_in_moto() -> list[Any]:
    """The versions of the image, the oldest first, of which a test can set the times."""
    found: list[Any] = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET].keys.getlist(KEY)
    return found


class Endless:
    """S3 with a bucket of more uploads than are listed."""

    def __init__(self) -> None:
        self.requests = 0

    def get_paginator(self, _: str) -> Endless:
        return self

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        while True:
            self.requests += 1
            yield {"Versions": [{"Key": KEY, "VersionId": "1", "ETag": '"1"'}] * 1000}


def test_a_search_ends_after_50_requests() -> None:
    endless: Any = Endless()
    assert keys_in_bucket(endless, BUCKET, {"unknown"}) == {}
    assert endless.requests == 50


def test_all_versions_of_an_image_are_listed_and_not_the_rest_of_the_bucket(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN versions on several pages of a listing, and many other uploads whose keys begin like theirs
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for size in range(1, 8):
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"1" * size)
    for second, version in enumerate(versions_in_moto()):
        version.last_modified = datetime(2026, 11, 26, 9, 0, second, tzinfo=UTC).replace(tzinfo=None)
    for number in range(30):
        s3.put_object(Bucket=BUCKET, Key=f"{KEY}.{number:02}", Body=b"x")
    pages = list[Any]()
    s3.meta.events.register("after-call.s3.ListObjectVersions", lambda **call: pages.append(call))
    # WHEN it is searched THEN its history has them all, the newest first
    assert [version.size for version in find(s3, BUCKET, KEY).versions] == [7, 6, 5, 4, 3, 2, 1]
    assert 3 <= len(pages) <= 4


def review(s3: Any, location: str) -> bytes:
    """Store a review of the result at a location, decided at ten, and return it."""
    prediction = json.loads(s3.get_object(Bucket=BUCKET, Key=location)["Body"].read())
    decided = reviews.append_decision(
        reviews.begin(prediction, {}),
        id="d1",
        by="ada",
        at="2026-11-26T10:00:00+00:00",
        action="label",
        label="van",
    )
    body = json.dumps(reviews.encode(decided)).encode()
    s3.put_object(Bucket=BUCKET, Key=reviews.key("cam/a.jpg"), Body=body)
    return body


def test_a_review_is_not_of_an_earlier_upload_if_one_of_two_results_is_of_the_same(
    s3: Any, write_result: Callable[..., str]
) -> None:
    # GIVEN an image that for a moment has two results: that of the upload that was reviewed, and one of another
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"1")
    review(s3, write_result(KEY, inference_id="a" * 64))
    write_result(KEY, "low-confidence", inference_id="b" * 64)
    found = find(s3, BUCKET, KEY)
    assert (len(found.results), found.earlier) == (2, False)


@pytest.mark.parametrize(("hour", "earlier"), [(9, False), (10, False), (11, True)])
def test_without_a_result_a_review_is_of_an_earlier_upload_if_the_newest_is_later(
    s3: Any, write_result: Callable[..., str], hour: int, earlier: bool
) -> None:
    for body in (b"1", b"2"):
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=body)
    location = write_result(KEY, inference_id="a" * 64)
    review(s3, location)
    s3.delete_object(Bucket=BUCKET, Key=location)
    for at, version in zip((8, hour), versions_in_moto(), strict=True):
        version.last_modified = datetime(2026, 11, 26, at, tzinfo=UTC).replace(tzinfo=None)
    assert find(s3, BUCKET, KEY).earlier is earlier


def test_the_history_of_an_image_has_its_review(s3: Any, write_result: Callable[..., str]) -> None:
    # GIVEN an upload with its result
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"1")
    location = write_result(KEY, inference_id="a" * 64)
    unreviewed = find(s3, BUCKET, KEY)
    assert (unreviewed.decisions, unreviewed.earlier) == ((), False)

    # WHEN it is reviewed
    body = review(s3, location)

    # THEN its history has the decision; something else under that key is none
    (decision,) = find(s3, BUCKET, KEY).decisions
    assert (decision.by, decision.label, decision.was.label) == ("ada", "van", "bicycle")
    s3.put_object(Bucket=BUCKET, Key=reviews.key("cam/a.jpg"), Body=b"[]")
    assert find(s3, BUCKET, KEY).decisions == ()
    # AND so is a review of another image
    s3.put_object(Bucket=BUCKET, Key="incoming/b.jpg", Body=b"2")
    s3.put_object(Bucket=BUCKET, Key=reviews.key("b.jpg"), Body=body)
    assert find(s3, BUCKET, "incoming/b.jpg").decisions == ()


@pytest.mark.parametrize("name", ["cam/a.jpg", KEY, f"s3://{BUCKET}/{KEY}"])
def test_an_upload_may_be_named_by_its_path_its_key_or_its_address(name: str) -> None:
    assert upload_key(name, BUCKET) == KEY


@pytest.mark.parametrize(
    ("uploaded", "typed"),
    [
        ("rtl\u202egpj.png", "rtl\ufffdgpj.png"),  # as tables and pages show it
        ("new\\x0aline.png", "new\nline.png"),  # as the file is named of which `drop` made the key
        ("bad\\xff.png", "bad\udcff.png"),  # so, too: a byte that is not UTF-8, as Python has it
        ("e\u0301.png", "\u00e9.png"),  # composed, and not
        ("\u00e9.png", "e\u0301.png"),
    ],
)
def test_an_upload_may_be_named_as_it_is_shown_and_as_its_file_is_named(
    s3: Any, uploaded: str, typed: str
) -> None:
    for name in (uploaded, "rtl gpj.png", "other\u202e.png"):
        s3.put_object(Bucket=BUCKET, Key=keys.INCOMING + name, Body=b"1")
    assert find(s3, BUCKET, keys.INCOMING + typed).key == keys.INCOMING + uploaded


def test_of_uploads_that_are_shown_alike_none_is_chosen(s3: Any) -> None:
    for sign in "\u202d\u202e":
        s3.put_object(Bucket=BUCKET, Key=f"incoming/rtl{sign}.png", Body=b"1")
    assert find(s3, BUCKET, "incoming/rtl\u202e.png").key == "incoming/rtl\u202e.png"
    with pytest.raises(NotFoundError, match="2 uploads are shown by this name"):
        find(s3, BUCKET, "incoming/rtl\ufffd.png")
    # AND a name without any such sign is not searched for
    with pytest.raises(NotFoundError, match=r"no result of it\.$"):
        find(s3, BUCKET, "incoming/rtl")


@pytest.mark.parametrize(
    ("path", "below", "known", "advice", "requests"),
    [
        ("a/b/c", [], [], "", ["a/b/c/", "b/c", "c"]),
        ("a/b/c", ["a/b/c/"], [], " Images are below it: dropsort results --prefix a/b/c/", ["a/b/c/"]),
        ("a/b/c", [], ["b/c"], " There is incoming/b/c: dropsort results b/c", ["a/b/c/", "b/c"]),
        ("a/b/c", [], ["c"], " There is incoming/c: dropsort results c", ["a/b/c/", "b/c", "c"]),
        ("", [], [], "", []),
        ("0/1/2/3/4/5/6/7/8", [], ["8"], "", ["0/1/2/3/4/5/6/7/8/", *("/".join("12345678"[at:]) for at in range(7))]),
    ],
)  # fmt: skip
def test_advice_about_a_path_that_is_none_takes_few_requests(
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    below: list[str],
    known: list[str],
    advice: str,
    requests: list[str],
) -> None:
    wanted: list[str] = []

    def first(_s3: Any, _bucket: str, prefix: str) -> str | None:
        wanted.append(prefix.removeprefix("incoming/"))
        return prefix if wanted[-1] in (*below, *known) else f"{prefix}x" if prefix.endswith("c") else None

    monkeypatch.setattr(image_history, "_first_key", first)
    assert image_history._advice(None, "b", path) == advice  # type: ignore[arg-type]
    assert wanted == requests


def test_an_image_of_which_only_a_result_is_left_is_not_taken_for_one_that_is_shown_alike(
    s3: Any, write_result: Callable[..., str]
) -> None:
    s3.put_object(Bucket=BUCKET, Key="incoming/e\u0301.png", Body=b"1")
    version = s3.put_object(Bucket=BUCKET, Key="incoming/\u00e9.png", Body=b"2")["VersionId"]
    write_result("incoming/\u00e9.png")
    s3.delete_object(Bucket=BUCKET, Key="incoming/\u00e9.png", VersionId=version)
    assert find(s3, BUCKET, "incoming/\u00e9.png").key == "incoming/\u00e9.png"
