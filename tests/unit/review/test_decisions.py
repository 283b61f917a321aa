"""A decision is stored first, then it becomes result and ground truth, whatever is killed, sent twice or raced (moto's S3)."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest

from dropsort.contract import keys, reviews
from dropsort.review.decisions import DecisionRequest, Decisions
from dropsort.review.errors import Conflict, ReviewError
from handlers import deletion
from tests.unit.review.conftest import BUCKET, Upload, record, stored

PATH = "cam1/a.png"
RESULTS = keys.result_keys(PATH)


def wanted(inference_id: str, action: str, label: str | None = None, **members: Any) -> DecisionRequest:
    fields = {"id": uuid.uuid4().hex, "key": keys.INCOMING + PATH, "seen": None} | members
    return DecisionRequest(action=action, label=label, inference_id=inference_id, **fields)  # type: ignore[arg-type]


@pytest.fixture
def ada(s3: Any) -> Decisions:
    return Decisions(s3, BUCKET, "Ada")


def result(s3: Any) -> dict[str, Any]:
    """The one result that is there."""
    (found,) = [value for key, value in stored(s3).items() if key.partition("/")[0] in keys.OUTCOMES]
    assert stored(s3)[RESULTS[found["outcome"]]] == found
    return dict(found)


def truth(s3: Any) -> str | None:
    found = stored(s3, reviews.GROUND_TRUTH)
    return next(iter(found.values()))["groundTruthData"]["data"].strip('"') if found else None


def test_a_decision_becomes_result_and_ground_truth_and_is_undone(
    s3: Any, upload: Upload, ada: Decisions
) -> None:
    # GIVEN an image of low confidence
    of = upload(PATH)
    before = result(s3)
    # WHEN a person gives it a label
    made = wanted(of, "label", "motorcycle")
    ada.store(made)
    assert result(s3) == before, "the decision is stored, nothing else yet"
    ada.apply(PATH)
    # THEN result and ground truth say so
    now = result(s3)
    assert (now["outcome"], now["label"], now["review"]["by"]) == ("classified", "motorcycle", "Ada")
    assert (truth(s3), ada.is_applied(PATH)) == ("motorcycle", True)
    # AND each further decision takes the place of the one before
    unusable = wanted(of, "unusable", seen=made.id)
    ada.store(unusable)
    assert not ada.is_applied(PATH)
    ada.apply(PATH)
    assert (result(s3)["outcome"], result(s3)["reason"]["code"], truth(s3)) == (
        "failed",
        "unusable_image",
        None,
    )
    # AND undone one after another they are the first one again, then the prediction, byte for byte
    ada.store(wanted(of, "undo", seen=unusable.id))
    ada.apply(PATH)
    assert (result(s3)["label"], truth(s3)) == ("motorcycle", "motorcycle")
    ada.store(wanted(of, "undo", seen=made.id))
    ada.apply(PATH)
    assert (result(s3), truth(s3)) == (before, None)
    review = ada.read(PATH)
    assert review
    assert [one.action for one in review.decisions] == ["label", "unusable", "undo", "undo"]
    # AND whoever has seen a decision that is undone has not seen that, and whoever has seen none may decide again
    with pytest.raises(Conflict, match="Ada decided in the meantime"):
        ada.store(wanted(of, "none", seen=made.id))
    again = wanted(of, "none")
    ada.store(again)
    ada.store(wanted(of, "undo", seen=again.id))
    ada.apply(PATH)
    # AND then a redrive counts again
    assert record(
        s3, before | {"label": "car", "times": before["times"] | {"recorded": "2027-01-01T00:00:00Z"}}
    )
    assert result(s3)["label"] == "car"


def test_a_decision_that_is_sent_twice_counts_once(s3: Any, upload: Upload, ada: Decisions) -> None:
    made = wanted(upload(PATH), "none")
    ada.store(made)
    assert len(ada.store(made).decisions) == 1
    for _ in range(2):
        ada.apply(PATH)
    assert result(s3)["reason"]["code"] == "no_label_fits"


def test_of_two_reviewers_the_second_sees_what_the_first_decided(
    s3: Any, upload: Upload, ada: Decisions
) -> None:
    of = upload(PATH)
    bob = Decisions(s3, BUCKET, "Bob")
    ada.store(wanted(of, "label", "bicycle"))
    with pytest.raises(Conflict, match="Ada decided in the meantime: bicycle") as conflict:
        bob.store(wanted(of, "label", "motorcycle"))
    assert conflict.value.review
    # AND deciding in the knowledge of it is not a conflict
    bob.store(wanted(of, "label", "motorcycle", seen=conflict.value.review.decisions[-1].id))
    bob.apply(PATH)
    assert result(s3)["review"]["was"]["label"] == "bicycle"


def test_of_two_decisions_at_the_same_moment_one_is_a_conflict(s3: Any, upload: Upload) -> None:
    of = upload(PATH)

    class Late:
        """Bob decides between Ada's reading and her writing."""

        done = False

        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def put_object(self, **request: Any) -> Any:
            if not self.done:
                self.done = True
                Decisions(s3, BUCKET, "Bob").store(wanted(of, "none"))
            return s3.put_object(**request)

    with pytest.raises(Conflict, match="Bob decided in the meantime: none of the labels"):
        Decisions(Late(), BUCKET, "Ada").store(wanted(of, "label", "bicycle"))  # type: ignore[arg-type]
    assert [one["by"] for one in stored(s3)[reviews.key(PATH)]["decisions"]] == ["Bob"]


