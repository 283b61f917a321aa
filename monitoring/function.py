"""The hourly function: new captures into aggregates, a look for drift, and metrics for dashboard and alarms.

Settings are environment variables (`Settings`); the captures are below ``captures/`` of the bucket and everything that
is kept is below ``monitoring/``: the aggregates' state, ``reference.json`` (what drift compares with: put the
evaluation set's there, or leave it to the first day of captures), ``traffic.json`` (captures by hour, for silence) and
``latest.json`` (what the last look found). A run that ends half-way changes nothing but what it committed, and the next
one goes on from there.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dropsort.contract import metrics as names
from dropsort.contract import reference as reference_file
from dropsort.contract.defaults import FAMILIARITY_THRESHOLD, THRESHOLD, WORKFLOW_TYPE
from monitoring.aggregates.cells import Aggregate, Health
from monitoring.aggregation.run import load, run
from monitoring.aggregation.stages import Summary
from monitoring.cloudwatch import metrics
from monitoring.cloudwatch.pending import Pending, pending
from monitoring.cloudwatch.prices import Way, cost
from monitoring.cloudwatch.usage import counted
from monitoring.drift.sample import Sample, kept_reference
from monitoring.drift.windows import (
    DAY,
    HOUR,
    Look,
    first_reference,
    hour_of,
    hourly,
    look,
    moment_of,
    sample,
)
from monitoring.errors import MonitoringError
from monitoring.storage import open_store
from monitoring.storage.documents import Kept
from monitoring.storage.state import State

CAPTURES, STATE = "captures", reference_file.STATE_PREFIX
LATE = timedelta(hours=6)  # a capture file may come so long after its hour; they are a few minutes late
LATE_AT_NIGHT = timedelta(days=1)  # and so long for the look of midnight: every hour this would mostly list
HISTORY = timedelta(days=30)  # of traffic
FEWEST_INVOCATIONS = 50  # that should be captured, below which their captured share says nothing


@dataclass(frozen=True)
class Settings:
    """What the template passes; names are those of the environment variables, in upper case."""

    stack_name: str
    bucket_name: str
    threshold: float = THRESHOLD
    familiarity_threshold: float = FAMILIARITY_THRESHOLD
    labels: tuple[str, ...] = ()
    capture_percent: float = 100.0
    workflow_type: str = WORKFLOW_TYPE
    instance_type: str = ""  # of an endpoint that the stack pays for
    instance_count: int = 1

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """Read the environment; a MonitoringError names the variable that is missing or wrong."""
        try:
            return cls(
                stack_name=environment["STACK_NAME"],
                bucket_name=environment["BUCKET_NAME"],
                threshold=_number(environment, "THRESHOLD", THRESHOLD),
                familiarity_threshold=_number(environment, "FAMILIARITY_THRESHOLD", FAMILIARITY_THRESHOLD),
                labels=tuple(
                    name.strip() for name in environment.get("LABELS", "").split(",") if name.strip()
                ),
                capture_percent=_number(environment, "CAPTURE_PERCENT", 100.0),
                workflow_type=environment.get("WORKFLOW_TYPE", WORKFLOW_TYPE),
                instance_type=environment.get("INSTANCE_TYPE", ""),
                instance_count=int(_number(environment, "INSTANCE_COUNT", 1)),
            )
        except KeyError as error:
            raise MonitoringError(f"the environment variable {error.args[0]} is missing") from None


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry: prints the metrics, answers what it found. ``event["time"]``, if any, is the moment of the look."""
    import boto3  # here, so that everything but the handler works without it

    settings = Settings.of(os.environ)
    seconds = context.get_remaining_time_in_millis() / 1000 if context is not None else 300.0
    now = _now(event)
    s3, cloudwatch = boto3.client("s3"), boto3.client("cloudwatch")
    lines, answer = observe(settings, now, s3=s3, cloudwatch=cloudwatch, seconds=seconds)
    for line in lines:
        print(line)
    return answer


