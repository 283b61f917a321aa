"""Unfinished uploads are found by identity, in one pass, whatever is doubled, outdated or damaged (moto's S3)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dropsort.contract import ignored_paths, keys, reconciliation, reviews
from dropsort.contract.reconciliation import NO_RESULT, RETRYABLE, SEVERAL_RESULTS
from tests.unit.contract.conftest import BUCKET


@pytest.fixture(params=["versions", "no-versions"])
def versioned(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "versions")


def upload(s3: Any, path: str, body: bytes = b"x") -> dict[str, Any]:
    """Upload; the source of a result of it."""
    put = s3.put_object(Bucket=BUCKET, Key=f"incoming/{path}", Body=body)
    return {"key": f"incoming/{path}", "etag": put["ETag"].strip('"'), "version_id": put.get("VersionId")}


def write(s3: Any, source: dict[str, Any], outcome: str = "classified", retryable: bool | None = None) -> str:
    document = {
        "outcome": outcome,
        "source": source,
        "reason": None if retryable is None else {"code": "c", "message": "m", "retryable": retryable},
        "times": {"uploaded": None, "recorded": datetime.now(UTC).isoformat()},
    }
    location = keys.result_keys(keys.path_of(source["key"]))[outcome]
    s3.put_object(Bucket=BUCKET, Key=location, Body=json.dumps(document).encode())
    return location


def unfinished(s3: Any, **options: Any) -> dict[str, str]:
    return {
        item.upload.key: item.why
        for item in reconciliation.check(s3, BUCKET, **options)
        if item.why is not None
    }


def test_a_result_of_an_older_upload_is_none_however_late_it_was_written(s3: Any) -> None:
    # GIVEN a key whose newer upload's execution died while the older one's wrote its result after it
    older = upload(s3, "a.png", b"first")
    newer = upload(s3, "a.png", b"second")
    write(s3, older)
    # THEN the newer upload has no result
    assert unfinished(s3) == {"incoming/a.png": NO_RESULT}
    # AND once its own is there it has one
    write(s3, newer)
    assert unfinished(s3) == {}


# Without versions the two cannot be distinguished, and their results are the same.
@pytest.mark.parametrize("versioned", ["versions"], indirect=True)
def test_the_same_content_uploaded_again_is_an_upload_of_its_own(s3: Any) -> None:
    first = upload(s3, "a.png")
    write(s3, first)
    second = upload(s3, "a.png")
    assert unfinished(s3) == {"incoming/a.png": NO_RESULT}
    write(s3, second)
    assert unfinished(s3) == {}


def test_two_results_of_one_upload_are_found(s3: Any) -> None:
    source = upload(s3, "a.png")
    write(s3, source)
    write(s3, source, "failed", retryable=False)
    assert unfinished(s3) == {"incoming/a.png": SEVERAL_RESULTS}


def test_failures_that_may_pass_are_found_if_wanted(s3: Any) -> None:
    write(s3, upload(s3, "later.png"), "failed", retryable=True)
    write(s3, upload(s3, "never.png"), "failed", retryable=False)
    assert unfinished(s3) == {"incoming/later.png": RETRYABLE}


DAMAGED = (
    b"",
    b"[]",
    b"[" * 100_000,
    b'{"reason": "because"}',
    b"\xff",
    b'{"outcome": ["failed"]}',
    b'"failed"',
)


# A result is read in the same lines of code with and without versions.
@pytest.mark.parametrize("versioned", ["versions"], indirect=True)
def test_a_damaged_result_counts_as_none_for_its_key_alone(s3: Any) -> None:
    # GIVEN uploads with results of each outcome, between them one without a result and one whose result somebody edited
    wanted = set()
    for outcome in keys.OUTCOMES:
        for number, body in enumerate(DAMAGED):
            name = f"{outcome}-{number}"
            for part in ("a", "c", "d", "e"):
                write(s3, upload(s3, f"{name}{part}.png"), outcome, retryable=None)
            upload(s3, f"{name}b.png")
            wanted |= {f"incoming/{name}{part}.png" for part in ("b", "d")}
            s3.put_object(Bucket=BUCKET, Key=f"{outcome}/{name}d.png.json", Body=body)
    # THEN those two of each are found, and nothing is raised
    assert unfinished(s3) == dict.fromkeys(wanted, NO_RESULT)


def test_a_result_moved_to_another_key_or_outcome_counts_as_none(s3: Any) -> None:
    a, b = upload(s3, "a.png"), upload(s3, "b.png")
    s3.copy_object(Bucket=BUCKET, Key="failed/a.png.json", CopySource={"Bucket": BUCKET, "Key": write(s3, b)})
    s3.delete_object(Bucket=BUCKET, Key="classified/b.png.json")
    assert unfinished(s3) == {"incoming/a.png": NO_RESULT, "incoming/b.png": NO_RESULT}
    write(s3, a, "failed", retryable=False)
    assert unfinished(s3) == {"incoming/b.png": NO_RESULT}


def test_deleted_uploads_are_no_uploads(s3: Any) -> None:
    for path in ("a.png", "b.png", "c.png"):
        upload(s3, path)
    s3.delete_object(Bucket=BUCKET, Key="incoming/b.png")
    s3.put_object(Bucket=BUCKET, Key="incoming/", Body=b"")  # the folder's own marker
    assert set(unfinished(s3)) == {"incoming/a.png", "incoming/c.png"}


def test_the_order_of_uploads_is_not_that_of_their_results(s3: Any) -> None:
    # GIVEN paths of which some are the beginning of others, in all characters around the dot, and some too long
    parts = ["a", "-", ".", "/", " ", "z", ".json", "é", "💥", "0"]
    chosen = random.Random(7)
    paths = {"".join(chosen.choices(parts, k=chosen.randint(1, 5))) for _ in range(120)}
    paths |= {"x" * length for length in range(1000, 1014)} | {f"{'y' * 980}~{'0' * 32}", "写" * 338}
    paths = {path for path in paths if len(f"incoming/{path}".encode()) <= 1024 and not path.startswith("/")}
    left_out = set(chosen.sample(sorted(paths), len(paths) // 3))
    for path in paths:
        source = upload(s3, path)
        if path not in left_out:
            write(s3, source, chosen.choice(keys.OUTCOMES), retryable=False)
    # THEN exactly those without a result are found
    checked = list(reconciliation.check(s3, BUCKET))
    assert len(checked) == len(paths)
    assert {item.upload.key: item.why for item in checked if item.why is not None} == {
        f"incoming/{path}": NO_RESULT for path in left_out
    }


class Markers:
    """S3 that lists after a KeyMarker as AWS does: moto leaves out a key if the marker is none."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def get_paginator(self, name: str) -> Any:
        paginator = self._s3.get_paginator(name)

        class After:
            def paginate(self, *, KeyMarker: str = "", **arguments: Any) -> Iterator[dict[str, Any]]:
                for page in paginator.paginate(**arguments):
                    found = [item for item in page.get("Versions", ()) if item["Key"] > KeyMarker]
                    yield page | {"Versions": found}

        return After()


