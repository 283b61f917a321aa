"""Which hours a check of drift compares, with which reference, and what it reports."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from dropsort.contract.statistics import wilson
from monitoring.aggregates.cells import Aggregate, Cell, CellKey, Series
from monitoring.drift.assess import Assessment, assess, estimated_accuracy
from monitoring.drift.sample import Moments, Sample
from monitoring.drift.signals import (
    Signal,
)
from monitoring.drift.silence import Silence
from monitoring.drift.windows import DriftCheck, check, first_reference, hour_of, hourly, moment_of, sample
from tests.unit.monitoring.test_drift_signals import labelled

HOUR = timedelta(hours=1)
START = datetime(2026, 11, 1, tzinfo=UTC)


def put(
    total: Aggregate, hour: int, count: int, label: str = "a", model: str = "", value: float = 0.95
) -> None:
    """So many captures of an hour after `START`."""
    key = hour_of(START + hour * HOUR)
    total.cells[CellKey(key, "bikes", "main", label, model)] = Cell(
        count=count, histogram={int(value * 1000): count}
    )
    total.volume(Series(key, "bikes", "main")).records += count


def test_hours_are_keys_in_utc() -> None:
    moment = datetime.fromisoformat("2026-11-21T10:59:59+02:00")
    assert hour_of(moment) == "2026-11-21T08:00:00Z"
    assert moment_of("2026-11-21T08:00:00Z") == datetime(2026, 11, 21, 8, tzinfo=UTC)


def test_a_sample_has_the_hours_from_its_start_to_before_its_end() -> None:
    total = Aggregate()
    for hour in range(4):
        put(total, hour, 10**hour)
    total.cells[CellKey("unknown", "bikes", "main", "a")] = Cell(count=10_000, histogram={5: 10_000})
    total.volume(Series("unknown", "bikes", "main")).records += 10_000
    first, last = hour_of(START + HOUR), hour_of(START + 3 * HOUR)
    assert sample(total, first, last).count == 110
    assert sample(total, first).count == 1110
    assert sample(total, None, last).count == 111
    assert sample(total).count == 11_111
    assert sample(total).labels == {"a": 11_111}
    assert (sample(total).familiarity, sample(total).images) == (None, {})
    # Sums of images come in units of a cell's integers.
    for label, size in (("a", 1), ("b", 2)):
        sums, squares = [1, 1, 1, 1000, 2000], [1, 1, 1, 2_000_000, 5_000_000]
        total.cell(CellKey(first, "bikes", "main", label)).merge(
            Cell(
                familiarity_histogram={7: size, 6 + size: size},
                images=size,
                image_sums=[size * one for one in sums],
                image_squares=[size * one for one in squares],
            )
        )
    found = sample(total, first, hour_of(START + 2 * HOUR))
    assert found.familiarity is not None
    assert (found.familiarity[7], found.familiarity[8], found.familiarity.sum()) == (3, 2, 5)
    assert found.images == {
        "width": Moments(3, 3, 3), "height": Moments(3, 3, 3), "bytes": Moments(3, 3, 3),
        "brightness": Moments(3, 3.0, 6.0), "sharpness": Moments(3, 6.0, 15.0),
    }  # fmt: skip
    assert hourly(total) == {START + hour * HOUR: 10**hour for hour in range(4)}


@pytest.mark.parametrize(
    ("hours", "each", "until"),
    [
        (24, 42, 24),
        (24, 41, None),
        (23, 100, None),
        (30, 42, 24),
        (30, 35, 29),
        (25, 40, 25),
        (24, 1000 / 24, 24),
    ],
)
def test_the_first_reference_has_a_thousand_captures_of_a_day(
    hours: int, each: float, until: int | None
) -> None:
    total = Aggregate()
    for hour in range(hours):
        put(total, hour, math.ceil(each) if hour < 1000 - 24 * int(each) else int(each), model="one")
    found = first_reference(total)
    assert (found and found.until) == (until and hour_of(START + until * HOUR))
    if found:
        assert found.model == "one"
        assert found.sample.count >= 1000
    assert first_reference(Aggregate()) is None


def test_one_capture_less_than_a_thousand_is_no_reference() -> None:
    total = Aggregate()
    put(total, 0, 999)
    put(total, 24, 0)
    assert first_reference(total) is None
    put(total, 24, 1)
    assert first_reference(total) is not None


def test_the_windows_of_a_check_are_the_complete_hours_of_a_day_and_the_latest_300() -> None:
    # GIVEN two days, 25 captures per hour and in the hour of the check, which is not over
    total = Aggregate()
    for hour in range(49):
        put(total, hour, 25)
    now = START + 48 * HOUR + timedelta(minutes=5)
    found = check(total, now, threshold=0.93, reference=labelled(a=1000), level=0.01)
    assert (found.at, found.day.window_size, found.day.level, found.model) == (now, 24 * 25, 0.01, "")
    assert found.recent is not None
    assert (found.recent.window_size, found.recent_hours) == (300, 12)
    # WHEN the reference ends within the day THEN the windows begin after it
    later = check(total, now, threshold=0.93, reference=labelled(a=1000), since=hour_of(START + 40 * HOUR))
    assert (later.day.window_size, later.recent, later.recent_hours) == (200, None, 8)
    assert later.day.level == pytest.approx(0.005 / 72)
    # AND without one it is made of the first day
    own = check(total, now, threshold=0.93)
    assert own.day.reference_size == 40 * 25, "a thousand captures"
    assert own.day.window_size == 8 * 25
    for hour in range(36, 48, 2):  # without captures in every other hour the window is longer
        for removed in (total.cells, total.volumes):
            for key in [key for key in removed if key.hour == hour_of(START + hour * HOUR)]:  # type: ignore[attr-defined]
                del removed[key]  # type: ignore[attr-defined]
    gaps = check(total, now, threshold=0.93, reference=labelled(a=1000))
    assert (gaps.recent_hours, gaps.recent and gaps.recent.window_size) == (18, 300)
    few = check(total, START + 24 * HOUR, threshold=0.93, reference=labelled(a=29))
    assert (few.day.window_size, few.day.signals) == (600, ())


def test_a_check_is_of_the_current_model_and_silence_of_all() -> None:
    total = Aggregate()
    for hour in range(24):
        put(total, hour, 20, model="one" if hour < 20 else "two")
    traffic = {START - HOUR * hour: 50 for hour in range(1, 24 * 20)}
    now = START + 24 * HOUR + timedelta(minutes=1)
    found = check(total, now, threshold=0.93, reference=labelled(a=100))
    assert (found.model, found.day.window_size, found.silence.hours) == ("two", 80, 0)
    silent = check(total, now, threshold=0.93, reference=labelled(a=100), traffic=traffic)
    assert (silent.silence.hours, silent.silence.alarm) == (24, True)
    assert silent.alarms[-1] == silent.silence.sentence


def test_a_signal_that_alarms_in_both_windows_is_reported_once() -> None:
    one, other = (
        Signal(name, 0, 0, 1, 0, p, alarm=True, sentence=f"{name} {p}")
        for name, p in (("a", 0.2), ("b", 0.1))
    )
    quiet = replace(one, alarm=False, name="c")
    day, recent = (
        Assessment(1, 1, 1, (one, other, quiet)),
        Assessment(1, 1, 1, (replace(one, sentence="recent"),)),
    )
    nothing = Silence(0, 0.0, 1.0, False, "no silence")
    assert [signal.name for signal in day.alarms] == ["b", "a"], "the surest first"
    assert DriftCheck(START, day, recent, 1, nothing).alarms == ["b 0.1", "recent"]
    assert DriftCheck(START, day, None, 1, replace(nothing, alarm=True)).alarms == [
        "b 0.1",
        "a 0.2",
        "no silence",
    ]
    assert np.isclose(day.level, 1)


def test_an_assessment_as_json_has_every_figure() -> None:
    before, now = labelled(a=60, b=40), labelled(a=90, c=10)
    found = assess(before, now, level=0.01)
    accuracy, interval = estimated_accuracy(now)
    document = found.to_json()
    signals = document.pop("signals")
    assert document == {
        "window_size": 100, "reference_size": 100, "level": 0.01, "note": "", "alarms": [one.name for one in found.alarms],
        "estimated_accuracy": accuracy, "estimated_accuracy_interval": list(interval),
        "label_shares": {
            "a": {"share": 0.9, "interval": list(wilson(90, 100)), "reference": 0.6},
            "b": {"share": 0.0, "interval": list(wilson(0, 100)), "reference": 0.4},
            "c": {"share": 0.1, "interval": list(wilson(10, 100)), "reference": 0.0},
        },
    }  # fmt: skip
    assert found.alarms
    assert signals == [
        {
            "name": one.name, "value": one.value, "reference": one.reference, "effect": one.effect, "floor": one.floor,
            "usual": one.usual, "p": one.p, "adjusted_p": one.adjusted, "alarm": one.alarm, "sentence": one.sentence,
        }
        for one in found.signals
    ]  # fmt: skip
    few = assess(labelled(a=1), labelled(a=29))
    assert few.note == "29 captures here, 1 in the reference: too few to say anything (needs 30 in each)"
    assert few.shares == {"a": (1.0, wilson(29, 29), 1.0)}
    assert (few.estimated_accuracy, few.estimated_accuracy_interval) == estimated_accuracy(labelled(a=29))
    assert assess(Sample(), Sample()).shares == {}
    assert assess(labelled(a=1), Sample()).shares == {"a": (0.0, (0, 1), 1.0)}


def test_a_check_compares_with_the_thresholds_that_are_given() -> None:
    total = Aggregate()
    for hour in range(24):
        put(total, hour, 50, value=0.95)
    for cell in total.cells.values():
        cell.familiarity_histogram = {40: cell.count}
    reference = sample(total)
    for threshold, familiarity, shares in ((0.95, 0.41, (0.0, 1.0)), (0.951, 0.40, (1.0, 0.0))):
        found = check(
            total,
            START + 24 * HOUR,
            threshold=threshold,
            familiarity_threshold=familiarity,
            reference=reference,
        )
        assert found.recent is not None
        for part in (found.day, found.recent):
            values = {signal.name: signal.value for signal in part.signals}
            assert (values["LowConfidenceRate"], values["UnfamiliarRate"]) == shares
    assert reference.familiarity is not None
    assert (reference.confidence.dtype, reference.familiarity.dtype) == (np.int64, np.int64)
