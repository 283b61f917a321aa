"""What is started again: what has no result, an outdated one, or one whose failure may pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dropsort.client import redrive
from dropsort.client.deployed_service import find
from dropsort.client.errors import NotFoundError
from dropsort.contract import reconciliation
from tests.unit.client.conftest import BUCKET

RETRYABLE = {"code": "throttled", "message": "Too much to do.", "retryable": True}
FINAL = {"code": "not_an_image", "message": "No image.", "retryable": False}


class Clock:
    """S3 with times of objects that tests choose."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3
        self.times: dict[str, datetime] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def get_paginator(self, name: str) -> Any:
        paginator, times = self._s3.get_paginator(name), self.times

        class Dated:
            def paginate(self, **arguments: Any) -> Any:
                for page in paginator.paginate(**arguments):
                    for item in page.get("Versions", []):
                        item["LastModified"] = times.get(item["Key"], item["LastModified"])
                    yield page

        return Dated()


@pytest.fixture
def upload(s3: Any) -> Callable[[str], str]:
    def put(name: str, body: bytes = b"x") -> str:
        s3.put_object(Bucket=BUCKET, Key=f"incoming/{name}", Body=body)
        return f"incoming/{name}"

    return put


def found(s3: Any, **options: Any) -> dict[str, str]:
    return {item.key: item.why for item in redrive.find(s3, BUCKET, **options)}


def test_reviewed_results_are_left_out(
    s3: Any, upload: Callable[..., str], write_result: Callable[..., str]
) -> None:
    for name in ("reviewed", "predicted"):
        upload(name)
    write_result("incoming/reviewed", "low-confidence", review={"id": "1", "by": "Ada", "action": "none"})
    write_result("incoming/predicted", "low-confidence", review=None)
    chosen = redrive.select(s3, BUCKET, redrive.Selection(outcomes=("low-confidence",)))
    assert [item.key for item in chosen] == ["incoming/predicted"]


def test_finds_what_has_no_result_and_what_may_work_now(
    s3: Any, upload: Callable[..., str], write_result: Callable[..., str]
) -> None:
    for name in ("sorted", "hopeless", "unlucky", "forgotten", "cam/forgotten too"):
        upload(name)
    write_result("incoming/sorted")
    write_result("incoming/hopeless", "failed", reason=FINAL)
    write_result("incoming/unlucky", "failed", reason=RETRYABLE)
    s3.put_object(Bucket=BUCKET, Key="incoming/", Body=b"")  # the folder's own marker
    assert found(s3) == {
        "incoming/forgotten": reconciliation.NO_RESULT,
        "incoming/cam/forgotten too": reconciliation.NO_RESULT,
        "incoming/unlucky": reconciliation.RETRYABLE,
    }
    assert found(s3, prefix="cam/") == {"incoming/cam/forgotten too": reconciliation.NO_RESULT}
    assert found(s3, min_age_seconds=3600) == {}
    young: list[str] = []
    assert list(redrive.select(s3, BUCKET, min_age_seconds=3600, too_young=young.append)) == []
    assert sorted(young) == ["incoming/cam/forgotten too", "incoming/forgotten", "incoming/unlucky"]


def test_a_result_older_than_its_upload_counts_as_none(
    s3: Any, upload: Callable[..., str], write_result: Callable[..., str]
) -> None:
    # GIVEN a result that is a minute older than the upload of its key
    location = write_result(upload("a", b"first"))
    upload("a", b"second")
    clock = Clock(s3)
    now = datetime.now(UTC)
    clock.times = {"incoming/a": now, location: now - timedelta(minutes=1)}

    # THEN the upload is started again
    assert found(clock) == {"incoming/a": reconciliation.NO_RESULT}

    # AND within one second, which S3's times do not distinguish, the upload that the result names decides
    clock.times = {"incoming/a": now + timedelta(seconds=1), location: now + timedelta(seconds=1)}
    recorded = {"uploaded": now.isoformat(), "recorded": now.isoformat()}
    s3.put_object(Bucket=BUCKET, Key="incoming/a", Body=b"first")
    write_result("incoming/a", times=recorded)
    s3.put_object(Bucket=BUCKET, Key="incoming/a", Body=b"second")
    assert found(clock) == {"incoming/a": reconciliation.NO_RESULT}
    write_result("incoming/a")
    assert found(clock) == {}