def test_a_comparison_continues_after_any_of_its_markers(s3: Any) -> None:
    # GIVEN uploads some of which sort differently from their results, every other one without a result
    names = ["a", "a-", "a-b", "a-b-c", "a.png", "a/b", "b", "b+", "c" * 1000 + "d" * 10, "d"]
    for number, name in enumerate(names):
        source = upload(s3, name)
        if number % 2:
            write(s3, source)
    whole = list(reconciliation.check(s3, BUCKET))
    verdicts = {item.upload.key: item.why for item in whole}
    assert len(verdicts) == len(names)
    markers = [(number, item.marker) for number, item in enumerate(whole) if item.marker]
    assert len(markers) >= 4
    for number, marker in markers:
        # THEN what was found before a marker and what is found after it are all of them, each once, with the same verdict
        rest = list(reconciliation.check(Markers(s3), BUCKET, after=marker))
        both = [item.upload.key for item in whole[: number + 1]] + [item.upload.key for item in rest]
        assert sorted(both) == sorted(verdicts), marker
        assert all(verdicts[item.upload.key] == item.why for item in rest)


def test_ignored_uploads_are_finished_without_a_result_and_those_that_no_longer_are_have_none(
    s3: Any,
) -> None:
    # GIVEN an ignored file and a folder marker, one of them with a failure from before, and an image under a key like a marker's
    for path in ("cam/._a.jpg", "Thumbs.db", "a.tmp", "x" * 1010 + ".tmp"):
        upload(s3, path)
    upload(s3, "folder/", b"")
    upload(s3, "image/")
    write(s3, upload(s3, "old.part"), "failed", retryable=True)
    # THEN nobody waits for the ignored ones
    assert unfinished(s3) == {"incoming/image/": NO_RESULT}
    assert sum(item.ignored for item in reconciliation.check(s3, BUCKET)) == 6
    # WHEN fewer patterns are set THEN the others are without a result, but never a folder marker
    fewer = unfinished(s3, ignored=ignored_paths.parse("*.tmp, ._*"))
    assert fewer == {
        "incoming/image/": NO_RESULT,
        "incoming/Thumbs.db": NO_RESULT,
        "incoming/old.part": RETRYABLE,
    }
    assert "incoming/folder/" not in unfinished(s3, ignored=ignored_paths.parse(","))


