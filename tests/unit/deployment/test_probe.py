"""The probe of `dropsort deploy` on a clock of the test: what it uploads, how long it waits, and that it leaves nothing."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dropsort.deployment import probe
from dropsort.deployment.errors import DeployError


class Bucket:
    """A versioned bucket whose service writes the results of some uploads some seconds later."""

    def __init__(self, results: dict[int, float]) -> None:
        self.results, self.now, self.status = results, 0.0, 404
        self.uploads: list[tuple[str, float]] = []
        self.deleted: list[tuple[str, str]] = []
        self.checked: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 6)

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        assert (Bucket, Body) == ("images", b"A probe of `dropsort deploy`: no image.\n")
        assert re.fullmatch(r"incoming/dropsort-probe/[0-9a-f]{32}\.txt", Key)
        self.uploads.append((Key, self.now))

    def head_object(self, Bucket: str, Key: str) -> None:
        assert Bucket == "images"
        assert not self.deleted
        self.checked.append(Key)
        for number, (key, _) in enumerate(self.uploads):
            if Key == f"failed/{key.removeprefix('incoming/')}.json" and self.now >= self.results.get(
                number, 1e9
            ):
                return
        response: Any = {"Error": {}, "ResponseMetadata": {"HTTPStatusCode": self.status}}
        raise ClientError(response, "HeadObject")

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_object_versions"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Any:
        assert Bucket == "images"
        return [{"Versions": [{"Key": f"{Prefix}a", "VersionId": "1"}]},
                {"DeleteMarkers": [{"Key": f"{Prefix}a", "VersionId": "2"}]}]  # fmt: skip

    def delete_object(self, Bucket: str, Key: str, VersionId: str) -> None:
        assert Bucket == "images"
        self.deleted.append((Key, VersionId))


def run(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, **options: float) -> tuple[float, list[str]]:
    steps: list[str] = []
    monkeypatch.setattr(probe.time, "monotonic", lambda: 5000.0 + bucket.now)
    monkeypatch.setattr(probe.time, "sleep", bucket.sleep)
    return probe.run(bucket, "images", steps.append, **options), steps  # type: ignore[arg-type]


ALL = [
    (f"{prefix}/dropsort-probe/a", version)
    for prefix, version in itertools.product(("failed", "incoming"), "12")
]


@pytest.mark.parametrize("status", [403, 404])
def test_a_first_probe_that_has_its_result(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    bucket = Bucket({0: 1.0})
    bucket.status = status
    seconds, steps = run(bucket, monkeypatch)
    assert (seconds, steps, len(bucket.uploads)) == (pytest.approx(1.0), [], 1)
    assert len(bucket.checked) == 8  # every fifth of a second, and twice when later ones are awaited
    # Results go first: the service deletes that of a deleted upload, too.
    assert bucket.deleted == ALL


def test_another_is_uploaded_every_twenty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a bucket that loses the events of the first two uploads; the fourth has its result last
    bucket = Bucket({2: 65.0, 3: 70.0})
    seconds, steps = run(bucket, monkeypatch)
    # THEN the results of later probes are awaited, those of earlier ones are not
    assert [time for _, time in bucket.uploads] == pytest.approx([0, 20, 40, 60])
    words = "Waiting for S3's events, which take some minutes in a new bucket ({} s)"
    assert steps == [words.format(time) for time in (20, 40, 60)]
    assert (seconds, bucket.now) == (pytest.approx(65.0), pytest.approx(70.0))
    assert bucket.deleted == ALL


def test_results_of_later_probes_are_awaited_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket({0: 25.0})
    seconds, _ = run(bucket, monkeypatch)
    assert (seconds, bucket.now) == (pytest.approx(25.0), pytest.approx(85.0))
    assert bucket.deleted == ALL


def test_only_the_last_three_are_checked_and_the_time_is_up_after_a_quarter_of_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # GIVEN a first probe whose result comes only when four are there
    bucket = Bucket({0: 61.0})
    with pytest.raises(
        DeployError, match=r"No probe upload has had a result for 15 minutes: .*then deploy again"
    ):
        run(bucket, monkeypatch)
    assert bucket.now == pytest.approx(901)
    assert bucket.deleted == ALL
    # AND at the end of the time itself it is still awaited
    bucket = Bucket({0: 2.0})
    assert run(bucket, monkeypatch, patience_seconds=2.0, again_seconds=5)[0] == pytest.approx(2.0)
    assert run(Bucket({1: 3.0}), monkeypatch, again_seconds=1)[0] == pytest.approx(3.0)


def test_an_error_of_s3_ends_it_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket({})
    bucket.status = 500
    with pytest.raises(ClientError):
        run(bucket, monkeypatch)
    assert bucket.deleted == ALL
