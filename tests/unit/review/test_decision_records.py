"""What a decision writes, and by which requests: conditions, metadata, numbers, and the content of each object (moto's S3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from dropsort.contract import keys, reviews
from dropsort.review import decisions as module
from dropsort.review.decisions import Decisions
from dropsort.review.errors import Conflict, ReviewError
from tests.unit.contract.test_reviews import ORDER, PREDICTION, decided
from tests.unit.review.conftest import BUCKET, Upload, stored
from tests.unit.review.test_decisions import PATH, RESULTS, wanted

REVIEW = reviews.key(PATH)


class Recording:
    """S3, and what was requested of it."""

    def __init__(self, s3: Any) -> None:
        self.s3, self.requests = s3, list[tuple[str, dict[str, Any]]]()

    def __getattr__(self, name: str) -> Any:
        def call(**request: Any) -> Any:
            self.requests.append((name, request))
            return getattr(self.s3, name)(**request)

        return call

    def keys(self, name: str) -> list[str]:
        return [request["Key"] for kind, request in self.requests if kind == name]


def test_a_review_is_written_under_a_condition_with_what_orders_it(s3: Any, upload: Upload) -> None:
    of, recording = upload(PATH), Recording(s3)
    ada = Decisions(recording, BUCKET, "Ada")  # type: ignore[arg-type]
    made = wanted(of, "label", "a")
    ada.store(made)
    # THEN a first decision does not look for a review, but for the result where it most likely is
    assert recording.keys("get_object") == [RESULTS["low-confidence"]]
    (put,) = (request for kind, request in recording.requests if kind == "put_object")
    source = stored(s3)[REVIEW]["source"]
    assert put["Metadata"] == {
        "version-id": source["version_id"],
        "etag": source["etag"],
        "inference-id": of,
    }
    assert (put["Key"], put["IfNoneMatch"], "IfMatch" in put) == (REVIEW, "*", False)
    # AND a further one replaces the review that was read, and no other
    recording.requests.clear()
    etag = s3.head_object(Bucket=BUCKET, Key=REVIEW)["ETag"]
    ada.store(wanted(of, "none", seen=made.id))
    assert recording.keys("get_object") == [REVIEW]
    assert recording.requests[-1][1]["IfMatch"] == etag


def test_the_result_of_another_outcome_is_found(s3: Any, upload: Upload) -> None:
    of, recording = upload(PATH, outcome="classified", reason=None), Recording(s3)
    Decisions(recording, BUCKET, "Ada").store(wanted(of, "none"))  # type: ignore[arg-type]
    found = recording.keys("get_object")
    assert found[0] == RESULTS["low-confidence"]
    assert len(found) == len(set(found))
    assert RESULTS["classified"] in found


def test_an_upload_without_versions_has_no_version_in_its_metadata(s3: Any, upload: Upload) -> None:
    of = upload(PATH)
    document = stored(s3)[RESULTS["low-confidence"]]
    document["source"] |= {"version_id": None}
    # A copy of the result, without metadata: what the document has orders it
    s3.put_object(Bucket=BUCKET, Key=RESULTS["low-confidence"], Body=json.dumps(document).encode())
    review = Decisions(s3, BUCKET, "Ada").store(wanted(of, "none"))
    assert set(s3.head_object(Bucket=BUCKET, Key=REVIEW)["Metadata"]) == {"etag", "inference-id"}
    assert review.order == {
        "sequencer": "1f",
        "etag": document["source"]["etag"],
        "recorded": document["times"]["recorded"],
        "key-digest": keys.digest(keys.INCOMING + PATH),
    }


def test_the_order_of_a_recorded_result_is_its_metadata(s3: Any, upload: Upload) -> None:
    of = upload(PATH)
    metadata = s3.head_object(Bucket=BUCKET, Key=RESULTS["low-confidence"])["Metadata"]
    assert Decisions(s3, BUCKET, "Ada").store(wanted(of, "none")).order == metadata


def test_ground_truth_is_a_line_with_its_type_and_goes_with_its_label(s3: Any, upload: Upload) -> None:
    of, ada = upload(PATH), Decisions(s3, BUCKET, "Ada")
    made = wanted(of, "label", "a")
    ada.store(made)
    ada.apply(PATH)
    key = reviews.ground_truth_key(of)
    found = s3.get_object(Bucket=BUCKET, Key=key)
    assert (found["ContentType"], found["Body"].read()) == (
        "application/jsonl",
        reviews.ground_truth_line(of, "a"),
    )
    ada.store(wanted(of, "none", seen=made.id))
    ada.apply(PATH)
    assert key not in stored(s3)
    head = s3.head_object(Bucket=BUCKET, Key=RESULTS["low-confidence"])["Metadata"]
    assert (head["review"], head["recorded"]) == (
        "2",
        stored(s3)[RESULTS["low-confidence"]]["times"]["recorded"],
    )


@pytest.mark.parametrize(
    ("before", "number"), [(None, "2"), ("", "2"), ("0", "2"), ("7", "9"), ("x", "2"), ("-3", "2")]
)
def test_decisions_are_counted_after_those_of_a_review_that_was_removed(
    before: str | None, number: str
) -> None:
    order: Mapping[str, str] = ORDER if before is None else ORDER | {"review": before}
    review = reviews.begin(PREDICTION, order)
    for one in ("1", "2"):
        review = reviews.append_decision(
            review, id=one, by="Ada", at="2026-11-26T10:00:00.000Z", action="none", label=None
        )
    assert module._number(review) == number


def test_each_action_has_its_words() -> None:
    (label, none, unusable, undo) = decided(
        ("label", "tandem"), ("none", None), ("unusable", None), ("undo", None)
    ).decisions
    words = [module._words(one) for one in (label, none, unusable, undo)]
    assert words == ["tandem", "none of the labels", "unusable", "undone"]


def test_a_decision_is_a_result_once_its_number_is_on_it(s3: Any, upload: Upload) -> None:
    of, ada = upload(PATH), Decisions(s3, BUCKET, "Ada")
    assert ada.is_applied(PATH), "there is no review"
    assert ada.apply(PATH) is None
    made = wanted(of, "unusable")
    ada.store(made)
    assert not ada.is_applied(PATH)
    review = ada.apply(PATH)
    assert review == ada.read(PATH)
    assert ada.is_applied(PATH)
    # AND a result of the same outcome is not that of the next decision
    ada.store(wanted(of, "unusable", seen=made.id))
    assert not ada.is_applied(PATH)
    s3.delete_object(Bucket=BUCKET, Key=RESULTS["failed"])
    assert not ada.is_applied(PATH)
    # AND a review without decisions is nothing to apply
    body = stored(s3)[REVIEW] | {"decisions": []}
    s3.put_object(Bucket=BUCKET, Key=REVIEW, Body=json.dumps(body).encode())
    assert ada.is_applied(PATH)


def test_what_is_undone_is_applied_again(s3: Any, upload: Upload) -> None:
    of, ada = upload(PATH), Decisions(s3, BUCKET, "Ada")
    made = wanted(of, "none")
    ada.store(made)
    ada.store(wanted(of, "undo", seen=made.id))
    ada.apply(PATH)
    assert not ada.is_applied(PATH)


def test_only_what_is_not_applied_is_completed_and_each_failure_is_a_sentence(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, applied, failures = Decisions(s3, BUCKET, "Ada"), list[str](), list[str]()

    def apply(path: str) -> None:
        applied.append(path)
        if path == "b":
            raise ConnectionError("S3 is away")

    monkeypatch.setattr(ada, "is_applied", lambda path: path == "a")
    monkeypatch.setattr(ada, "apply", apply)
    ada.complete(["a", "b", "c"], failures.append)
    assert (applied, failures) == (["b", "c"], ["S3 is away"])


class Contested:
    """S3 where somebody changes the review after each time that it is read."""

    def __init__(self, s3: Any) -> None:
        self.s3, self.reads = s3, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def get_object(self, **request: Any) -> Any:
        found = self.s3.get_object(**request)
        if request["Key"] == REVIEW:
            self.reads += 1
            body = self.s3.get_object(**request)["Body"].read()
            self.s3.put_object(**request, Body=body + b" ")
        return found


def test_endless_lost_races_end(s3: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROUNDS", 3)
    of, contested = upload(PATH), Contested(s3)
    made = wanted(of, "none")
    Decisions(s3, BUCKET, "Bob").store(made)
    ada = Decisions(contested, BUCKET, "Ada")  # type: ignore[arg-type]
    with pytest.raises(ReviewError, match=rf"^{PATH}: others changed its review 3 times in a row\.$"):
        ada.apply(PATH)
    assert contested.reads == 6
    with pytest.raises(
        ReviewError, match=rf"^incoming/{PATH}: others changed .* 3 times in a row; decide again"
    ):
        ada.store(wanted(of, "none", seen=made.id))
    assert contested.reads == 9


def test_a_review_whose_result_is_about_to_be_written_is_known(s3: Any, upload: Upload) -> None:
    of, ada = upload(PATH), Decisions(s3, BUCKET, "Ada")
    made = wanted(of, "none")
    ada.store(made)
    s3.delete_object(Bucket=BUCKET, Key=RESULTS["low-confidence"])
    # Of one that has seen no decision, the review is read last
    with pytest.raises(Conflict, match="Ada decided in the meantime: none of the labels"):
        ada.store(wanted(of, "unusable"))
    with pytest.raises(Conflict, match=f"^incoming/{PATH} was uploaded again or deleted in the meantime"):
        ada.store(wanted("f" * 64, "unusable"))


def test_a_damaged_result_is_none_and_an_error_of_s3_is_one(s3: Any, upload: Upload) -> None:
    of = upload(PATH)
    s3.put_object(Bucket=BUCKET, Key=RESULTS["low-confidence"], Body=b"{}")
    with pytest.raises(Conflict):
        Decisions(s3, BUCKET, "Ada").store(wanted(of, "none"))
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchBucket"):
        Decisions(s3, "no-bucket", "Ada").store(wanted(of, "none"))


def test_the_moment_of_a_decision_is_in_milliseconds_of_utc() -> None:
    assert module.now().endswith("Z")
    assert len(module.now()) == len("2026-11-26T10:00:00.000Z")


def test_a_decision_that_is_undone_late_leaves_the_result_of_a_newer_upload(s3: Any, upload: Upload) -> None:
    # GIVEN an older upload whose decision is a result, and a newer one with a result of the same outcome
    old, ada = upload(PATH), Decisions(s3, BUCKET, "Ada")
    made = wanted(old, "label", "a")
    ada.store(made)
    ada.apply(PATH)
    new = upload(PATH, b"newer", "2f", outcome="classified", reason=None)
    # WHEN the decision about the older one is undone
    ada.store(wanted(old, "undo", seen=made.id))
    ada.apply(PATH)
    # THEN the newer one has its result
    results = [value for key, value in stored(s3).items() if key in RESULTS.values()]
    assert [one["inference_id"] for one in results] == [new]


def test_only_a_reviewed_result_of_the_same_upload_goes_before_the_prediction() -> None:
    from handlers.recording import Delete, Entry, Head

    prediction = Entry.from_metadata({"version-id": "v1", "etag": "e", "recorded": "r"}, "failed")
    for metadata, deleted in (
        ({"version-id": "v1", "etag": "e", "review": "1"}, True),
        ({"version-id": "v1", "etag": "e"}, False),
        ({"version-id": "v2", "etag": "e", "review": "1"}, False),
        ({"version-id": "v1", "etag": "f", "review": "1"}, False),
    ):
        steps = module._taken_back(prediction, {"failed": "failed/a.json"})
        assert next(steps) == Head("failed/a.json")
        following = steps.send(("etag", metadata | {"recorded": "r", "outcome": "failed"}))
        assert (following == Delete("failed/a.json", if_match="etag")) is deleted