def test_an_edited_time_of_a_failure_is_no_error(s3: Any) -> None:
    source = upload(s3, "a.png")
    times = {"uploaded": "0001-01-01T00:00:00Z", "recorded": "9999-12-31T23:59:59Z"}
    reason = {"code": "invalid_prediction", "message": "m", "retryable": True}
    document = {"outcome": "failed", "source": source, "reason": reason, "times": times}
    s3.put_object(Bucket=BUCKET, Key="failed/a.png.json", Body=json.dumps(document).encode())
    assert unfinished(s3) == {"incoming/a.png": RETRYABLE}


def test_where_a_version_is_not_known_the_content_counts(s3: Any, versioned: bool) -> None:
    # GIVEN results that name no version, or one that their bucket does not have any more, of this content and of another
    for name, version, same in (
        ("a", None, True),
        ("b", None, False),
        ("c", "other", True),
        ("d", "other", False),
    ):
        source = upload(s3, name)
        for _ in range(2):  # one that was written once is not read
            write(s3, source | {"version_id": version, "etag": source["etag"] if same else "0" * 32})
    # Where there are versions, another one is another upload whatever its content.
    assert set(unfinished(s3)) == {"incoming/b", "incoming/d"} | ({"incoming/c"} if versioned else set())
    source = upload(s3, "e")
    for _ in range(2):
        write(s3, source | {"version_id": None, "etag": None})
    assert "incoming/e" not in unfinished(s3)


def test_failures_are_read_from_a_time_and_a_key_on(s3: Any) -> None:
    assert list(reconciliation.failures(s3, BUCKET, datetime.now(UTC), datetime.now(UTC))) == []
    # GIVEN one failure that may pass, one that does not, and a damaged one
    write(s3, upload(s3, "b.png"), "failed", retryable=True)
    write(s3, upload(s3, "c.png"), "failed", retryable=False)
    s3.put_object(Bucket=BUCKET, Key="failed/a.png.json", Body=b"{")
    now = datetime.now(UTC)
    begin, end = now - timedelta(minutes=1), now + timedelta(minutes=1)
    # THEN all are reported, the first one with its upload
    found = list(reconciliation.failures(s3, BUCKET, begin, end))
    assert [(item.location, item.upload) for item in found] == [
        ("failed/a.png.json", None),
        ("failed/b.png.json", "incoming/b.png"),
        ("failed/c.png.json", None),
    ]
    assert [item.next_try is None for item in found] == [True, False, True]
    # AND both ends of the time are within it
    written = found[1].written
    assert found[1] in list(reconciliation.failures(s3, BUCKET, written, written))
    # AND those before a key are not
    assert list(reconciliation.failures(s3, BUCKET, begin, end, after="failed/b.png.json")) == found[2:]
    # AND of those of another time only the last of a page is, and it is not read
    for since, until in ((end, end), (begin, begin)):
        late = list(reconciliation.failures(s3, BUCKET, since, until))
        assert [(item.location, item.upload, item.next_try) for item in late] == [
            ("failed/c.png.json", None, None)
        ]
    write(s3, upload(s3, "d.png"), "failed", retryable=True)
    (last,) = reconciliation.failures(s3, BUCKET, end, end)
    assert (last.location, last.upload) == ("failed/d.png.json", None)


