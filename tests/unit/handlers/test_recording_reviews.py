"""Recording with reviewers: a newer upload beats a review, a review beats its upload's predictions, a later decision an earlier one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropsort.contract import keys
from handlers.recording import Entry
from tests.unit.handlers.interleavings import Store, ends
from tests.unit.handlers.test_recording import entry, lying

OUTCOMES = keys.OUTCOMES
# Of the nine pairs: all three with the same location, and one of each kind of move.
PAIRS = [*zip(OUTCOMES, OUTCOMES, strict=True), ("low-confidence", "classified"), ("classified", "failed")]


def reviewed(upload: int, outcome: str, number: int = 1, *, versions: bool = True) -> Entry:
    """The entry of a reviewer's decision about an upload: what the prediction's was, with another time and the number."""
    made = entry(upload, outcome, f"2026-01-01T13:00:00.00{number}Z", versions=versions)
    return replace(made, review=str(number))


def ends_with(expected: Entry, entries: list[Entry], start: Store = (), kills: int = 0) -> None:
    """Hold every end of every interleaving against the guarantee: one result, of this upload and this decision."""
    count = 0
    for store, _ in ends(entries, start, kills):
        count += 1
        assert [(e.etag, e.review, e.outcome) for _, _, e in store] == [
            (expected.etag, expected.review, expected.outcome)
        ], store
    assert count


@pytest.mark.parametrize(("model", "person"), PAIRS)
def test_a_review_beats_every_prediction_of_its_upload(model: str, person: str) -> None:
    decision = reviewed(1, person)
    # GIVEN its own event once more, a redrive much later, and a manual start, at the same time as the reviewer
    late = entry(1, model, "2027-01-01T00:00:00.000Z")
    by_hand = entry(1, model, "2027-01-01T00:00:00.000Z", by_hand=True)
    for prediction in (late, by_hand):
        ends_with(decision, [decision, prediction], lying(entry(1, model)), kills=1)
        ends_with(decision, [prediction], lying(decision), kills=2)
    ends_with(decision, [decision, late, by_hand])
    # AND so it is where the bucket has no versions
    plain = reviewed(1, person, versions=False)
    ends_with(plain, [plain, entry(1, model, "2027", by_hand=True, versions=False)], kills=1)


@pytest.mark.parametrize(("model", "person"), PAIRS)
def test_a_newer_upload_beats_a_review(model: str, person: str) -> None:
    newest = entry(2, model)
    ends_with(newest, [newest, reviewed(1, person)], lying(entry(1, "low-confidence")), kills=1)
    ends_with(newest, [newest], lying(reviewed(1, person, 9)), kills=1)
    # AND a late decision about the older upload leaves the newer one alone
    ends_with(newest, [reviewed(1, person, 3)], lying(newest), kills=1)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_later_decision_beats_an_earlier_one(first: str, second: str) -> None:
    # The numbers are of two digits: they are compared as numbers, not as text.
    one, two = reviewed(1, first, 9), replace(reviewed(1, second), review="10")
    ends_with(two, [one, two], lying(entry(1, "failed")), kills=1)
    ends_with(two, [one, two, entry(1, "classified", "2027")])


def test_reviews_of_two_uploads_and_their_events_end_with_the_newest_uploads_review() -> None:
    for first, second in PAIRS:
        ends_with(reviewed(2, second), [reviewed(1, first, 7), reviewed(2, second), entry(2, first, "2027")])


@pytest.mark.parametrize("number", ["x", "-1", "9" * 40, "1e3", "\N{SUPERSCRIPT TWO}"])
def test_a_number_that_is_none_counts_as_no_review(number: str) -> None:
    strange = replace(entry(1, "classified"), review=number)
    assert reviewed(1, "failed").beats(strange)
    assert not strange.beats(reviewed(1, "failed"))


def test_the_metadata_holds_the_number_of_the_decision_and_nothing_of_who_decided() -> None:
    made = reviewed(1, "classified", 3)
    assert made.to_metadata()["review"] == "3"
    assert Entry.from_metadata(made.to_metadata(), "classified") == made
    assert "review" not in entry(1, "classified").to_metadata()