def observe(
    settings: Settings, now: datetime, *, s3: Any, cloudwatch: Any, seconds: float = 300.0
) -> tuple[list[str], dict[str, Any]]:
    """Aggregate, look, and say it: lines of embedded metric format, and the answer of the function.

    Parameters
    ----------
    now
        The moment of the look (aware).
    s3, cloudwatch
        boto3 clients.
    seconds
        Time there is; six tenths of it go to new captures.
    """
    place = f"s3://{settings.bucket_name}"
    kept = Kept(s3, settings.bucket_name, STATE)
    before = _health(f"{place}/{STATE}")
    begun, read = datetime.now(UTC), _read_until(kept) if before is not None else None
    late = LATE_AT_NIGHT if now.hour == 0 else LATE
    days = None if read is None else (begun - read + late) / DAY
    summary = run(
        f"{place}/{CAPTURES}",
        f"{place}/{STATE}",
        labels=settings.labels or None,
        processes=1,
        seconds=seconds * 0.6,
        days=days,
    )
    traffic = _traffic(kept, f"{place}/{STATE}", summary, now, days)
    reference, since = _reference(kept, f"{place}/{STATE}", summary)
    day = Aggregate()
    if summary.hours and summary.complete:
        day = load(f"{place}/{STATE}", start=hour_of(now - DAY), end=hour_of(now))
    seen = look(
        day,
        now,
        threshold=settings.threshold,
        familiarity_threshold=settings.familiarity_threshold,
        reference=reference or Sample(),
        since=since,
        traffic=traffic if summary.complete else None,
    )
    waiting = pending(s3, settings.bucket_name, now, seconds=seconds * 0.2)
    images, invoked = counted(cloudwatch, settings.stack_name, now)
    values = _values(settings, summary.health, before or Health(), day, seen, waiting)
    values[names.UPLOADS_UNCOMPARED] = int(not waiting.complete)
    values[names.BEHIND] = int(not summary.complete)
    if not summary.complete:
        # The latest hours may be among those that were not read yet: they are not silent.
        values |= dict.fromkeys((names.DRIFT_ALARMS, names.SILENT_HOURS, names.SILENCE_ALARM), math.nan)
    expected = invoked * settings.capture_percent / 100
    if summary.complete and expected >= FEWEST_INVOCATIONS:
        values[names.CAPTURED_SHARE] = sum(volume.records for volume in day.volumes.values()) / expected
    values[names.COST_SO_FAR] = _cost(settings, images, traffic, now)
    whole = sample(day)
    shares = {label: count / whole.count for label, count in whole.labels.items()} if whole.count else {}
    answer = {
        "time": now.isoformat(),
        "complete": summary.complete,
        "read": begun.isoformat() if summary.complete else read and read.isoformat(),
        "files_read": summary.files_read,
        "alarms": seen.alarms,
        "uploads_compared": waiting.complete,
        "oldest_upload": waiting.oldest,
        "day": seen.day.to_json(),
        "silence": seen.silence.sentence if summary.complete else "captures are still being read",
    }
    kept.put("latest.json", answer)
    notes = {name: answer[name] for name in ("alarms", "complete", "uploads_compared", "oldest_upload")}
    return metrics.emf(settings.stack_name, values, shares, now, notes), answer