@pytest.mark.parametrize("versioned", ["versions"], indirect=True)
@pytest.mark.parametrize("tail", ["", "~" + "0f" * 16], ids=["plain", "as if cut"])
def test_a_result_of_any_length_of_path_is_found(s3: Any, tail: str) -> None:
    # GIVEN uploads around the length from which results' keys are cut
    paths = [
        "é" * ((length - len(tail)) // 2) + "x" * ((length - len(tail)) % 2) + tail
        for length in range(999, 1016)
    ]
    sources = [upload(s3, path) for path in paths]
    assert len(unfinished(s3)) == len(paths)
    for source in sources:
        write(s3, source)
    assert unfinished(s3) == {}


def review(s3: Any, source: dict[str, Any], *actions: reviews.Action, predicted: str = "bicycle") -> None:
    """Write a review with these decisions; the label is always "bicycle"."""
    prediction = {
        "outcome": keys.LOW_CONFIDENCE,
        "label": predicted,
        "source": {"bucket": BUCKET, **source},
        "inference_id": keys.inference_id(BUCKET, source["key"], source["etag"]),
        "times": {"uploaded": None, "recorded": datetime.now(UTC).isoformat()},
    }
    document = reviews.begin(prediction, {})
    for number, action in enumerate(actions):
        label = "bicycle" if action == "label" else None
        at = datetime.now(UTC).isoformat()
        document = reviews.append_decision(
            document, id=str(number), by="Ada", at=at, action=action, label=label
        )
    location = reviews.key(keys.path_of(source["key"]))
    s3.put_object(Bucket=BUCKET, Key=location, Body=json.dumps(reviews.encode(document)).encode())


def test_images_that_wait_for_a_review_and_decisions_of_a_period_are_found(s3: Any) -> None:
    low = keys.LOW_CONFIDENCE
    # GIVEN images of low confidence that nobody decided about: without a review, with one that is undone, of an upload before, or damaged
    write(s3, upload(s3, "nobody.png"), low)
    undone = upload(s3, "undone.png")
    review(s3, undone, "none", "undo")
    write(s3, undone, low)
    review(s3, upload(s3, "older.png", b"first"), "label")
    write(s3, upload(s3, "older.png", b"second"), low)
    write(s3, upload(s3, "damaged.png"), low)
    s3.put_object(Bucket=BUCKET, Key="reviews/damaged.png.json", Body=b"{}")
    # AND others, one of whose results has a key that does not sort with it, one in two places, one that was classified
    for name in ("none.png", "x" * 1020):
        source = upload(s3, name)
        review(s3, source, "none")
        write(s3, source, low)
    source = upload(s3, "labelled.png")
    review(s3, source, "label", predicted="motorcycle")
    write(s3, source, "classified")
    write(s3, upload(s3, "sure.png"), "classified")
    source = upload(s3, "twice.png")
    for outcome in ("classified", low):
        write(s3, source, outcome)
    now = datetime.now(UTC)

    def found(*period: datetime) -> tuple[set[str], dict[str, bool]]:
        checked = list(reconciliation.check(s3, BUCKET, reviewed=period))  # type: ignore[arg-type]
        waiting = {item.upload.key for item in checked if item.unreviewed}
        assert all(item.unreviewed - now < timedelta(minutes=1) for item in checked if item.unreviewed)
        decided = {item.upload.key: reviews.overturns(item.review) for item in checked if item.review}
        return waiting, decided

    waiting = {f"incoming/{name}.png" for name in ("nobody", "undone", "older", "damaged")}
    hour = timedelta(hours=1)
    # THEN those wait, and the decisions in force of the period are found; "none" overturns what was predicted, the same label does not
    decided = {"none.png": True, "x" * 1020: True, "labelled.png": True, "older.png": False}
    assert found(now - hour, now + hour) == (
        waiting,
        {f"incoming/{name}": over for name, over in decided.items()},
    )
    # AND none of another period
    assert found(now - 2 * hour, now - hour) == (waiting, {})
    assert found(now + hour, now + 2 * hour) == (waiting, {})
    # AND nothing of reviews is read unless it is wanted
    assert not [item for item in reconciliation.check(s3, BUCKET) if item.unreviewed or item.review]
