"""The audit: coverage of its interval, what counts as drawn at random, strata, and the verdict on the target precision."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.audit import simulate
from dropsort.contract import reviews
from dropsort.contract.keys import CLASSIFIED, FAILED, LOW_CONFIDENCE
from dropsort.contract.statistics import Estimate, Interval, Stratum, trials_for, weighted_sum
from monitoring.quality.audit import (
    HALF_WIDTH,
    AuditedResult,
    OutcomeStrata,
    assess,
    audit,
    audited_results,
    merged,
    next_to_review,
    sampled,
)


def results(correct: str, day: str = "2026-11-26", outcome: str = CLASSIFIED) -> list[AuditedResult]:
    """Results in random order: + right, - wrong, . not reviewed, u unusable."""
    return [
        AuditedResult(f"{i:064x}", day, outcome, {"+": True, "-": False}.get(sign), sign != "u")
        for i, sign in enumerate(correct)
    ]


@pytest.mark.parametrize("precision", [0.90, 0.95, 0.99])
def test_the_interval_covers_the_true_precision_of_simulated_services(precision: float) -> None:
    """2,000 of them, and the table of the documentation: python -m benchmarks.audit."""
    found = simulate(precision, services=500, seed=2)
    assert found.precision == pytest.approx(0.95, abs=0.025)
    assert found.accuracy == pytest.approx(0.95, abs=0.025)


def test_only_what_is_reviewed_without_a_gap_is_a_random_sample() -> None:
    # GIVEN two images that somebody reviewed as they seemed wrong, and were
    found = audit(results("+++-+." + "..-.." + "-...."), 0.99)

    assert (found.classified.reviewed, found.classified.elsewhere) == (5, 2)
    assert found.classified.estimate.value == 0.8


def test_each_day_has_a_gap_of_its_own_and_counts_by_its_size() -> None:
    # GIVEN a large day with few reviews, and a small one that was reviewed whole and is worse
    large, small = results("+" * 40 + "." * 860, "2026-11-25"), results("+" * 50 + "-" * 50, "2026-11-26")

    found = audit(large + small, 0.9)

    assert found.classified.reviewed == 140
    assert found.classified.estimate.value == pytest.approx(0.9 * 1.0 + 0.1 * 0.5)


def test_unusable_images_are_neither_right_nor_wrong_and_leave_no_gap() -> None:
    found = audit(results("++u+-."), 0.9)

    assert (found.classified.size, found.classified.reviewed, found.classified.unusable) == (5, 4, 1)
    assert found.classified.estimate.value == 0.75


def test_the_stream_is_weighted_by_how_many_images_each_outcome_has() -> None:
    sure, doubtful = results("+" * 90 + "-" * 10), results("+" * 60 + "-" * 40, outcome=LOW_CONFIDENCE)

    found = audit(sure * 3 + doubtful, 0.9)

    assert found.accuracy == pytest.approx((3 * 0.9 + 0.6) / 4)
    # Without a random review of doubtful ones nothing is known of the whole.
    assert math.isnan(audit(sure + results("..", outcome=LOW_CONFIDENCE), 0.9).accuracy)


@pytest.mark.parametrize(
    ("right", "reviewed", "verdict"), [(300, 300, "undecided"), (270, 300, "missed"), (1000, 1000, "met")]
)
def test_the_target_is_missed_only_if_it_is_above_the_whole_interval(
    right: int, reviewed: int, verdict: str
) -> None:
    found = assess({CLASSIFIED: OutcomeStrata([Stratum(100_000, reviewed, right)])}, 0.99)
    assert found.verdict == verdict


def test_as_many_more_reviews_as_it_says_are_enough() -> None:
    before = assess({CLASSIFIED: OutcomeStrata([Stratum(100_000, 200, 190)])}, 0.99)
    assert f"Review {before.more:,} more to know it to ± 1%." in before.sentences()

    n = 200 + before.more
    after = assess({CLASSIFIED: OutcomeStrata([Stratum(100_000, n, round(0.95 * n))])}, 0.99)

    low, high = after.classified.estimate.interval
    assert high - low <= 2.02 * HALF_WIDTH
    assert before.more > 1000
    assert assess({CLASSIFIED: OutcomeStrata([Stratum(100, 10, 9)])}, 0.99).more == 90  # there are no others


def test_without_results_or_reviews_nothing_is_claimed() -> None:
    nothing, unreviewed = audit([], 0.99), audit(results("...."), 0.99)

    assert nothing.sentences() == ["Nothing is classified."]
    assert nothing.verdict == unreviewed.verdict == "undecided"
    assert unreviewed.to_json()["precision"] is None
    assert unreviewed.more == 4


def test_what_to_review_next_is_the_first_gap_in_random_order() -> None:
    waiting = next_to_review(results("++.u.-.") + results("..", outcome=LOW_CONFIDENCE), 2)
    assert [int(one.inference_id, 16) for one in waiting] == [2, 4]


def test_a_random_sample_of_all_ends_at_the_first_gap_of_either_outcome() -> None:
    doubtful = [
        replace(one, inference_id=f"{10 * i + 5:064x}")
        for i, one in enumerate(results("+.", outcome=LOW_CONFIDENCE))
    ]
    sure = [replace(one, inference_id=f"{10 * i:064x}") for i, one in enumerate(results("+-u+"))]
    assert sorted(int(one, 16) for one in sampled(sure + doubtful)) == [0, 5, 10]


def test_a_few_reviews_at_random_are_not_a_share() -> None:
    # GIVEN one review at random of 53 classified images, and thirty of as many doubtful ones
    doubtful = results("+" * 30 + "." * 23, outcome=LOW_CONFIDENCE)

    found = audit(results("+" + "." * 52) + doubtful, 0.99)

    assert found.sentences()[1].endswith("not known yet: 1 review at random, at least 30 are needed.")
    assert not [words for words in found.sentences() if "100.0%" in words]
    assert math.isnan(found.accuracy)
    assert found.sentences()[-1].endswith(
        "of each outcome, or all of it, are needed; there are fewer of classified."
    )
    # BUT a few are enough to miss the target, and are named then
    missed = audit(results("-" * 5 + "." * 52), 0.99)
    assert (missed.verdict, missed.sentences()[1][:26]) == ("missed", "0.0% of 57 classified imag")
    # AND thirty of each are, or as many as there are
    assert not math.isnan(audit(results("+" * 30 + "." * 23) + doubtful, 0.99).accuracy)
    assert not math.isnan(audit(results("+-") + doubtful, 0.99).accuracy)


def test_predictions_of_two_models_are_not_added_up() -> None:
    # GIVEN a model that was right, and one after it that is not
    former = [replace(one, model="first") for one in results("+" * 40)]
    now = [replace(one, model="second") for one in results("-" * 40)]

    found = audit(former + now, 0.99, "second")

    assert (found.classified.size, found.classified.estimate.value, found.other_models) == (40, 0.0, 40)
    assert found.sentences()[-1] == "40 predictions of other models than second are left out."
    assert audit(former, 0.99, "second").sentences() == [
        "Nothing is classified.", "40 predictions of other models than second are left out.",
    ]  # fmt: skip
    # AND without a version, of the service or of the predictions, all count
    assert audit(former + now, 0.99).classified.size == 80
    assert audit(results("+-"), 0.99, "second").classified.size == 2


def test_days_of_few_reviews_are_merged_with_their_neighbours() -> None:
    assert merged([Stratum(100, 3, 3), Stratum(50, 0, 0)]) == [Stratum(150, 3, 3)]
    assert merged([]) == []


def test_every_figure_and_sentence_of_an_audit() -> None:
    strata = {
        CLASSIFIED: OutcomeStrata([Stratum(1000, 300, 270)], 4, 2),
        LOW_CONFIDENCE: OutcomeStrata([Stratum(1000, 100, 60)]),
    }
    found = assess(strata, 0.99)
    sure, doubtful = (found.outcomes[name].estimate for name in (CLASSIFIED, LOW_CONFIDENCE))
    value, interval = weighted_sum([(0.5, sure), (0.5, doubtful)])
    assert found.to_json() == {
        "target": 0.99, "verdict": "missed", "precision": 0.9, "precision_interval": list(sure.interval), "more": found.more,
        "accuracy": 0.75, "accuracy_interval": list(interval), "model": None, "other_models": 0,
        "outcomes": {
            CLASSIFIED: {"size": 1000, "reviewed": 300, "elsewhere": 4, "unusable": 2, "correct": 0.9,
                         "correct_interval": list(sure.interval)},
            LOW_CONFIDENCE: {"size": 1000, "reviewed": 100, "elsewhere": 0, "unusable": 0, "correct": 0.6,
                             "correct_interval": list(doubtful.interval)},
        },
    }  # fmt: skip
    assert value == 0.75
    assert found.sentences() == [
        "The target precision of 99.0% is missed: it is above the interval.",
        f"90.0% of 1,000 classified images are right ({sure.interval.shares()}), by 300 reviews at random.",
        f"Review {found.more:,} more to know it to ± 1%.",
        f"75.0% of all 2,000 predictions are right ({interval.shares()}).",
    ]
    unknown = assess({**strata, LOW_CONFIDENCE: OutcomeStrata([Stratum(10, 0, 0)])}, 0.99)
    assert (unknown.to_json()["accuracy"], unknown.accuracy_interval) == (None, (0.0, 1.0))
    assert unknown.sentences()[:-1] == found.sentences()[:3]
    assert unknown.sentences()[-1].startswith("The accuracy of all predictions is not known yet")
    nothing = audit([], 0.99)
    assert (nothing.accuracy_interval, nothing.classified.size, nothing.more) == ((0.0, 1.0), 0, 0)
    unreviewed = assess({CLASSIFIED: OutcomeStrata([Stratum(100_000, 0, 0)])}, 0.99)
    assert unreviewed.more == trials_for(0.99, HALF_WIDTH), "as if the target were met"
    assert AuditedResult("i", "d", CLASSIFIED) == AuditedResult("i", "d", CLASSIFIED, None, True, "")
    assert OutcomeStrata([]) == OutcomeStrata([], 0, 0)


@pytest.mark.parametrize(
    ("reviewed", "right", "words"), [(1000, 1000, "is met: it is not"), (300, 300, "is neither met")]
)
def test_the_verdict_in_words(reviewed: int, right: int, words: str) -> None:
    found = assess({CLASSIFIED: OutcomeStrata([Stratum(100_000, reviewed, right)])}, 0.99)
    assert words in found.sentences()[0]


def test_a_target_at_an_end_of_the_interval() -> None:
    strata = {CLASSIFIED: OutcomeStrata([Stratum(100_000, 300, 270)])}
    low, high = assess(strata, 0.99).classified.estimate.interval
    bounds = [math.nextafter(high, 1), high, math.nextafter(low, 1), low]
    assert [assess(strata, target).verdict for target in bounds] == [
        "missed",
        "undecided",
        "undecided",
        "met",
    ]


@pytest.mark.parametrize(("trials", "more"), [(1700, True), (2200, False)])
def test_no_more_reviews_are_needed_once_the_interval_is_two_points_wide(trials: int, more: bool) -> None:
    found = assess({CLASSIFIED: OutcomeStrata([Stratum(1_000_000, trials, round(0.95 * trials))])}, 0.99)
    low, high = found.classified.estimate.interval
    assert (high - low <= 0.02, found.more == 0) == (not more, not more)
    # AND none if it is just as wide
    width = replace(found.classified, estimate=Estimate(0.95, Interval(0.0, 2 * HALF_WIDTH), 100))
    assert replace(found, outcomes={CLASSIFIED: width}).more == 0


def test_reviews_that_count_already_are_not_needed_again() -> None:
    found = assess({CLASSIFIED: OutcomeStrata([Stratum(100_000, 300, 285)])}, 0.99)
    assert trials_for(0.95, HALF_WIDTH) == 1838
    assert (math.floor(found.classified.estimate.trials), found.more) == (300, 1538)


def test_thirty_reviews_are_a_stratum_and_what_is_left_joins_the_last() -> None:
    found = merged([Stratum(100, 29, 28), Stratum(10, 1, 1), Stratum(50, 30, 30), Stratum(7, 29, 1)])
    assert found == [Stratum(110, 30, 29), Stratum(57, 59, 31)]


def document(number: int, label: str = "a", outcome: str = CLASSIFIED, **members: Any) -> dict[str, Any]:
    """A result of the workflow."""
    return {
        "outcome": outcome,
        "inference_id": f"{number:064x}",
        "source": {"bucket": "b", "key": f"incoming/{number}", "version_id": "v", "etag": None},
        "label": label,
        "model": {"version": "m-1"},
        "times": {"uploaded": "2026-11-25T23:59:59Z", "recorded": "2026-11-26T00:00:01.000Z"},
        "review": None,
    } | members


def reviewed(prediction: dict[str, Any], *actions: reviews.Action, label: str = "a") -> reviews.Review:
    found = reviews.begin(prediction, {})
    for number, action in enumerate(actions):
        found = reviews.append_decision(
            found,
            id=str(number),
            by="ann",
            at="2026-11-26T10:00:00+00:00",
            action=action,
            label=label if action == "label" else None,
        )
    return found


def test_an_audit_judges_what_the_model_predicted() -> None:
    # GIVEN results without a review, and reviewed: right, wrong, of no class, unusable, undone
    documents = [document(number) for number in range(6)]
    of = [
        reviewed(documents[1], "label"),
        reviewed(documents[2], "label", label="b"),
        reviewed(documents[3], "none"),
        reviewed(documents[4], "unusable"),
        reviewed(documents[5], "label", "undo"),
    ]
    # AND one whose result has the decision since
    documents[2] = document(2, "b", review={"by": "ann"})
    found = audited_results([(f"incoming/{one['inference_id']}", one) for one in documents], of)
    assert [(one.correct, one.usable) for one in found] == [
        (None, True), (True, True), (False, True), (False, True), (None, False), (None, True),
    ]  # fmt: skip
    assert found[2] == AuditedResult(
        documents[2]["inference_id"], "2026-11-25", CLASSIFIED, False, True, f"incoming/{2:064x}", "m-1"
    )


@pytest.mark.parametrize(
    ("members", "counted"),
    [
        ({}, True),
        ({"outcome": FAILED}, False),
        ({"inference_id": None}, False),
        ({"review": {"by": "ann"}}, False),  # whose prediction is not known
        ({"times": {"uploaded": None, "recorded": "2026-11-25T10:00:00.000Z"}}, True),
        ({"model": None}, True),
    ],
)
def test_what_an_audit_counts_of_results_without_a_review(members: dict[str, Any], counted: bool) -> None:
    one = document(1, **members)
    model = "" if one["model"] is None else "m-1"
    found = audited_results([("incoming/1", one)], [])
    expected = AuditedResult(f"{1:064x}", "2026-11-25", CLASSIFIED, key="incoming/1", model=model)
    assert found == ([expected] if counted else [])
