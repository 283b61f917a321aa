"""The monitoring function, run every hour: new captures into aggregates, a drift check, and metrics for CloudWatch.

Settings are environment variables (`monitoring.settings`); captures are below ``captures/`` of the bucket, and everything
that is stored is below ``monitoring/``: the aggregates' state and the documents of `monitoring.history`. A run that ends
half-way changes only what it committed, and the next one continues from there.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dropsort.contract import metrics as names
from dropsort.contract.keys import CAPTURES
from dropsort.contract.reference import STATE_PREFIX
from monitoring.aggregates.cells import Aggregate, Health
from monitoring.aggregates.models import of_model
from monitoring.cloudwatch.emf import emf
from monitoring.cloudwatch.metric_values import metric_values
from monitoring.cloudwatch.usage import counted
from monitoring.drift.reference import Reference
from monitoring.drift.sample import Sample
from monitoring.drift.windows import DAY, HOUR, DriftCheck, check, hour_of, sample
from monitoring.errors import MonitoringError
from monitoring.history import History
from monitoring.incremental.run import load, run
from monitoring.prices import ResourceUse, cost
from monitoring.settings import MonitoringSettings
from monitoring.storage import open_store
from monitoring.storage.documents import JsonDocuments
from monitoring.storage.state import AggregationState

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_s3 import S3Client

LATE = timedelta(hours=6)  # a capture file may come so long after its hour; most come a few minutes late
# The same for the run of midnight: listing a whole day every hour would take most of the time
LATE_AT_MIDNIGHT = timedelta(days=1)
FEWEST_INVOCATIONS = 50  # that should be captured, below which their captured share means nothing


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point: prints the metrics and returns what was found.

    Parameters
    ----------
    event
        ``time``, if any, is the time of the check, such as 2026-11-21T09:05:00Z.
    context
        Lambda's context, of which the remaining time is used.
    """
    import boto3  # here, so that everything but the handler works without it

    settings = MonitoringSettings.of(os.environ)
    seconds = context.get_remaining_time_in_millis() / 1000 if context is not None else 300.0
    now = _now(event)
    s3, cloudwatch = boto3.client("s3"), boto3.client("cloudwatch")
    lines, response = observe(settings, now, s3=s3, cloudwatch=cloudwatch, seconds=seconds)
    for line in lines:
        print(line)
    return response


def observe(
    settings: MonitoringSettings,
    now: datetime,
    *,
    s3: S3Client,
    cloudwatch: CloudWatchClient,
    seconds: float = 300.0,
) -> tuple[list[str], dict[str, Any]]:
    """Aggregate new captures and check for drift and silence.

    Parameters
    ----------
    now
        The time of the check (aware).
    s3, cloudwatch
        boto3 clients.
    seconds
        Time available; six tenths of it are for new captures.

    Returns
    -------
    tuple
        Lines of embedded metric format, and the response of the function.
    """
    state = f"s3://{settings.bucket_name}/{STATE_PREFIX}"
    history = History(JsonDocuments(s3, settings.bucket_name, STATE_PREFIX), state)
    before = _health(state)
    begun, read = datetime.now(UTC), history.read_until() if before is not None else None
    late = LATE_AT_MIDNIGHT if now.hour == 0 else LATE
    days = None if read is None else (begun - read + late) / DAY
    captures = f"s3://{settings.bucket_name}/{CAPTURES}"
    summary = run(
        captures, state, labels=settings.labels or None, processes=1, seconds=seconds * 0.6, days=days
    )
    traffic = history.traffic(summary, now, days)
    day = Aggregate()
    if summary.hours and summary.complete:
        day = load(state, start=hour_of(now - DAY), end=hour_of(now))
    model = history.model(day, summary)
    found = _check(
        settings, now, day, history.reference(summary, model), traffic if summary.complete else None
    )
    current = of_model(day, found.model)
    images, invoked = counted(cloudwatch, settings.stack_name, now)
    values = metric_values(settings, summary.health, before or Health(), current, found)
    values |= _completeness(summary.complete)
    if summary.complete:
        values |= _captured_share(settings, day, invoked)
    values |= history.audit()
    values[names.COST_SO_FAR] = _cost(settings, images, traffic, now)
    response = {
        "time": now.isoformat(),
        "complete": summary.complete,
        "read": begun.isoformat() if summary.complete else read and read.isoformat(),
        "files_read": summary.files_read,
        "model": model.model if model else None,
        "model_since": model.first if model else None,
        "alarms": found.alarms,
        "day": found.day.to_json(),
        "silence": found.silence.sentence if summary.complete else "captures are still being read",
    }
    history.store_latest(response)
    notes = {name: response[name] for name in ("alarms", "complete")}
    return emf(settings.stack_name, values, _shares(current), now, notes), response


def _check(
    settings: MonitoringSettings,
    now: datetime,
    day: Aggregate,
    reference: Reference | None,
    traffic: Mapping[datetime, int] | None,
) -> DriftCheck:
    """Compare the last day with the reference, and the last hours with earlier days; without `traffic` not the latter."""
    return check(
        day,
        now,
        threshold=settings.threshold,
        familiarity_threshold=settings.familiarity_threshold,
        reference=reference.sample if reference else Sample(),
        since=reference.until if reference else "",
        traffic=traffic,
    )


def _completeness(complete: bool) -> dict[str, float]:
    """Whether captures were left to the next run: then the latest hours may be among them, and are not silent."""
    values: dict[str, float] = {names.BEHIND: int(not complete)}
    if not complete:
        values |= dict.fromkeys((names.DRIFT_ALARMS, names.SILENT_HOURS, names.SILENCE_ALARM), math.nan)
    return values


def _captured_share(settings: MonitoringSettings, day: Aggregate, invoked: float) -> dict[str, float]:
    """The share of a day's requests to capture that were captured; nothing if there were few."""
    expected = invoked * settings.capture_percent / 100
    if expected < FEWEST_INVOCATIONS:
        return {}
    return {names.CAPTURED_SHARE: sum(volume.records for volume in day.volumes.values()) / expected}


def _shares(current: Aggregate) -> dict[str, float]:
    """The share of each label."""
    whole = sample(current)
    return {label: count / whole.count for label, count in whole.labels.items()} if whole.count else {}


def _cost(settings: MonitoringSettings, images: int, traffic: Mapping[datetime, int], now: datetime) -> float:
    """Estimated dollars since the month began; the endpoint counts from the first capture of the month on."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begun = max(month, min(traffic, default=now))
    hours = max(0.0, (now - begun) / HOUR)
    use = ResourceUse(express=settings.workflow_type == "EXPRESS")
    return cost(
        images, use, endpoint_hours=hours, instance=settings.instance_type, instances=settings.instance_count
    )


def _health(state: str) -> Health | None:
    """Totals of the runs so far; None before the first one."""
    found = AggregationState(open_store(state))
    return found.manifest.health if found.exists else None


def _now(event: Mapping[str, Any]) -> datetime:
    given = event.get("time") if isinstance(event, Mapping) else None
    try:
        return datetime.fromisoformat(str(given)).astimezone(UTC) if given else datetime.now(UTC)
    except ValueError:
        raise MonitoringError(
            f"the event's time is none: {given!r}; leave it out, or write 2026-11-21T09:05:00Z"
        ) from None