def test_something_else_in_the_place_of_a_result_counts_as_none(s3: Any, upload: Callable[..., str]) -> None:
    upload("a")
    s3.put_object(Bucket=BUCKET, Key="failed/a.json", Body=b"[]")
    assert found(s3) == {"incoming/a": reconciliation.NO_RESULT}


def selected(s3: Any, **criteria: Any) -> dict[str, str]:
    chosen = redrive.select(s3, BUCKET, redrive.Selection(**criteria))
    return {item.key.removeprefix("incoming/"): item.why for item in chosen}


def test_results_decide_what_is_classified_again(
    s3: Any, upload: Callable[..., str], write_result: Callable[..., str]
) -> None:
    # GIVEN results of two models and of each outcome, and an upload without one
    for name in ("old", "new", "unnamed", "doubted", "archived", "hopeless", "lost"):
        upload(name)
    write_result("incoming/old", model={"version": "bikes-1.9.0"})
    write_result("incoming/new", model={"version": "bikes-1.10.0"})
    write_result("incoming/unnamed", model=None)
    below = {"code": "below_threshold", "message": "m", "retryable": False}
    write_result(
        "incoming/doubted", "low-confidence", reason=below, label="motorcycle", model={"version": "a"}
    )
    archived = {"code": "object_archived", "message": "m", "retryable": False}
    write_result("incoming/archived", "failed", reason=archived)
    write_result("incoming/hopeless", "failed", reason=FINAL)
    # THEN each criterion selects its own, and several together what matches all
    assert selected(s3, model_before="bikes-1.10.0") == {
        "old": "model bikes-1.9.0",
        "unnamed": "model None",
        "doubted": "model a",
    }
    assert selected(s3, reasons=("object_archived",)) == {"archived": "object_archived"}
    assert selected(s3, outcomes=("failed", "low-confidence")).keys() == {"doubted", "archived", "hopeless"}
    assert selected(s3, label="motorcycle").keys() == {"doubted"}
    assert selected(s3, label="bicycle", model_before="bikes-1.10.0").keys() == {"old", "unnamed"}
    assert selected(s3, everything=True)["lost"] == reconciliation.NO_RESULT
    assert len(selected(s3, everything=True)) == 7
    assert selected(s3) == {"lost": reconciliation.NO_RESULT}


def test_a_stack_that_is_missing_or_something_else_is_reported(aws: None) -> None:
    import boto3

    with pytest.raises(NotFoundError, match=r"no stack dropsort at .*dropsort up"):
        find(boto3.client)
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    boto3.client("cloudformation").create_stack(StackName="other", TemplateBody=json.dumps(template))
    with pytest.raises(NotFoundError, match="no output BucketName, StateMachineArn, EndpointName"):
        find(boto3.client, "other")


@pytest.mark.parametrize(("min_age", "selected"), [(0.0, True), (0.5, False)])
def test_an_upload_of_which_s3s_clock_is_ahead_has_no_age(
    s3: Any, upload: Callable[..., str], min_age: float, selected: bool
) -> None:
    clock = Clock(s3)
    clock.times = {upload("a"): datetime.now(UTC) + timedelta(hours=1)}
    assert bool(found(clock, min_age_seconds=min_age)) is selected


def test_what_the_service_ignores_is_what_its_settings_say(s3: Any, upload: Callable[..., str]) -> None:
    for name in ("a.txt", "b.jpg"):
        upload(name)
    for everything in (False, True):
        chosen = redrive.select(
            s3, BUCKET, redrive.Selection(everything=everything), ignored=lambda path: path == "a.txt"
        )
        assert [item.key for item in chosen] == ["incoming/b.jpg"]


def test_a_text_comes_before_a_number_in_the_order_of_versions() -> None:
    versions = ["x", "x-0", "x-9", "x-10", "x-10.0", "0"]
    shuffled = [versions[at] for at in (5, 3, 1, 0, 4, 2)]
    assert sorted(shuffled, key=redrive._order) == versions