def test_a_newer_upload_is_not_decided_by_what_was_seen_of_the_older_one(
    s3: Any, upload: Upload, ada: Decisions
) -> None:
    old = upload(PATH)
    ada.store(wanted(old, "label", "bicycle"))
    ada.apply(PATH)
    new = upload(PATH, b"another image", "2f")
    assert result(s3)["review"] is None
    # A late repair leaves the newer result alone, and the label of the older upload stays true of it.
    ada.apply(PATH)
    assert (result(s3)["inference_id"], truth(s3)) == (new, "bicycle")
    # AND a review of the newer one starts with no decision
    ada.store(wanted(new, "none"))
    ada.apply(PATH)
    assert (result(s3)["inference_id"], result(s3)["review"]["action"]) == (new, "none")
    with pytest.raises(Conflict, match="uploaded again or deleted"):
        ada.store(wanted(old, "none"))


def test_killed_after_any_request_applying_again_completes_it(s3: Any, upload: Upload) -> None:
    # GIVEN a decision, and its undoing
    ada, of, seen = Decisions(s3, BUCKET, "Ada"), upload(PATH), None

    class Killed(Exception):
        pass

    class Dying:
        def __init__(self, after: int) -> None:
            self.left = after

        def __getattr__(self, name: str) -> Any:
            def call(**request: Any) -> Any:
                if self.left == 0:
                    raise Killed
                self.left -= 1
                return getattr(s3, name)(**request)

            return call

    for action, label in [("label", "a"), ("undo", None)]:
        decision = wanted(of, action, label, seen=seen)
        review = ada.store(decision)
        standing = reviews.in_force(review)
        seen = standing.id if standing else None
        for requests in itertools.count():
            try:
                Decisions(Dying(requests), BUCKET, "Ada").apply(PATH)  # type: ignore[arg-type]
            except Killed:
                assert requests < 40
            else:
                break
        # THEN the last, complete one leaves what was decided, whatever the others left
        assert requests > 4
        expected = reviews.result_of(review)
        assert (result(s3), truth(s3)) == (expected, standing.label if standing else None)


def test_a_stale_application_of_an_undone_decision_is_set_right(
    s3: Any, upload: Upload, ada: Decisions
) -> None:
    # GIVEN a decision that is undone while it is applied
    of = upload(PATH)
    before = result(s3)
    made = wanted(of, "label", "a")
    ada.store(made)

    class Slow:
        undone = False

        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def put_object(self, **request: Any) -> Any:
            if request["Key"] in RESULTS.values() and not self.undone:
                self.undone = True
                ada.store(wanted(of, "undo", seen=made.id))
                ada.apply(PATH)
            return s3.put_object(**request)

    Decisions(Slow(), BUCKET, "Ada").apply(PATH)  # type: ignore[arg-type]
    assert (result(s3), truth(s3)) == (before, None)


