"""Each signal of drift by hand: what is compared, with what p, and at which bounds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dropsort.contract.statistics import wilson
from monitoring.drift import statistics as st
from monitoring.drift.assess import Assessment, assess, estimated_accuracy
from monitoring.drift.sample import Moments, Sample
from monitoring.drift.signals import (
    Floors,
    Signal,
    confidence,
    image,
    label_signal,
    low_confidence,
    unfamiliar,
)

FLOORS = Floors()


def labelled(**counts: int) -> Sample:
    """So many captures of each label, all with confidence 0.95."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    return Sample.of(labels, [0.95] * len(labels))


def test_samples_add_up() -> None:
    one = Sample.of(["a", "a", "b"], [0.1, 0.2, 0.2], [0.0, 0.5, 1.0])
    other = Sample.of(["b", "c"], [0.2, 1.0], [0.5, 0.5])
    one = replace(one, images={"width": Moments(2, 10.0, 60.0), "bytes": Moments(1, 5.0, 25.0)})
    other = replace(other, images={"width": Moments(1, 1.0, 1.0), "height": Moments(1, 2.0, 4.0)})
    total = one + other
    assert (total.labels, one.labels) == ({"a": 2, "b": 2, "c": 1}, {"a": 2, "b": 1})
    assert {int(at): int(total.confidence[at]) for at in np.flatnonzero(total.confidence)} == {
        100: 1,
        200: 3,
        999: 1,
    }
    assert total.familiarity is not None
    assert [int(total.familiarity[at]) for at in (0, 50, 99)] == [1, 3, 1]
    assert total.images == {
        "width": Moments(3, 11.0, 61.0), "bytes": Moments(1, 5.0, 25.0), "height": Moments(1, 2.0, 4.0)
    }  # fmt: skip
    # One without familiarity adds none.
    plain = Sample.of(["a"], [0.1])
    for found in (one + plain, plain + one):
        assert found.familiarity is not None
        assert found.familiarity.tolist() == one.familiarity.tolist()  # type: ignore[union-attr]
    assert (plain + plain).familiarity is None
    assert one.to_json() == {
        "schema": "dropsort-reference/1", "labels": {"a": 2, "b": 1}, "confidence": one.confidence.tolist(),
        "familiarity": one.familiarity.tolist(), "images": {"width": [2, 10.0, 60.0], "bytes": [1, 5.0, 25.0]},  # type: ignore[union-attr]
    }  # fmt: skip
    assert plain.to_json()["familiarity"] is None


def test_means_deviations_and_shares_of_a_sample() -> None:
    assert math.isnan(Sample().mean_confidence)
    assert Sample.of(["a", "a"], [0.1, 0.2]).mean_confidence == pytest.approx(0.1505)
    assert math.isnan(Moments(0, 0.0, 0.0).mean)
    assert (Moments(4, 10.0, 30.0).mean, Moments(1, 3.0, 99.0).deviation, Moments(2, 4.0, 10.0).deviation) == (
        2.5, 0.0, math.sqrt(2)
    )  # fmt: skip
    assert Moments(2, 4.0, 7.0).deviation == 0.0, "less than nothing by rounding"
    counted = Sample.of(["a"] * 3, [0.0, 0.001, 1.0])
    assert [counted.below(threshold) for threshold in (-1.0, 0.0, 0.001, 0.002, 1.0)] == [0, 0, 1, 2, 3]
    for wrong in (-1e-9, math.nextafter(1.0, 2), math.nan):
        with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
            Sample.of(["a"], [wrong])
    assert Sample.of([], []).count == 0


def test_the_smallest_changes_that_alarm() -> None:
    assert Floors(0.05, 0.03, 0.015, 0.1, 0.05, 0.25) == FLOORS


def test_of_two_labels_one_is_compared() -> None:
    found = label_signal(labelled(a=50, b=50), labelled(a=70, b=30), FLOORS)
    # Both have the same p, but for rounding
    label, count = (found.sentence[0], 70 if found.sentence[0] == "a" else 30)
    assert found == Signal(
        "LabelShares", count / 100, 0.5, pytest.approx(0.2), 0.05, pytest.approx(st.fisher_exact(70, 100, 50, 100)),
        interval=wilson(count, 100), sentence=f"{label}: {count}.0% of the captures, 50.0% in the reference",
    )  # fmt: skip
    assert (found.adjusted, found.alarm, found.usual) == (1.0, False, None)


def test_of_more_labels_the_surest_is_reported_and_its_p_is_that_of_all() -> None:
    found = label_signal(labelled(a=50, b=50), labelled(a=45, b=35, c=20), FLOORS)
    assert (found.value, found.reference, found.effect) == (0.2, 0.0, 0.2)
    assert found.p == pytest.approx(3 * st.fisher_exact(20, 100, 0, 100))
    assert found.sentence == "c: 20.0% of the captures, 0.0% in the reference"
    assert label_signal(labelled(a=2, b=2, c=2), labelled(a=2, b=2, c=2), FLOORS).p == 1.0
    gone = label_signal(labelled(a=40, b=40, c=40), labelled(a=50, b=50), FLOORS)
    assert (gone.value, gone.reference, gone.p) == (
        0.0,
        pytest.approx(1 / 3),
        pytest.approx(3 * st.fisher_exact(0, 100, 40, 120)),
    )