def _values(
    settings: Settings, health: Health, before: Health, day: Aggregate, seen: Look, waiting: Pending
) -> dict[str, float]:
    """The metrics of a look, but cost and captured share; NaN for what there is nothing to say of."""
    signals = {s.name: s for s in seen.day.signals}
    recent = {s.name for s in seen.recent.signals if s.alarm} if seen.recent else set()
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
        names.ESTIMATED_ACCURACY: seen.day.estimated_accuracy,
        **{
            metric: signals[name].effect if name in signals else math.nan
            for metric, name in (
                (names.LABEL_SHARE_CHANGE, "LabelShares"),
                (names.CONFIDENCE_WASSERSTEIN, "ConfidenceWasserstein"),
                (names.CONFIDENCE_JENSEN_SHANNON, "ConfidenceJensenShannon"),
            )
        },
        names.DRIFT_ALARMS: len({s.name for s in seen.day.signals if s.alarm} | recent),
        names.SILENT_HOURS: seen.silence.hours,
        names.SILENCE_ALARM: int(seen.silence.alarm),
        names.OLDEST_UPLOAD_AGE: waiting.age if waiting.complete else math.nan,
        names.UPLOADS_WITHOUT_RESULT: waiting.waiting if waiting.complete else math.nan,
    }


def _read_until(kept: Kept) -> datetime | None:
    """The moment until which every capture is known to be read: a run that was out of time leaves older ones behind."""
    with contextlib.suppress(MonitoringError, KeyError, TypeError, ValueError):
        return datetime.fromisoformat(kept.get("latest.json")["read"]).astimezone(UTC)
    return None


def _traffic(
    kept: Kept, state: str, summary: Summary, now: datetime, days: float | None
) -> dict[datetime, int]:
    """Captures by hour of the last weeks: what was kept, with the hours that late files may have changed read again."""
    counts: dict[datetime, int] = {}
    with contextlib.suppress(
        MonitoringError, AttributeError, TypeError, ValueError
    ):  # a damaged one is made again
        counts = {moment_of(hour): int(count) for hour, count in kept.get("traffic.json").items()}
    if summary.hours:
        recent = now - HISTORY if days is None or not counts else now - timedelta(days=days + 1)
        counts.update(hourly(load(state, start=hour_of(recent), end=hour_of(now + HOUR))))
    counts = {hour: count for hour, count in sorted(counts.items()) if hour >= now - HISTORY - DAY}
    kept.put("traffic.json", {hour_of(hour): count for hour, count in counts.items()})
    return counts


def _reference(kept: Kept, state: str, summary: Summary) -> tuple[Sample | None, str]:
    """The reference, and the hour from which windows may begin; made of the first captures once they are enough."""
    known = kept.get(reference_file.FILE)
    if known is not None:
        try:
            return kept_reference(known, kept.name(reference_file.FILE))
        except MonitoringError as error:
            raise MonitoringError(f"{error} Or delete or replace it.") from None
    if not summary.hours or not summary.complete:
        return None, ""
    begin = moment_of(summary.hours[0])
    found = first_reference(load(state, start=summary.hours[0], end=hour_of(begin + 14 * DAY)))
    if found is None:
        return None, ""
    reference, until = found
    kept.put(reference_file.FILE, {**reference.to_json(), "until": until})
    return reference, until


def _cost(settings: Settings, images: int, traffic: Mapping[datetime, int], now: datetime) -> float:
    """Estimated dollars since the month began; the endpoint counts from the first capture of the month on."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begun = max(month, min(traffic, default=now))
    hours = max(0.0, (now - begun) / HOUR)
    way = Way(express=settings.workflow_type == "EXPRESS")
    return cost(
        images, way, endpoint_hours=hours, instance=settings.instance_type, instances=settings.instance_count
    )


def _health(state: str) -> Health | None:
    found = State(open_store(state))
    return found.manifest.health if found.exists else None


def _now(event: Mapping[str, Any]) -> datetime:
    given = event.get("time") if isinstance(event, Mapping) else None
    try:
        return datetime.fromisoformat(str(given)).astimezone(UTC) if given else datetime.now(UTC)
    except ValueError:
        raise MonitoringError(
            f"the event's time is none: {given!r}; leave it out, or write 2026-11-21T09:05:00Z"
        ) from None


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        return float(text)
    except ValueError:
        raise MonitoringError(f"the environment variable {name} is no number: {text!r}") from None
