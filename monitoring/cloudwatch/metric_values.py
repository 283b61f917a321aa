"""Values of the monitoring function's metrics, computed from what a run found."""

from __future__ import annotations

import math

from dropsort.contract import metrics as names
from monitoring.aggregates.cells import Aggregate, Health
from monitoring.drift.signals import LABEL_SHARES
from monitoring.drift.windows import DriftCheck, sample
from monitoring.settings import MonitoringSettings

_DISTANCES = (
    (names.LABEL_SHARE_CHANGE, LABEL_SHARES),
    (names.CONFIDENCE_WASSERSTEIN, names.CONFIDENCE_WASSERSTEIN),
    (names.CONFIDENCE_JENSEN_SHANNON, names.CONFIDENCE_JENSEN_SHANNON),
)


def metric_values(
    settings: MonitoringSettings, health: Health, before: Health, day: Aggregate, found: DriftCheck
) -> dict[str, float]:
    """Values by metric name, except cost and captured share; NaN where nothing is known.

    Parameters
    ----------
    health, before
        Totals after and before this run.
    day
        The current model's captures of the last 24 hours.
    """
    signals = {s.name: s for s in found.day.signals}
    recent = {s.name for s in found.recent.signals if s.alarm} if found.recent else set()
    whole = sample(day)
    unfamiliar = math.nan
    if whole.familiarity is not None:
        cut = round(settings.familiarity_threshold * len(whole.familiarity))
        unfamiliar = float(whole.familiarity[:cut].sum() / whole.familiarity.sum())
    return {
        names.CAPTURED: health.records - before.records,
        names.BAD_LINES: health.bad_lines - before.bad_lines,
        names.DUPLICATES: health.duplicates - before.duplicates,
        names.MEAN_CONFIDENCE: whole.mean_confidence,
        names.LOW_CONFIDENCE_RATE: whole.below(settings.threshold) / whole.count if whole.count else math.nan,
        names.UNFAMILIAR_RATE: unfamiliar,
        names.ESTIMATED_ACCURACY: found.day.estimated_accuracy,
        **{metric: signals[name].effect if name in signals else math.nan for metric, name in _DISTANCES},
        names.DRIFT_ALARMS: len({s.name for s in found.day.signals if s.alarm} | recent),
        names.SILENT_HOURS: found.silence.hours,
        names.SILENCE_ALARM: int(found.silence.alarm),
    }