def test_a_label_that_is_in_one_of_both_alone() -> None:
    for before, now, share in (
        (labelled(a=50, b=50), labelled(a=90), 1.0),
        (labelled(a=90), labelled(a=50, b=50), 0.5),
    ):
        found = label_signal(before, now, FLOORS)
        assert (found.value in (share, 1 - share), found.effect) == (True, 0.5)
        assert found.p == pytest.approx(st.fisher_exact(90, 90, 50, 100))
    assert Signal("s", 0, 0, 0, 0, 0) == Signal("s", 0, 0, 0, 0, 0, 1.0, False, None, None, "")


def test_the_share_below_the_threshold() -> None:
    before = Sample.of(["a"] * 100, [0.929] * 10 + [0.93] * 90)
    now = Sample.of(["a"] * 50, [0.929] * 20 + [0.93] * 30)
    found = low_confidence(before, now, 0.93, FLOORS)
    assert found == Signal(
        "LowConfidenceRate", 0.4, 0.1, pytest.approx(0.3), 0.03, st.fisher_exact(20, 50, 10, 100), interval=wilson(20, 50),
        sentence="40.0% below the threshold 0.93, 10.0% in the reference",
    )  # fmt: skip


def test_the_distances_of_confidences() -> None:
    before, now = Sample.of(["a"] * 100, [0.6] * 100), Sample.of(["a"] * 100, [0.6] * 50 + [0.9] * 50)
    moved, apart = confidence(before, now, FLOORS, 0.01)
    assert (moved.name, moved.floor, apart.name, apart.floor) == (
        "ConfidenceWasserstein", 0.015, "ConfidenceJensenShannon", 0.1
    )  # fmt: skip
    for found in (moved, apart):
        assert (found.value, found.reference) == (pytest.approx(0.7505), pytest.approx(0.6005))
        assert found.sentence.startswith("mean confidence 0.750, 0.600 in the reference; ")
    assert moved.effect == pytest.approx(0.15)
    assert apart.effect == pytest.approx(st.jensen_shannon([50, 50], [100, 0]))
    # p is the smallest that ten relabellings for each part of the level give, as none is as far apart.
    assert moved.p == apart.p == 1 / (10 / 0.01 + 1)
    test = st.permutation_test([50, 50], [100, 0], [0.6005, 0.9005], draws=1000)
    assert (moved.usual, apart.usual) == (
        pytest.approx(test.usual_wasserstein), pytest.approx(test.usual_jensen_shannon)
    )  # fmt: skip
    assert moved.usual != apart.usual
    assert moved.sentence.endswith("confidences moved by 0.150 on average")
    assert apart.sentence.endswith(f"Jensen-Shannon distance {apart.effect:.3f}")


