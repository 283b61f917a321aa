"""A CloudWatch dashboard as data: its body, and what its widgets show, from any CloudWatch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from monitoring.cloudwatch import alarms
from monitoring.cloudwatch.widgets import MetricLine, Widget, lines, widgets
from monitoring.errors import MonitoringError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

_BATCH = 100  # names in one DescribeAlarms request


@dataclass(frozen=True)
class Alarm:
    """An alarm of the dashboard and its state."""

    name: str
    state: str  # OK, ALARM or INSUFFICIENT_DATA; "" if there is no such alarm
    description: str = ""


@dataclass(frozen=True)
class Panel:
    """A widget with what it shows."""

    widget: Widget
    lines: tuple[MetricLine, ...] = ()
    alarms: tuple[Alarm, ...] = ()


@dataclass(frozen=True)
class Dashboard:
    """All widgets, from top left to bottom right, over one span."""

    start: datetime
    end: datetime
    panels: tuple[Panel, ...]


def body_of(client: CloudWatchClient, name: str) -> dict[str, Any]:
    """The body of a dashboard.

    Raises
    ------
    MonitoringError
        There is none of that name, or it is not JSON.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = json.loads(client.get_dashboard(DashboardName=name)["DashboardBody"])
    except (ClientError, BotoCoreError) as error:
        raise MonitoringError(f"the dashboard {name!r} cannot be read: {error}") from error
    except ValueError as error:
        raise MonitoringError(f"the dashboard {name!r} has no JSON body ({error})") from error
    return dict(found) if isinstance(found, dict) else {}


def fetch(
    client: CloudWatchClient,
    body: Mapping[str, Any],
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Dashboard:
    """What a dashboard shows.

    Parameters
    ----------
    client
        Any CloudWatch that has GetMetricData for plain metrics, ListMetrics and DescribeAlarms.
    body
        As PutDashboard takes it, decoded.
    start, end
        The span (aware); by default the 24 hours up to now.

    Raises
    ------
    MonitoringError
        The body cannot be read, or CloudWatch does not respond.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    end = end or datetime.now(UTC)
    start = start or end - timedelta(days=1)
    if start >= end:
        raise MonitoringError(f"the span ends before it begins: {start.isoformat()} to {end.isoformat()}")
    ordered = sorted(widgets(body), key=lambda w: (w.y, w.x))
    try:
        panels = tuple(
            Panel(
                widget,
                tuple(lines(client, widget, start, end)) if widget.kind == "metric" else (),
                _alarms(client, widget, end) if widget.kind == "alarm" else (),
            )
            for widget in ordered
        )
    except (ClientError, BotoCoreError) as error:
        raise MonitoringError(f"CloudWatch does not respond: {error}") from error
    return Dashboard(start, end, panels)


def _alarms(client: CloudWatchClient, widget: Widget, now: datetime) -> tuple[Alarm, ...]:
    found: dict[str, Alarm] = {}
    for i in range(0, len(widget.alarms), _BATCH):
        for row in client.describe_alarms(AlarmNames=list(widget.alarms[i : i + _BATCH]))["MetricAlarms"]:
            name = row["AlarmName"]
            found[name] = Alarm(name, alarms.state(client, row, now), row.get("AlarmDescription") or "")
    return tuple(found.get(name, Alarm(name, "")) for name in widget.alarms)