def test_a_deleted_upload_takes_its_review_with_it(s3: Any, upload: Upload, ada: Decisions) -> None:
    of = upload(PATH)
    ada.store(wanted(of, "label", "a"))
    ada.apply(PATH)
    s3.delete_object(Bucket=BUCKET, Key=keys.INCOMING + PATH)
    assert set(deletion.delete_result(s3, BUCKET, keys.INCOMING + PATH)) == {
        RESULTS["classified"],
        reviews.key(PATH),
    }
    assert stored(s3) == {}
    with pytest.raises(Conflict, match="uploaded again or deleted"):
        ada.store(wanted(of, "none"))


def test_what_is_decided_while_the_upload_is_deleted_goes_too(
    s3: Any, upload: Upload, ada: Decisions
) -> None:
    # GIVEN a decision that is stored after the deletion was dealt with
    of = upload(PATH)
    ada.store(wanted(of, "label", "a"))
    s3.delete_object(Bucket=BUCKET, Key=keys.INCOMING + PATH)
    ada.apply(PATH)
    assert stored(s3) == {}


def test_an_older_version_that_is_deleted_leaves_the_review_of_the_newer_one(
    s3: Any, upload: Upload, ada: Decisions
) -> None:
    old = s3.put_object(Bucket=BUCKET, Key=keys.INCOMING + PATH, Body=b"old")["VersionId"]
    ada.store(wanted(upload(PATH), "label", "a"))
    ada.apply(PATH)
    s3.delete_object(Bucket=BUCKET, Key=keys.INCOMING + PATH, VersionId=old)
    assert deletion.delete_result(s3, BUCKET, keys.INCOMING + PATH, old) == []
    assert truth(s3) == "a"


def test_a_damaged_review_is_named_and_nothing_is_overwritten(
    s3: Any, upload: Upload, ada: Decisions
) -> None:
    of = upload(PATH)
    s3.put_object(Bucket=BUCKET, Key=reviews.key(PATH), Body=b"{}")
    with pytest.raises(ReviewError, match=r"reviews/cam1/a\.png\.json is not a review"):
        ada.store(wanted(of, "none"))


def test_a_review_that_somebody_removed_begins_with_the_reviewed_result(
    s3: Any, upload: Upload, ada: Decisions
) -> None:
    of = upload(PATH)
    ada.store(wanted(of, "label", "a"))
    ada.apply(PATH)
    s3.delete_object(Bucket=BUCKET, Key=reviews.key(PATH))
    ada.store(wanted(of, "label", "b"))
    ada.apply(PATH)
    assert (result(s3)["label"], ada.is_applied(PATH)) == ("b", True)
    head = s3.head_object(Bucket=BUCKET, Key=keys.result_keys(PATH)["classified"])
    assert head["Metadata"]["review"] == "2"  # after the first, which it replaces
    # AND a decision that was seen, but whose review is gone, is not a conflict; nothing is left to undo
    s3.delete_object(Bucket=BUCKET, Key=reviews.key(PATH))
    with pytest.raises(ReviewError, match="nothing to undo"):
        ada.store(wanted(of, "undo", seen="d"))
    ada.store(wanted(of, "label", "c", seen="d"))
    ada.apply(PATH)
    assert (result(s3)["label"], ada.is_applied(PATH)) == ("c", True)


def test_what_is_no_decision_is_rejected(upload: Upload, ada: Decisions) -> None:
    of = upload(PATH)
    for action, label in (("label", ""), ("undo", None), ("delete", None)):
        with pytest.raises(ReviewError):
            ada.store(wanted(of, action, label))


def test_the_object_of_a_review_names_the_image_for_whoever_deletes_it(
    s3: Any, upload: Upload, ada: Decisions
) -> None:
    ada.store(wanted(of := upload(PATH), "label", "motorcycle"))
    found = s3.head_object(Bucket=BUCKET, Key=reviews.key(PATH))["Metadata"]
    assert found["inference-id"] == of
