"""Detects that captures stopped: the hours since the last one, compared with the same hours of earlier days.

Traffic is not Poisson: nights and weekends are quiet, and hours of one day rise and fall together. So the unit is the
whole quiet stretch: what the reference held in the stretch of the same length at the same time on each earlier day. If
any of those was empty too, silence is normal at that time and there is no alarm. Otherwise the probability of an empty
stretch comes from a negative binomial law with their mean and, taken at the upper end of its 95 % interval, their
variance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from monitoring.drift.statistics import negative_binomial_cdf

DAYS = 28  # of history that are compared
FEWEST_DAYS = 7  # a weekend has to be in it
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Silence:
    """How long nothing was captured, and how likely that was."""

    hours: int  # complete hours without a capture, up to the time of the check
    expected: float  # captures in such a stretch, by the earlier days
    p: float
    alarm: bool
    sentence: str


def silence(counts: Mapping[datetime, int], now: datetime, *, level: float) -> Silence:
    """Check whether silence up to ``now`` is unusual.

    Parameters
    ----------
    counts
        Captures by the hour they belong to (aware, UTC, on the hour); hours without any may be missing.
    now
        The time of the check, UTC; the hour it falls in is incomplete and not counted.
    level
        Probability of an alarm if traffic goes on as it did.
    """
    end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    active = [hour for hour, count in counts.items() if count > 0 and hour < end]
    if not active:
        return Silence(0, 0.0, 1.0, False, "no captures yet")
    hours = (end - max(active)) // HOUR - 1
    if hours < 1:
        hour = f"from {max(active):%H:%M} UTC"
        return Silence(0, 0.0, 1.0, False, f"captures arrived in the last hour that was checked, {hour}")
    first, start = min(active), end - hours * HOUR
    same = []
    for day in range(math.ceil(hours / 24), DAYS + 1):
        begin = start - timedelta(days=day)
        if begin < first:
            break
        same.append(sum(counts.get(begin + i * HOUR, 0) for i in range(hours)))
    text = f"no captures for {hours} h"
    if len(same) < FEWEST_DAYS:
        return Silence(
            hours, 0.0, 1.0, False, f"{text}; fewer than {FEWEST_DAYS} earlier days to compare with"
        )
    mean = float(np.mean(same))
    if min(same) == 0:
        return Silence(hours, mean, 1.0, False, f"{text}, as on an earlier day at this time")
    p = negative_binomial_cdf(0, mean, _size(mean, float(np.var(same, ddof=1)), len(same)))
    return Silence(hours, mean, p, p <= level, f"{text}, where {mean:.0f} were to be expected (p = {p:.1g})")


def _size(mean: float, variance: float, days: int) -> float:
    """Size of the negative binomial law, from the upper end of the variance's interval; inf if it is Poisson's."""
    # Wilson and Hilferty's approximation of the 5th percentile of chi-square, divided by its degrees of freedom.
    freedom = days - 1
    low = (1 - 2 / (9 * freedom) - 1.6448536 * math.sqrt(2 / (9 * freedom))) ** 3
    upper = max(variance, mean) / max(low, 1e-3)
    excess = upper - mean
    return mean * mean / excess if excess > 0 else math.inf