def familiar(low: int, high: int) -> Sample:
    """So many captures with familiarity 0.005, and with 0.01 and more."""
    values = [0.005] * low + [0.01] * (high - high // 2) + [0.5] * (high // 2)
    return Sample.of(["a"] * len(values), [0.9] * len(values), values)


def test_the_share_of_unfamiliar_images_from_thirty_familiarities_on() -> None:
    (found,) = unfamiliar(familiar(2, 38), familiar(10, 20), 0.01, FLOORS)
    assert found == Signal(
        "UnfamiliarRate", pytest.approx(1 / 3), 0.05, pytest.approx(1 / 3 - 0.05), 0.05, st.fisher_exact(10, 30, 2, 40),
        interval=wilson(10, 30), sentence="33.3% are unfamiliar, 5.0% in the reference",
    )  # fmt: skip
    assert len(unfamiliar(familiar(0, 30), familiar(0, 30), 0.01, FLOORS)) == 1
    for before, now in ((29, 30), (30, 29)):
        assert unfamiliar(familiar(0, before), familiar(0, now), 0.01, FLOORS) == []
    assert unfamiliar(labelled(a=50), familiar(0, 50), 0.01, FLOORS) == []
    assert unfamiliar(familiar(0, 50), labelled(a=50), 0.01, FLOORS) == []


def moments(count: int, mean: float, deviation: float) -> Moments:
    return Moments(count, count * mean, (count - 1) * deviation**2 + count * mean**2)


def test_a_mean_of_images_is_compared_by_welchs_test_from_two_hundred_images_on() -> None:
    found = image("width", moments(400, 100, 20), moments(200, 103, 10), FLOORS)
    z = 3 / math.hypot(10 / math.sqrt(200), 20 / math.sqrt(400))
    assert (found.name, found.value, found.reference, found.floor) == ("ImageWidth", 103, 100, 0.25)
    assert found.effect == pytest.approx(3 / 20), "standard deviations of the reference"
    assert found.p == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert found.sentence == "mean width 103, 100 in the reference"
    for before, now in ((199, 200), (200, 199)):
        assert image("width", moments(before, 100, 20), moments(now, 300, 10), FLOORS).p == 1.0
    assert image("width", moments(200, 100, 20), moments(200, 300, 10), FLOORS).p < 1e-9


def test_a_mean_without_any_spread() -> None:
    same, other = moments(300, 100, 0), moments(300, 101, 0)
    assert (image("width", same, other, FLOORS).p, image("width", same, other, FLOORS).effect) == (
        0.0,
        math.inf,
    )
    assert (image("width", same, same, FLOORS).p, image("width", same, same, FLOORS).effect) == (1.0, 0.0)
    assert (moments(1, 5, 0).deviation, Moments(0, 0, 0).deviation) == (0.0, 0.0)
    assert math.isnan(Moments(0, 0, 0).mean)
    assert Moments(2, 6, 20).deviation == pytest.approx(math.sqrt(2))


def test_a_window_has_the_signals_that_both_samples_have() -> None:
    before, now = familiar(2, 38), familiar(2, 38)
    before = replace(before, images={"width": moments(40, 100, 20), "height": moments(40, 100, 20)})
    now = replace(now, images={"width": moments(40, 100, 20), "ratio": moments(40, 1, 1)})
    found = assess(before, now, threshold=0.95, familiarity_threshold=0.3, level=0.01)
    assert [signal.name for signal in found.signals] == [
        "LabelShares", "LowConfidenceRate", "ConfidenceWasserstein", "ConfidenceJensenShannon", "UnfamiliarRate", "ImageWidth"
    ]  # fmt: skip
    assert found.signals[1].value == 1.0, "all are below the threshold that is given"
    assert found.signals[4].value == 21 / 40
    assert (found.level, found.window_size, found.reference_size, found.note) == (0.01, 40, 40, "")
    assert found.shares == {"a": (1.0, wilson(40, 40), 1.0)}
    strict = assess(labelled(a=50, b=50), labelled(a=57, b=43), floors=Floors(label_share=0.07), level=1.0)
    assert strict.signals[0].alarm is False or strict.signals[0].effect >= 0.07
    assert Assessment(1, 2, 0.5).to_json()["estimated_accuracy"] is None


def test_the_estimate_of_the_accuracy_is_within_0_and_1() -> None:
    mean, (low, high) = estimated_accuracy(Sample.of(["a"] * 4, [0.6, 0.6, 0.9, 0.9]))
    half = 1.959964 * math.sqrt(2 * 0.6005 * 0.3995 + 2 * 0.9005 * 0.0995) / 4
    assert (mean, low, high) == (pytest.approx(0.7505), pytest.approx(0.7505 - half), 1.0)
    mean, (low, high) = estimated_accuracy(Sample.of(["a"], [0.0]))
    assert (mean, low) == (pytest.approx(0.0005), 0.0)
    mean, interval = estimated_accuracy(Sample())
    assert math.isnan(mean)
    assert interval == (0, 1)


def test_a_share_that_falls_changes_as_much_as_one_that_rises() -> None:
    low, high = (
        Sample.of(["a"] * 100, [0.5] * 10 + [0.95] * 90),
        Sample.of(["a"] * 100, [0.5] * 40 + [0.95] * 60),
    )
    for before, now in ((low, high), (high, low)):
        assert low_confidence(before, now, 0.93, FLOORS).effect == pytest.approx(0.3)
    for one, other in (((2, 38), (20, 20)), ((20, 20), (2, 38))):
        (found,) = unfamiliar(familiar(*one), familiar(*other), 0.01, FLOORS)
        assert found.effect == pytest.approx(0.45)
    for before, now in (((20, 40, 40), (60, 20, 20)), ((60, 20, 20), (20, 40, 40))):
        one, other = (labelled(**dict(zip("abc", counts, strict=True))) for counts in (before, now))
        assert label_signal(one, other, FLOORS).effect == pytest.approx(0.4)


@pytest.mark.parametrize(("level", "draws"), [(1.0, 10), (0.01, 1000), (0.005 / 72, 144_000), (0.3, 34)])
def test_confidences_are_relabelled_by_groups_as_often_as_the_level_requires(
    monkeypatch: pytest.MonkeyPatch, level: float, draws: int
) -> None:
    given: list[object] = []

    def permutation_test(
        window: object, reference: object, positions: object, *, draws: int
    ) -> st.Permutation:
        given.append([np.asarray(one).tolist() for one in (window, reference, positions)])
        given.append(draws)
        return st.Permutation(0.1, 0.2, 0.3, 0.4)

    monkeypatch.setattr(st, "permutation_test", permutation_test)
    before, now = Sample.of(["a"] * 2, [0.1] * 2), Sample.of(["a"] * 2, [0.9, 0.9])
    moved, apart = confidence(before, now, FLOORS, level)
    # Groups without captures are where the one before them is
    assert given == [[[0, 0, 0, 2, 0], [0, 2, 0, 0, 0], pytest.approx([0, 0.1, 0.1, 0.9, 0.9])], draws]
    assert (moved.p, apart.p, moved.usual, apart.usual) == (0.1, 0.2, 0.3, 0.4)
    assert (moved.effect, apart.effect) == (pytest.approx(0.8), pytest.approx(1.0))
