"""Recording through a real client: conditions hold, and two recordings end with the newest."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from dropsort.contract import keys
from handlers import aws, recording_requests
from handlers.recording import Entry, record
from handlers.recording_requests import perform
from tests.unit.handlers.conftest import BUCKET

LOCATIONS = keys.result_keys("cam1/a.jpg")


def entry(upload: int, outcome: str) -> Entry:
    return Entry(f"{upload:08x}", f"v{upload}", f"e{upload}", f"2026-01-01T00:00:0{upload}Z", "2026", outcome)


def results(s3: Any) -> dict[str, str]:
    listing = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {
        item["Key"]: s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read().decode() for item in listing
    }


def interleaved(client: Any, order: tuple[int, ...], first: Entry, second: Entry) -> None:
    """Make the calls of two recordings in an order of ours, through the real client."""
    responses: list[Any] = [None, None]
    steps: list[Any] = [record(first, LOCATIONS), record(second, LOCATIONS)]
    waiting: list[Any] = [next(one) for one in steps]
    for turn in (*order, *itertools.repeat(0, 60), *itertools.repeat(1, 60)):
        if waiting[turn] is None:
            continue
        responses[turn] = recording_requests._call(client, BUCKET, str(turn + 1).encode(), waiting[turn])
        try:
            waiting[turn] = steps[turn].send(responses[turn])
        except StopIteration:
            waiting[turn] = None


# Each outcome before and after another and itself; all pairs and interleavings are in test_recording.py, without a client.
@pytest.mark.parametrize(
    "outcomes",
    [
        (keys.OUTCOMES[0], keys.OUTCOMES[0]),
        *zip(keys.OUTCOMES, (*keys.OUTCOMES[1:], keys.OUTCOMES[0]), strict=True),
    ],
)
def test_two_recordings_through_a_client_end_with_the_newest(s3: Any, outcomes: tuple[str, str]) -> None:
    client = aws.s3()
    for number, order in enumerate(itertools.product((0, 1), repeat=3)):
        first, second = entry(1, outcomes[0]), entry(2, outcomes[1])
        if number % 2:
            interleaved(client, order, second, first)
            assert results(s3) == {LOCATIONS[outcomes[1]]: "1"}, order
        else:
            interleaved(client, order, first, second)
            assert results(s3) == {LOCATIONS[outcomes[1]]: "2"}, order
        for key in results(s3):
            s3.delete_object(Bucket=BUCKET, Key=key)


def test_a_head_request_returns_the_order_of_a_result(s3: Any) -> None:
    assert perform(aws.s3(), BUCKET, b"{}", record(entry(1, "classified"), LOCATIONS))
    head = s3.head_object(Bucket=BUCKET, Key=LOCATIONS["classified"])
    assert head["ContentType"] == "application/json"
    assert Entry.from_metadata(head["Metadata"], "classified") == entry(1, "classified")


@pytest.mark.parametrize("operation", ["put_object", "head_object"])
def test_a_recording_that_s3_rejects_is_an_error_to_retry(operation: str) -> None:
    client = aws.s3()
    with Stubber(client) as stub:
        if operation == "head_object":
            # Two HEAD requests are sent at once.
            stub.add_response("put_object", {"ETag": '"e"'})
            stub.add_client_error(operation, "AccessDenied", http_status_code=403)
        stub.add_client_error(operation, "AccessDenied", http_status_code=403)
        with pytest.raises(ClientError):
            perform(client, BUCKET, b"{}", record(entry(1, "classified"), LOCATIONS))


def test_a_conflict_of_simultaneous_puts_is_a_lost_race() -> None:
    # GIVEN S3's 409 for two conditional puts at once, and one whose object is deleted in between (404)
    client = aws.s3()
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
        stub.add_client_error("head_object", "404", http_status_code=404)
        stub.add_client_error("put_object", "NoSuchKey", http_status_code=404)
        stub.add_client_error("head_object", "404", http_status_code=404)
        stub.add_response("put_object", {"ETag": '"e"'})
        stub.add_client_error("head_object", "404", http_status_code=404)
        stub.add_client_error("head_object", "404", http_status_code=404)
        assert perform(client, BUCKET, b"{}", record(entry(1, "classified"), LOCATIONS)) is True
        stub.assert_no_pending_responses()


def test_only_what_was_read_is_deleted() -> None:
    # GIVEN an older result under another outcome
    client, older = aws.s3(), entry(1, "failed")
    with Stubber(client) as stub:
        stub.add_response("put_object", {"ETag": '"mine"'})
        stub.add_client_error("head_object", "404", http_status_code=404)
        stub.add_client_error("head_object", "404", http_status_code=404)
        assert perform(client, BUCKET, b"{}", record(entry(2, "classified"), LOCATIONS))
    request = recording_requests.Delete(LOCATIONS["failed"], '"old"')
    with Stubber(client) as stub:
        stub.add_response("delete_object", {}, {"Bucket": BUCKET, "Key": request.key, "IfMatch": '"old"'})
        assert recording_requests._call(client, BUCKET, b"", request) is None
        stub.add_client_error("delete_object", "PreconditionFailed", http_status_code=412)
        assert recording_requests._call(client, BUCKET, b"", request) is recording_requests.CONDITION_FAILED
        stub.add_client_error("delete_object", "NoSuchKey", http_status_code=404)
        assert recording_requests._call(client, BUCKET, b"", request) is None
    assert older.beats(entry(1, "failed")) is False
