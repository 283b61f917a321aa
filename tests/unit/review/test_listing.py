"""Images in bins and orders; a view stays as it is while decisions are made in it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from dropsort.contract import keys, reviews
from dropsort.review.listing import ImageListing, ListedImage, bin_of, in_bin, item_of, ordered
from tests.unit.contract.test_reviews import ORDER, PREDICTION
from tests.unit.review.conftest import BUCKET, Upload


def document(number: int, **members: Any) -> dict[str, Any]:
    found = copy.deepcopy(PREDICTION)
    found["source"]["key"] = f"incoming/{number:03}.png"
    found["inference_id"] = keys.inference_id(BUCKET, found["source"]["key"], "v1")
    return found | members


def listing(*documents: dict[str, Any]) -> ImageListing:
    made = ImageListing(None, BUCKET)  # type: ignore[arg-type]  # nothing is read
    for one in documents:
        made.add(one)
    return made


def paths(found: list[ListedImage]) -> list[str]:
    return [item.path[:3] for item in found]


def test_orders() -> None:
    items = [
        item_of(document(number, confidence=confidence, familiarity=familiarity, times=times))
        for number, confidence, familiarity, times in [
            (1, 0.8, None, {"uploaded": "2026-01-02T00:00:00Z", "recorded": "2026-02-01T00:00:00Z"}),
            (2, 0.6, 0.5, {"uploaded": None, "recorded": "2026-01-03T00:00:00Z"}),
            (3, None, 0.1, {"uploaded": "2026-01-01T00:00:00Z", "recorded": "2026-02-01T00:00:00Z"}),
        ]
    ]
    assert paths(ordered(items, "uncertain")) == ["002", "001", "003"]
    assert paths(ordered(items, "unfamiliar")) == ["003", "002", "001"]
    assert paths(ordered(items, "newest")) == ["002", "001", "003"]
    many = [item_of(document(number)) for number in range(50)]
    assert ordered(many, "random", 1) == ordered(many[::-1], "random", 1) != ordered(many, "random", 2)
    # The first ones in the audit's order are the same however many images there are.
    assert ordered(many, "audit") == sorted(many, key=lambda item: item.inference_id)
    first = ordered(many, "audit")[:10]
    assert [item for item in ordered(many[:40], "audit") if item in first] == [
        item for item in first if item in many[:40]
    ]
    with pytest.raises(ValueError, match="order is"):
        ordered(items, "best")


def test_bins_and_a_view_that_stays() -> None:
    classified = document(3, outcome="classified", reason=None)
    made = listing(document(1), document(2, confidence=0.5), classified)
    assert made.bins() == [
        ("classified", "label", "bicycle", 1),
        ("low-confidence", "reason", "below_threshold", 2),
    ]
    bins = [
        ("low-confidence", "reason", "below_threshold"),
        ("low-confidence", "reason", "other"),
        ("classified", "label", "bicycle"),
    ]
    assert [made.view(*one, "uncertain")[1] for one in bins] == [2, 0, 1]
    view, length = made.view("low-confidence", "", "", "uncertain")
    assert length == 2
    # WHEN the first one is decided
    review = reviews.begin(document(2, confidence=0.5), ORDER)
    review = reviews.append_decision(
        review, id="d", by="Ada", at="2026-11-26T10:00:00.000Z", action="label", label="tandem"
    )
    item = made.decided(review)
    assert item
    assert (item.decision, item.by, item.outcome) == ("d", "Ada", "classified")
    # THEN it is in its place in the view, decided, and in another bin; and its label is one of the labels
    found = made.page(view, 0, 10)
    assert found
    assert [item and item.decision for item, _ in found] == ["d", None]
    assert ("reviewed", "label", "tandem", 1) in made.bins()
    assert made.labels() == ["bicycle", "motorcycle", "tandem"]
    # AND each image is found by its id, but not in a view of others, nor in one that is forgotten
    assert [made.index(view, document(number)["inference_id"]) for number in (2, 1, 3)] == [0, 1, None]
    assert made.index(view + 1, document(2)["inference_id"]) is None
    # AND undone it is to review again
    made.decided(
        reviews.append_decision(review, id="e", by="Ada", at="2026-11-26T10:00:00.000Z", action="undo")
    )
    assert ("low-confidence", "reason", "below_threshold", 2) in made.bins()
    undone = made.find(document(2)["inference_id"])
    assert undone
    assert (undone.decision, undone.action, undone.by) == (None, None, None)


def test_an_image_whose_decision_is_undone_has_none_whatever_its_prediction_names() -> None:
    prediction = document(1, review={"id": "1", "by": "Bob", "action": "label"})
    made, at = listing(prediction), "2026-11-26T10:00:00.000Z"
    review = reviews.append_decision(
        reviews.begin(prediction, ORDER), id="d", by="Ada", at=at, action="label", label="tandem"
    )
    undone = made.decided(reviews.append_decision(review, id="e", by="Ada", at=at, action="undo"))
    assert undone
    assert (undone.decision, undone.action, undone.by) == (None, None, None)


def test_the_most_frequent_labels_come_first() -> None:
    # GIVEN labels of which one is known to one image, and an image of which only the label is known
    every, one = {"van": 0.1, "bus": 0.9}, {"van": 0.1, "ape": 0.9}
    made = listing(
        document(1, probabilities=every),
        document(2, probabilities=one),
        document(3, probabilities=every),
        document(4, probabilities=None, label="ghost"),
    )
    assert made.labels() == ["van", "bus", "ape"]


def test_a_hundred_labels_are_offered() -> None:
    many = [document(1, probabilities={f"label {number}": 0.01 for number in range(101)})]
    assert len(listing(*many).labels()) == 100


def test_a_newer_upload_takes_the_place_of_the_older_one() -> None:
    newer = document(1, inference_id="f" * 64)
    made = listing(document(1), newer)
    assert made.find("f" * 64) == item_of(newer)
    assert made.find(document(1)["inference_id"]) is None
    made.remove("f" * 64)
    assert made.bins() == []


def test_views_are_forgotten_when_there_are_many_others() -> None:
    made = listing(document(1))
    first, _ = made.view("low-confidence", "", "", "newest")
    for _ in range(20):
        last, _ = made.view("low-confidence", "reason", "unfamiliar", "newest")
    assert made.page(first, 0, 10) is None
    assert made.page(last, 0, 10) == []


def test_a_view_that_is_in_use_is_not_forgotten() -> None:
    made = listing(document(1))
    views = [made.view("low-confidence", "", "", "newest")[0] for _ in range(16)]
    assert made.page(views[0], 0, 10)
    made.view("low-confidence", "", "", "newest")
    assert made.page(views[0], 0, 10)
    assert made.page(views[1], 0, 10) is None


def test_what_needs_a_review_is_read_first(s3: Any, upload: Upload) -> None:
    upload("a.png", outcome="classified", reason=None)
    upload("b.png", outcome="failed", label=None, confidence=None, probabilities=None)
    doubtful = upload("c.png")
    made = ImageListing(s3, BUCKET)
    made.load(lambda: made.bins() != [])  # ends before the second one
    assert made.find(doubtful)
    assert made.bins() == [("low-confidence", "reason", "below_threshold", 1)]


def test_results_are_read_from_the_bucket_and_what_is_none_is_counted(s3: Any, upload: Upload) -> None:
    of = upload("a.png")
    s3.put_object(Bucket=BUCKET, Key="failed/x.json", Body=b"{}")
    s3.put_object(Bucket=BUCKET, Key="classified/y.json", Body=b'{"outcome": "classified"}')
    made = ImageListing(s3, BUCKET)
    made.load()
    item = made.find(of)
    assert item
    assert (item.path, made.loading, len(made.problems)) == ("a.png", False, 2)


def test_a_result_without_an_inference_id_is_counted() -> None:
    made = listing(document(1, inference_id=None))
    assert (made.bins(), len(made.problems)) == ([], 1)
    # AND of many a hundred are remembered
    for number in range(120):
        made.add(document(number, inference_id=None))
    assert len(made.problems) == 100
    hostile = document(2, review={"action": "label"})
    assert replace(item_of(hostile), by=None).decision is None


def test_labels_are_counted_by_image_and_decision() -> None:
    # GIVEN labels that models know of one, two and three images, and one that a reviewer gave twice
    known = [{"one": 0.5, "three": 0.5}, {"two": 0.5, "three": 0.5}, {"two": 0.5, "three": 0.5}]
    made = listing(*(document(number, probabilities=found) for number, found in enumerate(known)))
    assert made._labels == {"three": 3, "two": 2, "one": 1}
    given = {"id": "d", "by": "Ada", "action": "label"}
    for number in (5, 6):
        made.add(document(number, probabilities=None, label="given", review=given))
    assert made._labels["given"] == 1
    made.add(
        document(7, probabilities=None, label="ghost", review={"id": "d", "by": "Ada", "action": "none"})
    )
    made.add(document(8, probabilities=None, label=None, review=given))
    assert set(made.labels()) == {"one", "two", "three", "given"}


@pytest.mark.parametrize(
    ("times", "uploaded"),
    [
        ({"uploaded": "a", "recorded": "b"}, "a"),
        ({"uploaded": None, "recorded": "b"}, "b"),
        ({"recorded": "b"}, "b"),
    ],
)
def test_an_image_without_the_time_of_its_upload_has_that_of_its_result(
    times: dict[str, Any], uploaded: str
) -> None:
    assert item_of(document(1, times=times)).uploaded == uploaded


def test_members_of_a_result_are_those_of_the_image() -> None:
    review = {"id": 5, "by": "Ada", "action": "none"}
    item = item_of(document(1, review=review))
    assert (item.key, item.version_id, item.etag, item.outcome) == (
        "incoming/001.png",
        "v1",
        "e",
        "low-confidence",
    )
    assert (item.label, item.confidence, item.familiarity, item.reason) == (
        "bicycle",
        0.6,
        0.5,
        "below_threshold",
    )
    assert (item.decision, item.action, item.by) == ("5", "none", "Ada")
    for other in (None, {}, "x", {"id": "1", "action": "delete", "by": "Ada"}):
        item = item_of(document(1, review=other, familiarity="high", reason=None))
        assert (item.decision, item.action, item.by, item.familiarity, item.reason) == (None,) * 5
    assert item_of(document(1, familiarity=1)).familiarity == 1
    with pytest.raises(ValueError, match="it has no inference id"):
        item_of(document(1, inference_id=5))


def test_an_image_is_in_its_bin_and_in_its_whole_group() -> None:
    doubtful, sure = item_of(document(1)), item_of(document(2, outcome="classified", reason=None))
    failed = item_of(document(3, outcome="failed", label=None, reason=None))
    assert bin_of(doubtful) == ("low-confidence", "reason", "below_threshold")
    assert bin_of(item_of(document(1, review={"by": "Ada", "action": "none"}))) == bin_of(doubtful)
    assert bin_of(item_of(document(1, review={"id": "1", "action": "none"})))[0] == "reviewed"
    assert (bin_of(sure), bin_of(failed)) == (("classified", "label", "bicycle"), ("failed", "reason", ""))
    assert in_bin(doubtful, "low-confidence")
    assert not in_bin(doubtful, "classified")
    assert in_bin(doubtful, "low-confidence", "reason", "below_threshold")
    assert not in_bin(doubtful, "low-confidence", "reason", "")
    assert not in_bin(doubtful, "low-confidence", "label", "below_threshold")


def test_groups_of_a_view_stand_one_after_another_and_views_are_numbered() -> None:
    made = listing(*(document(number) for number in range(5)))

    def groups(items: list[ListedImage]) -> list[list[ListedImage]]:
        return [items[:2], items[2:]]

    assert made.view("low-confidence", "", "", "newest", 0, groups) == (1, 5)
    found = made.page(1, 0, 10)
    assert found
    assert [(one.begin, one.size) for _, one in found] == [(0, 2), (0, 2), (2, 3), (2, 3), (2, 3)]
    assert made.view("low-confidence", "", "", "newest") == (2, 5)
    assert [one.key for _, one in made.page(2, 1, 2) or ()] == ["incoming/001.png", "incoming/002.png"]
    assert made.page(3, 0, 1) is None
    assert made.index(2, "nothing") is None


def test_a_hundred_problems_are_remembered() -> None:
    made = listing()
    for number in range(101):
        made._problem(str(number))
    assert made.problems == [str(number) for number in range(100)]
