"""Waiting for results: each upload's own, none lost, none of another upload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dropsort.cli.drop import drop as drop_command
from dropsort.cli.totals import totals
from dropsort.client import files
from dropsort.client.drop import Uploaded, drop
from dropsort.client.drop_and_wait import drop_and_wait
from dropsort.client.errors import MissingResultsError
from dropsort.client.results import Result
from dropsort.client.summary import result_locations, summarise
from dropsort.client.wait import Waiter, is_result_of
from tests.unit.cli.conftest import deployed
from tests.unit.client.conftest import BUCKET

__all__ = ["deployed"]  # a fixture


@pytest.fixture
def found(tmp_path: Path) -> list[files.LocalFile]:
    for number in range(8):
        path = tmp_path / ("bicycle" if number % 2 else "motorcycle") / f"{number:02}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]))
    return files.walk([tmp_path])[0]


@pytest.mark.parametrize("in_flight", [None, 1, 4])
def test_every_upload_gets_its_result(
    s3: Any, service: set[str], found: list[files.LocalFile], in_flight: int | None
) -> None:
    counts = {"uploaded": 0, "done": 0}

    def count(name: str) -> Callable[[Any], None]:
        return lambda _: counts.update({name: counts[name] + 1})

    ordered = drop_and_wait(
        s3, BUCKET, found, in_flight=in_flight, uploaded=count("uploaded"), done=count("done")
    )
    assert sorted(item.upload.file.key for item in ordered) == [file.key for file in found]
    assert all(item.result.key == item.upload.file.key for item in ordered)
    assert counts == {"uploaded": 8, "done": 8}


def test_at_most_so_many_are_in_flight(s3: Any, service: set[str], found: list[files.LocalFile]) -> None:
    flying = highest = 0

    def uploaded(_: Any) -> None:
        nonlocal flying, highest
        flying += 1
        highest = max(highest, flying)

    def done(_: Any) -> None:
        nonlocal flying
        flying -= 1

    drop_and_wait(s3, BUCKET, found, in_flight=3, uploaded=uploaded, done=done)
    assert highest <= 3


@pytest.mark.parametrize("in_flight", [None, 2])
def test_missing_results_end_the_wait_and_are_named(
    s3: Any, service: set[str], found: list[files.LocalFile], in_flight: int | None
) -> None:
    service |= {found[3].key, found[4].key}
    came: list[str] = []
    with pytest.raises(MissingResultsError, match=r"of 8 uploads have no result.*redrive") as error:
        drop_and_wait(
            s3,
            BUCKET,
            found,
            in_flight=in_flight,
            patience_seconds=1,
            done=lambda item: came.append(item.upload.file.key),
        )
    assert {found[3].key, found[4].key} <= set(error.value.keys)
    assert not set(came) & set(error.value.keys)


def test_the_command_fails_if_images_still_wait_when_it_ends(
    deployed: None, s3: Any, write_result: Callable[..., str], tmp_path: Path
) -> None:
    # GIVEN an image that is there, whose failure the service tries again by itself
    (tmp_path / "a.jpg").write_bytes(b"a")
    command = [str(tmp_path / "a.jpg"), "--region", "us-east-1"]
    assert CliRunner().invoke(drop_command, command, standalone_mode=False).return_value == 0
    write_result("incoming/a.jpg", "failed", reason={"code": "throttled", "message": "m", "retryable": True})
    # WHEN no result comes THEN a message names how many wait, and the exit code is that of an incomplete run
    shown = CliRunner().invoke(drop_command, [*command, "--wait", "--timeout", "1"], standalone_mode=False)
    assert (shown.return_value, shown.exception) == (1, None)
    assert "1 of 1 images have no result yet" in shown.stderr
    assert "waiting" in shown.stdout


@pytest.mark.parametrize("in_flight", [None, 1])
def test_what_is_tried_again_is_waited_for_and_shown_as_waiting_if_it_takes_too_long(
    s3: Any,
    service: set[str],
    write_result: Callable[..., str],
    found: list[files.LocalFile],
    in_flight: int | None,
) -> None:
    # GIVEN a busy service, which gives two uploads a retryable failure, and one of them its result later
    once, always = found[0].key, found[1].key
    service |= {once, always}
    told: list[str] = []
    reason = {"code": "throttled", "message": "Busy.", "retryable": True}

    def uploaded(upload: Any) -> None:
        if upload.file.key in (once, always):
            write_result(upload.file.key, "failed", reason=reason)

    def retrying(item: Any) -> None:
        told.append(item.upload.file.key)
        if item.upload.file.key == once:
            s3.delete_object(Bucket=BUCKET, Key=item.result.location)
            write_result(once)

    ordered = drop_and_wait(
        s3, BUCKET, found, in_flight=in_flight, patience_seconds=1, uploaded=uploaded, retrying=retrying
    )

    # THEN the wait ends with all eight, one of them waiting and none failed
    assert sorted(told) == [once, always]
    assert sorted(item.upload.file.key for item in ordered) == [file.key for file in found]
    summary = summarise(8, ordered)
    assert (summary["outcomes"], summary["retryable"]) == (
        {"classified": 7, "low-confidence": 0, "failed": 0},
        1,
    )
    shown = dict(totals(summary))
    assert (shown["images"], shown["results"]) == ("8", "7")
    assert shown["waiting"].startswith("1 retryable: the service starts them again")
    assert "failed" not in shown


def test_results_of_an_earlier_drop_count_for_what_was_there(
    s3: Any, service: set[str], found: list[files.LocalFile]
) -> None:
    drop_and_wait(s3, BUCKET, found)
    again = drop_and_wait(s3, BUCKET, found)
    assert len(again) == 8
    assert all(item.latency_seconds is None for item in again)
    # AND on demand they are uploaded again
    (fresh,) = drop_and_wait(s3, BUCKET, found[:1], again=True)
    assert fresh.upload.fresh


def test_the_result_of_an_earlier_upload_is_not_taken_for_the_new_one(
    s3: Any, write_result: Callable[..., str], found: list[files.LocalFile]
) -> None:
    # GIVEN a key with a result, whose image is replaced by the same bytes once more
    file = found[0]
    drop(s3, BUCKET, [file])
    write_result(file.key)
    upload = drop(s3, BUCKET, [file], again=True)

    # WHEN somebody waits for the new one THEN only the new result counts
    waiter = Waiter(s3, BUCKET, upload)
    assert waiter.poll() == []
    write_result(file.key, "low-confidence")
    assert [item.result.outcome for item in waiter.poll()] == ["low-confidence"]


def test_an_upload_that_somebody_replaced_gets_the_newer_result(
    s3: Any, write_result: Callable[..., str], found: list[files.LocalFile]
) -> None:
    (upload,) = drop(s3, BUCKET, found[:1])
    assert upload.finished is not None
    s3.put_object(Bucket=BUCKET, Key=upload.file.key, Body=b"newer")
    write_result(
        upload.file.key, times={"uploaded": "2999-01-01T00:00:00Z", "recorded": "2999-01-01T00:00:00Z"}
    )
    assert len(Waiter(s3, BUCKET, [upload]).poll()) == 1


def test_objects_of_others_under_output_prefixes_do_not_disturb(
    s3: Any, write_result: Callable[..., str], found: list[files.LocalFile]
) -> None:
    (upload,) = drop(s3, BUCKET, found[:1])
    name = upload.file.key.removeprefix("incoming/")
    s3.put_object(Bucket=BUCKET, Key=f"classified/{name}.json", Body=b"\xff not a result")
    waiter = Waiter(s3, BUCKET, [upload])
    assert waiter.poll() == []
    write_result(upload.file.key)
    assert len(waiter.poll()) == 1


def test_summary_counts_measures_and_compares_with_folders(
    s3: Any, service: set[str], found: list[files.LocalFile]
) -> None:
    ordered = drop_and_wait(s3, BUCKET, found)
    summary = summarise(len(found), ordered)
    assert (summary["images"], summary["results"]) == (8, 8)
    assert summary["outcomes"] == {"classified": 8, "low-confidence": 0, "failed": 0}
    assert summary["accuracy"] == 0.5  # every result says bicycle
    assert summary["by_folder"]["right"] == 4
    assert 0 <= summary["latency_seconds"]["p50"] <= summary["latency_seconds"]["p95"]
    assert summary["images_per_second"] > 0


def test_places_shows_what_is_lost_and_what_is_there_twice(
    s3: Any, write_result: Callable[..., str], found: list[files.LocalFile]
) -> None:
    drop(s3, BUCKET, found[:3])
    write_result(found[0].key)
    write_result(found[1].key)
    write_result(found[1].key, "failed")
    where = result_locations(s3, BUCKET, [file.key for file in found[:3]])
    assert [len(where[file.key]) for file in found[:3]] == [1, 2, 0]


def test_a_failing_upload_ends_the_wait(s3: Any, service: set[str], found: list[files.LocalFile]) -> None:
    missing = replace(found[0], path=found[0].path.with_name("gone"))
    with pytest.raises(FileNotFoundError):
        drop_and_wait(s3, BUCKET, [missing, *found[1:]])


@pytest.mark.parametrize(
    ("version", "etag", "recorded", "uploaded", "its_own"),
    [
        ("2", "e", 0, None, True),
        ("1", "e", 9, None, False),  # of an earlier version of the same content
        (None, "e", 0, None, True),
        (None, "f", 9, None, False),
        (None, "e", -1.9, None, True),  # by a clock that is behind
        (None, "e", -2.0, None, False),  # of the same content, before
        ("3", "f", 9, 5.0, False),  # uploaded no later than this one
        ("3", "f", 9, 5.001, True),  # replaced since
        (None, "f", 9, 5.001, True),
    ],
)
def test_which_result_is_that_of_an_upload(
    version: str | None, etag: str, recorded: float, uploaded: float | None, its_own: bool
) -> None:
    # GIVEN an upload of version 2, which took five seconds
    start = datetime(2026, 11, 26, 12, tzinfo=UTC)
    upload = Uploaded(
        files.LocalFile(Path("a"), "incoming/a", 1), "e", "2", start, start + timedelta(seconds=5)
    )
    times = {"recorded": (start + timedelta(seconds=recorded)).isoformat()}
    if uploaded is not None:
        times["uploaded"] = (start + timedelta(seconds=uploaded)).isoformat()
    source = {"etag": etag, "version_id": version, "key": "incoming/a"}
    result = Result("classified/a.json", {"source": source, "times": times, "outcome": "classified"})
    assert is_result_of(result, upload) is its_own
    if version is None and uploaded is None:  # what was there before has any result of its content
        assert is_result_of(result, Uploaded(upload.file, "e")) is (etag == "e")
