"""Drift: what is an alarm, and above all what is not."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks.drift import SAME, Population, alarmed_days, power, put_hour, sample
from monitoring.aggregates.cells import Aggregate
from monitoring.drift.assess import assess, estimated_accuracy, holm, level_of_a_window
from monitoring.drift.reference import read_reference
from monitoring.drift.sample import Moments, Sample
from monitoring.drift.signals import FEWEST, Signal
from monitoring.drift.silence import silence
from monitoring.drift.windows import HOUR, check, first_reference, hour_of, moment_of
from monitoring.drift.windows import sample as sample_of_hours
from monitoring.errors import MonitoringError

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def test_levels_add_up_to_one_day_in_two_hundred() -> None:
    """GIVEN 24 checks of three parts WHEN their levels are added THEN a day alarms falsely once in two hundred at most."""
    assert 24 * 3 * level_of_a_window() == pytest.approx(0.005)


@pytest.mark.parametrize("size", [0, 1, FEWEST - 1])
def test_a_small_window_never_alarms(size: int) -> None:
    """GIVEN a window that differs utterly but is small WHEN assessed THEN it says that it is too small."""
    window = Sample.of(["other"] * size, [0.1] * size)

    found = assess(sample(SAME, np.random.default_rng(1), 1000), window)

    assert not found.alarms
    assert "too few" in found.note


def test_few_alarms_without_change() -> None:
    """GIVEN 25 simulated days of an office without any change WHEN each hour is checked THEN hardly a day alarms."""
    # `make bench-drift`: thousands of days
    assert sum(map(bool, alarmed_days("office:500", 1000, 25, seed=11))) <= 1


@pytest.mark.parametrize(
    ("population", "size", "signal"),
    [
        (Population(share=0.7), 400, "LabelShares"),
        (Population(sure=0.6), 400, "LowConfidenceRate"),
        (Population(sure=0.6), 400, "ConfidenceWasserstein"),
        (Population(unfamiliar=0.22), 400, "UnfamiliarRate"),
        (Population(brightness=165), 400, "ImageBrightness"),
    ],
)
def test_a_change_is_found(population: Population, size: int, signal: str) -> None:
    """GIVEN a changed population WHEN a window of some hundred images is assessed THEN its signal alarms, and is explained."""
    random = np.random.default_rng(5)

    found = assess(sample(SAME, random, 1000), sample(population, random, size), threshold=0.93)

    alarm = {s.name: s for s in found.alarms}[signal]
    assert "in the reference" in alarm.sentence
    assert alarm.adjusted <= found.level


def test_the_stated_power() -> None:
    """GIVEN labels that go from 50 to 70 % WHEN 300 images are seen THEN nine of ten windows alarm (docs/concepts/drift.md)."""
    assert power(Population(share=0.7), 1000, 300, tries=20, seed=3) >= 0.75


def test_a_small_change_never_alarms_however_sure() -> None:
    """GIVEN a million captures and a change of one point WHEN assessed THEN p is tiny and nothing alarms."""
    confidence = np.zeros(1000, np.int64)
    confidence[990] = 1_000_000
    before = Sample({"a": 500_000, "b": 500_000}, confidence)
    now = Sample({"a": 510_000, "b": 490_000}, confidence)

    (shares,) = (s for s in assess(before, now).signals if s.name == "LabelShares")

    assert shares.adjusted < 1e-6
    assert not shares.alarm


def test_a_new_label_alarms() -> None:
    """GIVEN labels that the reference never had WHEN assessed THEN label shares alarm and name one of them."""
    random = np.random.default_rng(2)
    window = Sample.of(["scooter"] * 60 + ["bicycle"] * 240, random.beta(60, 1, 300) * 0.5 + 0.5)

    found = assess(sample(SAME, random, 1000), window)

    assert found.alarms[0].name == "LabelShares"
    assert found.shares["scooter"][2] == 0


def test_holm_is_the_textbooks() -> None:
    """GIVEN p-values 0.01, 0.04, 0.03 WHEN corrected by Holm THEN they are 0.03, 0.06, 0.06."""
    signals = [Signal("s", 0, 0, 1, 0, p) for p in (0.01, 0.04, 0.03)]

    assert [s.adjusted for s in holm(signals, 0.05)] == pytest.approx([0.03, 0.06, 0.06])
    assert [s.alarm for s in holm(signals, 0.05)] == [True, False, False]


def test_constant_images_that_change_are_an_alarm() -> None:
    """GIVEN images of one width, and then of another WHEN assessed THEN the width alarms; the same width never does."""
    random = np.random.default_rng(4)
    before = sample(SAME, random, 500)
    before = Sample(before.labels, before.confidence, None, {"width": Moments(500, 500 * 32, 500 * 32**2)})
    same = Sample(before.labels, before.confidence, None, {"width": Moments(400, 400 * 32, 400 * 32**2)})
    other = Sample(before.labels, before.confidence, None, {"width": Moments(400, 400 * 64, 400 * 64**2)})

    assert not assess(before, same).alarms
    assert [s.name for s in assess(before, other).alarms] == ["ImageWidth"]


def test_estimated_accuracy_is_the_mean_confidence() -> None:
    """GIVEN confidences WHEN accuracy is estimated THEN it is their mean, within an interval; of nothing it is NaN."""
    value, (low, high) = estimated_accuracy(Sample.of(["a"] * 100, [0.9] * 100))

    assert value == pytest.approx(0.9005)
    assert low < 0.9 < high
    assert math.isnan(estimated_accuracy(Sample())[0])


def test_an_assessment_is_json() -> None:
    """GIVEN assessments with and without signals WHEN written THEN they are strict JSON."""
    random = np.random.default_rng(6)
    for size in (5, 300):
        found = assess(sample(SAME, random, 1000), sample(SAME, random, size)).to_json()
        assert json.loads(json.dumps(found, allow_nan=False))["window_size"] == size


class TestSample:
    """Counts of a window."""

    def test_samples_add_up(self) -> None:
        """GIVEN two samples WHEN added THEN it is the sample of both."""
        random = np.random.default_rng(8)
        a, b = sample(SAME, random, 30), sample(SAME, random, 50)

        assert (a + b).count == 80
        assert ((a + b).confidence == a.confidence + b.confidence).all()
        assert (a + b).images["brightness"].count == 80
        assert Sample().count == 0

    def test_the_threshold_itself_is_not_below(self) -> None:
        """GIVEN confidences at, above and below 0.93 WHEN counted THEN only the last is below."""
        assert Sample.of(["a"] * 3, [0.93, 0.95, 0.9299]).below(0.93) == 1

    def test_a_reference_is_read_back(self, tmp_path: Path) -> None:
        """GIVEN a sample written as JSON WHEN read THEN it is the same; a list of predictions is a reference too."""
        given = sample(SAME, np.random.default_rng(9), 40)
        (tmp_path / "a.json").write_text(json.dumps(given.to_json()))
        (tmp_path / "b.json").write_text(json.dumps([{"label": "x", "confidence": 0.5, "familiarity": 0.2}]))

        found = read_reference(tmp_path / "a.json")

        assert found.labels == given.labels
        assert (found.confidence == given.confidence).all()
        assert found.images == given.images
        assert read_reference(tmp_path / "b.json").count == 1

    @pytest.mark.parametrize(
        "text",
        ["", "{", "1", "[1]", "{}", '[{"label": "a"}]', '[{"label": "a", "confidence": 2}]', "[" * 100_000]
        + [json.dumps({"schema": "dropsort-reference/1", "labels": labels, "confidence": bins}) for labels, bins in
           (({"a": 1}, [1]), ({"a": 2}, [1] + [0] * 999), ([], [0] * 1000), ({"a": -1}, [-1] + [0] * 999),
            ({"a": 2, "b": -1}, [1] + [0] * 999), ({"a": 0}, [2**62] * 4 + [0] * 996), ({"a": 1}, [10**30] + [0] * 999))]
        + [json.dumps({"schema": "dropsort-reference/1", "labels": {}, "confidence": [0] * 1000, "images": {"size": moments}})
           for moments in ([-1, 1, 1], [1, float("nan"), 1], [1, 1, float("inf")], [10**400, 1, 1], [1, 10**400, 1], [1, 2],
                           [2**63, 1, 1])],
    )  # fmt: skip
    def test_what_is_no_reference_is_named(self, tmp_path: Path, text: str) -> None:
        """GIVEN a file that is none WHEN read THEN the error names it and says what to give; an empty one is empty."""
        path = tmp_path / "reference.json"
        path.write_text(text)

        if '"labels": []' in text:
            assert read_reference(path).count == 0
            return
        with pytest.raises(MonitoringError, match=r"reference\.json"):
            read_reference(path)

    @pytest.mark.parametrize("count", [0, 2**63 - 1])
    def test_images_are_counted_from_none_to_the_largest_integer(self, tmp_path: Path, count: int) -> None:
        """GIVEN the bounds of a count of images WHEN read THEN it is a reference."""
        document = Sample.of(["a"], [0.5]).to_json() | {"images": {"size": [count, 0.0, 0.0]}}
        (tmp_path / "reference.json").write_text(json.dumps(document))
        assert read_reference(tmp_path / "reference.json").images["size"].count == count

    def test_a_missing_reference_is_named(self, tmp_path: Path) -> None:
        """GIVEN no such file WHEN read THEN the error names it."""
        with pytest.raises(MonitoringError, match=r"gone\.json"):
            read_reference(tmp_path / "gone.json")


class TestSilence:
    """Captures that stop."""

    NOW = MONDAY + timedelta(days=10, hours=14, minutes=5)

    def counts(self, hourly: float = 50, quiet: int = 3, seed: int = 0) -> dict[datetime, int]:
        random = np.random.default_rng(seed)
        end = self.NOW.replace(minute=0) - quiet * HOUR
        hours = [MONDAY + i * HOUR for i in range(24 * 11)]
        return {h: int(random.poisson(hourly)) for h in hours if h < end}

    def test_busy_captures_that_stop_alarm(self) -> None:
        """GIVEN 50 captures per hour for ten days WHEN three hours are empty THEN it alarms and says how many were due."""
        found = silence(self.counts(), self.NOW, level=1e-4)

        assert found.alarm
        assert found.hours == 3
        assert found.expected == pytest.approx(150, rel=0.2)

    @pytest.mark.parametrize("quiet", [0, 1, 3, 12])
    def test_rare_captures_do_not(self, quiet: int) -> None:
        """GIVEN one capture in five hours WHEN some hours are empty THEN nothing alarms."""
        assert not silence(self.counts(hourly=0.2, quiet=quiet), self.NOW, level=1e-4).alarm

    def test_the_current_hour_does_not_count(self) -> None:
        """GIVEN captures up to the last complete hour WHEN the current one is empty THEN there is no silence."""
        found = silence(self.counts(quiet=0), self.NOW, level=1e-4)

        assert (found.hours, found.alarm) == (0, False)

    def test_a_night_that_is_always_quiet_is_no_alarm(self) -> None:
        """GIVEN nights without captures WHEN it is night again THEN nothing alarms, and at noon it does."""
        counts = {h: n for h, n in self.counts(quiet=0).items() if 7 <= h.hour < 19}
        night = self.NOW.replace(hour=3)

        assert not silence({h: n for h, n in counts.items() if h < night}, night, level=1e-4).alarm
        stopped = {h: n for h, n in counts.items() if h < self.NOW - 4 * HOUR}
        assert silence(stopped, self.NOW, level=1e-4).alarm

    def test_weekends(self) -> None:
        """GIVEN an office without weekends WHEN it is Sunday of the second week THEN nothing alarms."""
        counts = {h: n for h, n in self.counts(quiet=0).items() if h.weekday() < 5}
        sunday = MONDAY + timedelta(days=13, hours=15)
        more = {MONDAY + timedelta(days=11, hours=i): 40 for i in range(24)}

        assert not silence(counts | more, sunday, level=1e-4).alarm

    def test_a_short_history_is_no_alarm(self) -> None:
        """GIVEN three days of history WHEN captures stop THEN it says that there is nothing to compare with."""
        short = {h: n for h, n in self.counts().items() if h > self.NOW - timedelta(days=3)}

        found = silence(short, self.NOW, level=1e-4)

        assert not found.alarm
        assert "fewer than 7" in found.sentence

    def test_no_captures_at_all(self) -> None:
        """GIVEN nothing WHEN silence is computed THEN nothing alarms."""
        assert silence({}, self.NOW, level=1e-4).sentence == "no captures yet"


class TestWindows:
    """Which hours a check is about."""

    def test_the_first_day_is_the_reference(self) -> None:
        """GIVEN 100 captures per hour WHEN the reference is sought THEN it is the first 24 hours."""
        total = Aggregate()
        random = np.random.default_rng(3)
        for i in range(40):
            put_hour(total, hour_of(MONDAY + i * HOUR), SAME, random, 100)

        found = first_reference(total)

        assert found is not None
        assert found[0].count == 2400
        assert found[1] == hour_of(MONDAY + 24 * HOUR)
        found_check = check(total, MONDAY + 40 * HOUR, threshold=0.93)
        assert found_check.day.window_size == 1600
        assert found_check.recent is not None
        assert found_check.recent.window_size == 300
        assert found_check.recent_hours == 3

    def test_too_few_captures_are_no_reference(self) -> None:
        """GIVEN some captures WHEN the reference is sought THEN there is none, and a check reports it."""
        total = Aggregate()
        put_hour(total, hour_of(MONDAY), SAME, np.random.default_rng(3), 100)

        assert first_reference(total) is None
        assert not check(total, MONDAY + HOUR, threshold=0.93).alarms
        assert first_reference(Aggregate()) is None

    def test_samples_of_hours_are_what_was_put_there(self) -> None:
        """GIVEN three hours WHEN two are sampled THEN their counts are there, image statistics in their own units."""
        total = Aggregate()
        random = np.random.default_rng(3)
        for i in range(3):
            put_hour(total, hour_of(MONDAY + i * HOUR), SAME, random, 50)

        found = sample_of_hours(total, hour_of(MONDAY + HOUR), hour_of(MONDAY + 3 * HOUR))

        assert found.count == sum(found.labels.values()) == 100
        assert found.images["width"].mean == 32
        assert 80 < found.images["brightness"].mean < 140
        assert found.familiarity is not None
        assert moment_of(hour_of(MONDAY + timedelta(minutes=59))) == MONDAY
