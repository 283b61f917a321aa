"""Alarms of drift and silence at their bounds: the value itself, and a step to either side."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from monitoring.drift.assess import assess, holm
from monitoring.drift.sample import Sample
from monitoring.drift.signals import Signal
from monitoring.drift.silence import Silence, silence

pytestmark = pytest.mark.xdist_group("scipy")  # its import takes more than a second

NOW = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("p", "effect", "alarm"),
    [
        (0.005, 0.05, True),  # the level, and the smallest change that matters
        (math.nextafter(0.005, 1), 0.05, False),
        (0.005, math.nextafter(0.05, 0), False),
        (0.0, 1.0, True),
    ],
)
def test_a_signal_alarms_at_its_level_and_at_its_floor(p: float, effect: float, alarm: bool) -> None:
    (found,) = holm([Signal("s", 0, 0, effect, 0.05, p)], 0.005)
    assert (found.alarm, found.adjusted) == (alarm, p)


def test_holm_orders_by_p_and_never_exceeds_one() -> None:
    found = holm([Signal("a", 0, 0, 1, 0, 0.9), Signal("b", 0, 0, 1, 0, 0.01)], 0.05)
    assert [one.adjusted for one in found] == [0.9, 0.02]
    assert [one.alarm for one in found] == [False, True]
    assert holm([Signal("a", 0, 0, 1, 0, 0.6), Signal("b", 0, 0, 1, 0, 0.7)], 0.05)[1].adjusted == 1.0


@pytest.mark.parametrize(
    ("size", "reference", "compared"), [(30, 30, True), (29, 30, False), (30, 29, False)]
)
def test_thirty_captures_in_each_are_enough(size: int, reference: int, compared: bool) -> None:
    window, before = Sample.of(["a"] * size, [0.9] * size), Sample.of(["a"] * reference, [0.9] * reference)
    found = assess(before, window)
    assert (bool(found.signals), bool(found.note)) == (compared, not compared)
    assert (found.window_size, found.reference_size) == (size, reference)


def counts(
    days: int, hourly: int, quiet: int, empty: frozenset[datetime] = frozenset()
) -> dict[datetime, int]:
    """Captures of each hour of so many days and of the stretch that is compared, but for the last `quiet` hours."""
    end = NOW.replace(minute=0)
    hours = [end - i * HOUR for i in range(quiet + 1, quiet + 1 + 24 * days)]
    return {hour: hourly for hour in hours if hour not in empty}


def test_the_hour_of_the_check_and_one_with_captures_before_it_are_not_silent() -> None:
    assert silence(counts(10, 50, 0), NOW, level=1e-4).hours == 0
    found = silence(counts(10, 50, 1), NOW, level=1e-4)
    assert (found.hours, found.expected, found.alarm) == (1, 50.0, True)
    # A capture within the hour of the check ends no silence of the hours before.
    within = counts(10, 50, 1) | {NOW.replace(minute=0): 5}
    for now in (NOW, NOW.replace(second=59), NOW.replace(microsecond=9)):
        assert silence(within, now, level=1e-4).hours == 1


@pytest.mark.parametrize(("days", "alarm"), [(7, True), (6, False)])
def test_seven_earlier_days_are_compared(days: int, alarm: bool) -> None:
    found = silence(counts(days, 50, 1), NOW, level=1e-4)
    assert found.alarm is alarm
    assert ("fewer than 7 earlier days" in found.sentence) is not alarm


def test_28_days_are_compared_and_no_older_one() -> None:
    silent = NOW.replace(minute=0) - HOUR
    older, oldest = frozenset({silent - timedelta(days=28)}), frozenset({silent - timedelta(days=29)})
    assert not silence(counts(40, 50, 1, older), NOW, level=1e-4).alarm, "it was as silent on that day"
    assert silence(counts(40, 50, 1, oldest), NOW, level=1e-4).alarm


def test_silence_alarms_at_its_level() -> None:
    found = silence(counts(10, 5, 1), NOW, level=1e-4)
    assert 0 < found.p < 1
    assert silence(counts(10, 5, 1), NOW, level=found.p).alarm
    assert not silence(counts(10, 5, 1), NOW, level=float(np.nextafter(found.p, 0))).alarm


def test_what_is_no_silence_is_nothing_that_could_be_unusual() -> None:
    nothing = Silence(0, 0.0, 1.0, False, "no captures yet")
    assert silence({}, NOW, level=1.0) == silence({NOW - 3 * HOUR: 0}, NOW, level=1.0) == nothing
    recent = {NOW.replace(minute=0) - HOUR: 1}
    hour = f"from {NOW - HOUR:%H}:00 UTC"
    assert silence(recent, NOW, level=1.0) == Silence(
        0, 0.0, 1.0, False, f"captures arrived in the last hour that was checked, {hour}"
    )
    few = silence(counts(6, 50, 1), NOW, level=1.0)
    assert (few.hours, few.expected, few.p, few.alarm) == (1, 0.0, 1.0, False)
    same = silence(counts(10, 50, 1, frozenset({NOW.replace(minute=0) - 25 * HOUR})), NOW, level=1.0)
    assert (same.hours, same.expected, same.p, same.alarm) == (1, 45.0, 1.0, False)


def test_the_stretch_that_is_compared_ends_a_day_before_and_has_every_hour_once() -> None:
    # GIVEN 24 silent hours, and captures in one hour of each day before
    end = NOW.replace(minute=0)
    for hour in (1, 24):  # the last of the stretch, and its first
        found = silence({end - timedelta(days=day) - hour * HOUR: 7 for day in range(1, 12)}, NOW, level=1e-4)
        # THEN each of the days before counts once
        assert (found.expected, found.hours >= 24) == (7.0, True)


@pytest.mark.parametrize("days", [[3, 5, 2, 9, 4, 6, 3, 8, 2, 5], [1] * 28])
def test_the_probability_is_that_of_the_law_with_the_upper_end_of_its_variance(days: list[int]) -> None:
    from scipy import stats

    # GIVEN days that differ in traffic, or do not
    end = NOW.replace(minute=0)
    same = {end - HOUR - timedelta(days=day): count for day, count in enumerate(days, 1)}
    filled = {end - 2 * HOUR: 1}  # the last capture
    found = silence(same | filled, NOW, level=1e-4)
    # THEN p is SciPy's, to the error of the approximation of chi-square
    mean, variance, freedom = float(np.mean(days)), float(np.var(days, ddof=1)), len(days) - 1
    upper = max(variance, mean) * freedom / stats.chi2.ppf(0.05, freedom)
    size = mean**2 / (upper - mean)
    assert found.expected == mean
    assert found.p == pytest.approx(float(stats.nbinom.pmf(0, size, size / (size + mean))), rel=0.006)
