"""What is stored of an image is found and removed, whole, and nothing of any other image (moto's S3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from dropsort.cli.forget import forget as command
from dropsort.client import deployed_service, forget, image_history
from dropsort.client.deployed_service import DeployedService
from dropsort.client.errors import ClientError
from dropsort.contract import keys, reviews
from tests.unit.client.conftest import BUCKET

SERVICE = DeployedService("dropsort", BUCKET, "arn", "bikes", {}, {})
KEY = "incoming/cam/a.jpg"
TRUTH = "truth/2026/11/26/00/1.jsonl"


class Meddling:
    """A client; before each of the next puts somebody else replaces the object."""

    def __init__(self, s3: Any, bodies: list[bytes]) -> None:
        self._s3, self._bodies = s3, bodies

    def put_object(self, **request: Any) -> Any:
        if self._bodies:
            self._s3.put_object(Bucket=request["Bucket"], Key=request["Key"], Body=self._bodies.pop(0))
        return self._s3.put_object(**request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)


def line(**meta: str) -> bytes:
    return json.dumps({"captureData": {}, "eventMetadata": meta, "eventVersion": "0"}).encode()


def stored(s3: Any, prefix: str = "") -> dict[str, int]:
    """Versions and deletion markers by key."""
    counts: dict[str, int] = {}
    found = s3.list_object_versions(Bucket=BUCKET, Prefix=prefix)
    for item in (*found.get("Versions", ()), *found.get("DeleteMarkers", ())):
        counts[item["Key"]] = counts.get(item["Key"], 0) + 1
    return counts


def test_a_renewed_result_leads_to_what_has_the_id_of_an_expired_version(
    s3: Any, write_result: Callable[..., str]
) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"a copy")
    write_result(KEY, inference_id="a" * 64)
    s3.put_object(Bucket=BUCKET, Key=TRUTH, Body=line(eventId="a" * 64) + b"\n")
    found = forget.find(s3, SERVICE, KEY, "truth/")
    assert "a" * 64 in found.ids
    assert found.labelled == 1
    # AND without a prefix of ground truth, no file is taken for one
    assert forget.find(s3, SERVICE, KEY, "").labelled == 0


def test_everything_of_an_image_goes_and_nothing_else(s3: Any, write_result: Callable[..., str]) -> None:
    # GIVEN an image that was uploaded twice and deleted once, with results of both, and images with similar keys
    ids = []
    for body in (b"first", b"second"):
        put = s3.put_object(Bucket=BUCKET, Key=KEY, Body=body)
        ids.append(keys.inference_id(BUCKET, KEY, put["VersionId"]))
        write_result(KEY)
    write_result(KEY, "failed")
    s3.delete_object(Bucket=BUCKET, Key="failed/cam/a.jpg.json")
    # AND a review of it, written twice, with its ground truth
    own_review = [reviews.key("cam/a.jpg"), reviews.ground_truth_key(ids[0])]
    for name in (*own_review, own_review[0]):
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"{}")
    others = ["incoming/cam/a.jpg.jpg", "incoming/cam/a"]
    for other in others:
        s3.put_object(Bucket=BUCKET, Key=other, Body=b"x")
        write_result(other)
    # AND captures of this hour, of several images in a file, and ground truth
    hour = f"captures/bikes/main/{datetime.now(UTC):%Y/%m/%d/%H}"
    shared, own, foreign = f"{hour}/1.jsonl", f"{hour}/2.jsonl", f"{hour}/3.jsonl"
    another = line(eventId="e", inferenceId="f" * 64)
    damaged = b'{"eventMetadata": ' + ids[0].encode()
    files = {
        shared: [line(eventId="1", inferenceId=ids[0]), another, damaged],
        own: [line(eventId="2", inferenceId=ids[1])],
        foreign: [another],
        TRUTH: [line(eventId=ids[1]), line(eventId="f" * 64)],
    }
    for name, lines in files.items():
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"\n".join(lines) + b"\n")
    # WHEN it is found THEN nothing is changed
    before = stored(s3)
    found = forget.find(s3, SERVICE, KEY, "truth/")
    assert (found.uploads, found.results, found.captured, found.labelled) == (2, 4, 2, 1)
    assert found.reviews == 3
    assert stored(s3) == before
    # WHEN it is removed
    forget.remove(s3, SERVICE, found)
    # THEN no version of it is left, and everything of the others is
    gone = {KEY, own, *own_review, *keys.result_keys("cam/a.jpg").values()}
    assert stored(s3) == {name: count for name, count in before.items() if name not in gone}
    assert s3.get_object(Bucket=BUCKET, Key=shared)["Body"].read().splitlines() == [another, damaged]
    assert len(s3.get_object(Bucket=BUCKET, Key=TRUTH)["Body"].read().splitlines()) == 1
    assert forget.find(s3, SERVICE, KEY, "truth/").empty


def test_what_others_write_between_finding_and_removing_stays(s3: Any) -> None:
    # GIVEN a file with ground truth of an image
    put = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"x")
    mine = line(eventId=keys.inference_id(BUCKET, KEY, put["VersionId"]))
    others = [line(eventId=sign * 64) for sign in "ef"]
    s3.put_object(Bucket=BUCKET, Key=TRUTH, Body=b"\n".join([mine, others[0]]))
    found = forget.find(s3, SERVICE, KEY, "truth/")
    # WHEN a line is added before it is confirmed, and another while the file is rewritten
    s3.put_object(Bucket=BUCKET, Key=TRUTH, Body=b"\n".join([mine, *others]))
    last = line(eventId="d" * 64)
    forget.remove(Meddling(s3, [b"\n".join([mine, *others, last])]), SERVICE, found)
    # THEN nothing but the image's line is gone, in every version
    assert s3.get_object(Bucket=BUCKET, Key=TRUTH)["Body"].read().splitlines() == [*others, last]
    assert stored(s3) == {TRUTH: 1}


def test_two_images_in_one_file_are_both_removed(s3: Any) -> None:
    names = [KEY, "incoming/cam/b.jpg"]
    puts = [s3.put_object(Bucket=BUCKET, Key=name, Body=b"x") for name in names]
    lines = [
        line(eventId=keys.inference_id(BUCKET, name, put["VersionId"]))
        for name, put in zip(names, puts, strict=True)
    ]
    other = line(eventId="f" * 64)
    s3.put_object(Bucket=BUCKET, Key=TRUTH, Body=b"\n".join([*lines, other]))
    for found in [forget.find(s3, SERVICE, name, "truth/") for name in names]:
        forget.remove(s3, SERVICE, found)
    assert s3.get_object(Bucket=BUCKET, Key=TRUTH)["Body"].read().splitlines() == [other]


def test_a_file_that_others_keep_changing_is_left_and_named(s3: Any) -> None:
    put = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"x")
    mine = line(eventId=keys.inference_id(BUCKET, KEY, put["VersionId"]))
    assert forget.ATTEMPTS == 5
    bodies = [b"\n".join([mine, line(eventId=f"{number:064}")]) for number in range(forget.ATTEMPTS + 1)]
    s3.put_object(Bucket=BUCKET, Key=TRUTH, Body=bodies[0])
    found = forget.find(s3, SERVICE, KEY, "truth/")
    with pytest.raises(ClientError, match=f"{TRUTH} was changed by others"):
        forget.remove(Meddling(s3, bodies[1:]), SERVICE, found)
    assert s3.get_object(Bucket=BUCKET, Key=TRUTH)["Body"].read() == bodies[-1]


def test_versions_on_several_pages_are_all_found(s3: Any) -> None:
    # GIVEN a key with more versions than a page has, and more keys that begin with it
    for _ in range(5):
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    for number in range(9):
        s3.put_object(Bucket=BUCKET, Key=f"{KEY}{number}", Body=b"x")
    paginator = s3.get_paginator("list_object_versions")
    pages: list[Any] = []

    class Small:
        """A client whose pages have two versions."""

        def get_paginator(self, _name: str) -> Any:
            return self

        def paginate(self, **request: Any) -> Any:
            for page in paginator.paginate(**request, PaginationConfig={"PageSize": 2}):
                pages.append(page)
                yield page

    assert len(list(image_history.versions_of(Small(), BUCKET, KEY))) == 6
    assert len(pages) < 5  # of eight


def test_the_command_takes_whatever_names_an_image_and_each_once(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"x")
    monkeypatch.setattr(deployed_service, "find", lambda *_: SERVICE)
    names = ["cam/a.jpg", KEY, f"s3://{BUCKET}/{KEY}"]
    result = CliRunner().invoke(command, [*names, "--yes"], standalone_mode=False)
    assert result.exit_code == 0, result.output
    assert result.stdout.count(KEY) == 1
    assert "1 image removed." in result.stdout
    assert stored(s3) == {}


def test_the_command_removes_each_image_with_its_lines_of_ground_truth(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = KEY.replace("a.jpg", "b.jpg")
    lines = []
    for key in (KEY, other):
        version = s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")["VersionId"]
        lines.append(line(eventId=keys.inference_id(BUCKET, key, version)))
    s3.put_object(Bucket=BUCKET, Key="truth/1.jsonl", Body=b"\n".join(lines) + b"\n")
    monkeypatch.setattr(deployed_service, "find", lambda *_: SERVICE)
    result = CliRunner().invoke(
        command, [KEY, other, "--ground-truth", "truth/", "--yes"], standalone_mode=False
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.count("1 line of ground truth") == 2
    assert stored(s3) == {}


def test_a_key_elsewhere_is_rejected(s3: Any) -> None:
    with pytest.raises(ValueError, match="is not below incoming/"):
        forget.find(s3, SERVICE, "captures/a", "")


def test_captures_of_the_hour_of_a_result_and_of_the_one_before_are_found(
    s3: Any, write_result: Callable[..., str]
) -> None:
    # GIVEN records of the image in each of three hours, of two variants, and of another endpoint
    version = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"x")["VersionId"]
    written = s3.head_object(Bucket=BUCKET, Key=write_result(KEY))["LastModified"]
    record = line(eventId="1", inferenceId=keys.inference_id(BUCKET, KEY, version))
    names = {}
    for back, variant in ((0, "main"), (1, "main"), (1, "canary"), (2, "main"), (-1, "main")):
        hour = f"{written - timedelta(hours=back):%Y/%m/%d/%H}"
        names[back, variant] = f"captures/bikes/{variant}/{hour}/1.jsonl"
    for name in (*names.values(), names[0, "main"].replace("bikes", "others")):
        s3.put_object(Bucket=BUCKET, Key=name, Body=record + b"\n")
    # THEN those in which it was sent to the endpoint are found
    found = forget.find(s3, SERVICE, KEY, "")
    assert set(found.captures) == {names[0, "main"], names[1, "main"], names[1, "canary"]}
    assert found.captured == 3


def test_of_a_file_that_is_deleted_already_the_earlier_versions_go(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="captures/a.jsonl", Body=b"{}")
    s3.delete_object(Bucket=BUCKET, Key="captures/a.jsonl")
    forget._rewrite(s3, BUCKET, "captures/a.jsonl", {"1"}, "inferenceId")
    found = s3.list_object_versions(Bucket=BUCKET, Prefix="captures/")
    assert (found.get("Versions", []), found.get("DeleteMarkers", [])) == ([], [])
